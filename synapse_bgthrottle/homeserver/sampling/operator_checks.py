"""Checks that need no view of the database: free disk space, and the administrator's checks."""

import logging
import os
import shutil
from collections.abc import Awaitable, Callable
from typing import Any

from twisted.internet.defer import CancelledError

from synapse_bgthrottle.core.config.signal_settings import SignalSettings
from synapse_bgthrottle.core.scheduling.failures import complaint_of
from synapse_bgthrottle.homeserver.internals.bounded_calls import BlockingCall, questions
from synapse_bgthrottle.homeserver.internals.database import Database, engine_of
from synapse_bgthrottle.homeserver.internals.server import Homeserver
from synapse_bgthrottle.homeserver.sampling.database_queries import LIMIT_TIME
from synapse_bgthrottle.homeserver.sampling.http_check import HttpCheck
from synapse_bgthrottle.homeserver.sampling.sql_check import first_value

logger = logging.getLogger(__name__)

# A silent database must not keep the other databases' disks from being checked.
_LONGEST_QUESTION_S = 2.0
# A network file system may hang.
_LONGEST_LOOK_S = 2.0

# The value or None, why it is unknown, and what was found, as text.
Found = tuple[float | None, str] | tuple[float | None, str, str]
# It answers None if there is nothing to check.
Check = Callable[[], Awaitable[Found | None]]

# The data directory, if the role may read it, and whether the server is on this machine. It is if
# the connection is a socket, or has the same address at both ends. So a pooler is noticed.
_POSTGRES_FOLDER = """
SELECT (SELECT setting FROM pg_settings WHERE name = 'data_directory'),
    inet_server_addr() IS NULL OR inet_server_addr() = inet_client_addr()"""


class Checks:
    """The checks that these settings require."""

    def __init__(self, host: Homeserver, settings: SignalSettings) -> None:
        self._host = host
        self._questions = questions(host)
        self._settings = settings
        url = settings.http_url
        self._http_check = None if url is None else HttpCheck(url, host.now_s)
        self._folders: dict[str, str | None] = {}
        self._free_bytes, self._is_there = BlockingCall(_free_bytes), BlockingCall(_is_there)

    def by_signal(self) -> dict[str, Check]:
        """The checks by signal name."""
        checks: dict[str, tuple[Check, object]] = {
            "disk_free": (self._disk_free, "always"),
            "pause_file": (self._pause_file, self._settings.pause_file),
            "http": (self._http, self._http_check),
            "sql": (self._sql, self._settings.sql_query),
        }
        return {name: check for name, (check, wanted) in checks.items() if wanted is not None}

    async def _disk_free(self) -> Found | None:
        path = self._settings.disk_path
        paths = [path] if path is not None else await self._database_folders()
        if not paths:
            return None
        found: Found = await self._host.in_thread(self._free_bytes.within, _LONGEST_LOOK_S, paths)
        return found

    async def _database_folders(self) -> list[str]:
        for name, database in tuple(self._host.databases.items()):
            if name not in self._folders:
                try:
                    self._folders[name] = await self._questions.within(
                        _LONGEST_QUESTION_S, f"folder of {name}", self._database_folder, database
                    )
                except CancelledError:
                    raise
                except Exception as error:  # tried again the next time
                    logger.debug("Could not find the folder of %s: %s", name, complaint_of(error))
        return [folder for folder in self._folders.values() if folder is not None]

    async def _database_folder(self, database: Database) -> str | None:
        folder: str | None = await database.run("bgthrottle_folder", folder_of)
        if folder is None or not await self._host.in_thread(os.path.exists, folder):
            return None
        return folder

    async def _pause_file(self) -> Found:
        path = self._settings.pause_file or ""
        is_there = self._is_there.within
        return (*await self._host.in_thread(is_there, _LONGEST_LOOK_S, path), path)

    async def _http(self) -> Found:
        check: Any = self._http_check
        status = await self._host.in_thread(check.status)
        about = "" if 200 <= status <= 299 else f"answers {status}"
        if 300 <= status <= 399:
            about += " (redirects are not followed)"
        return (1.0 if about else 0.0), "", about

    async def _sql(self) -> Found:
        settings, query = self._host.main.connection_settings(), self._settings.sql_query
        found: Found = await self._host.in_thread(first_value, settings, query)
        return found


def folder_of(txn: Any) -> str | None:
    """The folder of the database's files, if it is on this machine and may be read."""
    if engine_of(txn) == "Sqlite3Engine":
        txn.execute("PRAGMA database_list")
        files = [file for _, name, file in txn.fetchall() if name == "main"]
        return os.path.dirname(files[0]) if files and files[0] else None
    txn.execute(LIMIT_TIME)
    txn.execute(_POSTGRES_FOLDER)
    folder, is_here = txn.fetchone()
    return folder if is_here else None


def _free_bytes(paths: list[str]) -> tuple[float | None, str]:
    try:
        return float(min(shutil.disk_usage(path).free for path in paths)), ""
    except OSError as error:
        return None, complaint_of(error)


def _is_there(path: str) -> tuple[float, str]:
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return 0.0, ""
    except OSError as error:
        return 1.0, complaint_of(error)
    return 1.0, ""
