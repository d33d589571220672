"""What is looked at outside the database's own views: the disk, and the operator's own checks."""

import logging
import math
import os
import shutil
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from twisted.internet.defer import CancelledError

from synapse_bgthrottle.asker import Questions
from synapse_bgthrottle.database import Database, engine_of
from synapse_bgthrottle.failures import complaint_of
from synapse_bgthrottle.guarded import get
from synapse_bgthrottle.homeserver import Homeserver
from synapse_bgthrottle.sample_statements import LIMIT_TIME, LONGEST_STATEMENT_MS
from synapse_bgthrottle.signal_settings import SignalSettings
from synapse_bgthrottle.signals.samples import CheckSample

logger = logging.getLogger(__name__)

LONGEST_REQUEST_S = 2.0
# A database that is silent must not keep the disks of the others from being looked at.
_LONGEST_QUESTION_S = 2.0

# About a tenth of a millisecond.
_LOOK_AFTER_STEPS = 1000
_TOO_LONG = f"no answer within {LONGEST_STATEMENT_MS} ms"

Check = Callable[[], Awaitable[CheckSample | None]]

# Where the server's files are, where the role may know it, and whether we are on its machine: by a
# socket, or with one address at both ends. So a pooler in between is no disguise.
_POSTGRES_FOLDER = """
SELECT (SELECT setting FROM pg_settings WHERE name = 'data_directory'),
    inet_server_addr() IS NULL OR inet_server_addr() = inet_client_addr()"""


class Checks:
    """What is to be checked, by these settings."""

    def __init__(self, host: Homeserver, settings: SignalSettings) -> None:
        self._host = host
        self._questions = Questions(host)
        self._settings = settings
        self._folders: dict[str, str | None] = {}

    def by_signal(self) -> dict[str, Check]:
        """The checks, by the name of the signal that each is for."""
        settings = self._settings
        checks: dict[str, Check] = {"disk_free": self._disk_free}
        if settings.pause_file is not None:
            checks["pause_file"] = self._pause_file
        if settings.http_url is not None:
            checks["http"] = self._http
        if settings.sql_query is not None:
            checks["sql"] = self._sql
        return checks

    async def _disk_free(self) -> CheckSample | None:
        path = self._settings.disk_path
        paths = [path] if path is not None else await self._database_folders()
        if not paths:
            return None
        value, problem = await self._host.in_thread(_free_bytes, paths)
        return CheckSample(at_s=self._host.now_s(), name="disk_free", value=value, problem=problem)

    async def _database_folders(self) -> list[str]:
        for name, database in self._host.databases.items():
            if name not in self._folders:
                try:
                    self._folders[name] = await self._questions.within(
                        _LONGEST_QUESTION_S, f"folder of {name}", self._database_folder, database
                    )
                except CancelledError:
                    raise
                except Exception as error:  # asked again the next time
                    logger.debug("Where %s is kept is not known: %s", name, complaint_of(error))
        return [folder for folder in self._folders.values() if folder is not None]

    async def _database_folder(self, database: Database) -> str | None:
        folder: str | None = await database.run("bgthrottle_folder", folder_of)
        if folder is None or not await self._host.in_thread(os.path.exists, folder):
            return None
        return folder

    async def _pause_file(self) -> CheckSample:
        path = self._settings.pause_file or ""
        value, problem = await self._host.in_thread(_is_there, path)
        return CheckSample(
            at_s=self._host.now_s(), name="pause_file", value=value, problem=problem, about=path
        )

    async def _http(self) -> CheckSample:
        value, about = 0.0, ""
        try:
            url = self._settings.http_url
            await self._questions.within(LONGEST_REQUEST_S, "http", self._host.fetch, url)
        except Exception as error:
            code = get(error, "code")
            if not isinstance(code, int):  # HTTP's: an answer, but not a good one
                raise
            value, about = 1.0, f"answers {int(code)}"
        return CheckSample(at_s=self._host.now_s(), name="http", value=value, about=about)

    async def _sql(self) -> CheckSample:
        value, problem = await self._host.run_on_main(
            "bgthrottle_sql", first_value, self._settings.sql_query, self._host.now_s
        )
        return CheckSample(at_s=self._host.now_s(), name="sql", value=value, problem=problem)


def folder_of(txn: Any) -> str | None:
    """The folder of the database's files, if it is on this machine and may be known."""
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


def first_value(txn: Any, query: str, now_s: Callable[[], float]) -> tuple[float | None, str]:
    """The first value of the query's first row, or None and why there is none."""
    # To the driver's own cursor: Synapse's takes `?` for a parameter, and `%` for one of another.
    cursor = getattr(txn, "txn", txn)
    try:
        if engine_of(txn) == "PostgresEngine":
            cursor.execute(f"{LIMIT_TIME}; SET TRANSACTION READ ONLY")
        is_sqlite = engine_of(txn) == "Sqlite3Engine"
        with _sqlite_limits(cursor, now_s) if is_sqlite else nullcontext():
            cursor.execute(query)
            row = cursor.fetchone()
        value = math.nan if row is None or row[0] is None else float(row[0])
    except Exception as error:  # in a database thread; Synapse would try again
        return None, complaint_of(error)
    return (None, "the query answers nothing") if math.isnan(value) else (value, "")


@contextmanager
def _sqlite_limits(cursor: Any, now_s: Callable[[], float]) -> Iterator[None]:
    """Nothing is written meanwhile, and what takes too long is ended, as PostgreSQL does by itself.

    The connection is Synapse's only one: all else waits for this, and all limits end with it. What
    SQLite does in one step, such as `count(*)` of a whole table, cannot be ended, but is told of.
    """
    deadline_s = now_s() + LONGEST_STATEMENT_MS / 1000
    connection, is_asking = cursor.connection, True
    cursor.execute("PRAGMA query_only")
    (query_only,) = cursor.fetchone()
    as_before = f"PRAGMA query_only = {int(query_only)}"

    def is_too_long() -> bool:
        return is_asking and now_s() > deadline_s

    try:
        connection.set_progress_handler(is_too_long, _LOOK_AFTER_STEPS)
        cursor.execute("PRAGMA query_only = ON")
        yield
    except Exception as error:
        if now_s() > deadline_s:
            raise TimeoutError(_TOO_LONG) from error
        raise
    finally:
        is_asking = False
        try:
            cursor.execute(as_before)
        except Exception:  # by another one: the server's only connection must not stay read-only
            connection.execute(as_before)
        connection.set_progress_handler(None, 0)
    if now_s() > deadline_s:
        raise TimeoutError(_TOO_LONG)
