"""A PgBouncer in front of a PostgreSQL, if installed: transactions share its connections."""

import os
import pwd
import shutil
import subprocess
from pathlib import Path
from typing import Any

import psycopg2

from testbed.servers.postgres import PostgresServer
from testbed.servers.process import ends_with_us, free_port
from testbed.waiting import HANG_S, within

_UNPRIVILEGED = "nobody"  # it refuses to run as root


def is_installed() -> bool:
    """Whether PgBouncer is installed."""
    return _binary() is not None


def _binary() -> str | None:
    return shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


class PgBouncer:
    """A PgBouncer in pool mode `transaction`, with few server connections, on a free port.

    Args:
        folder: for its files.
        postgres: the server behind it.
    """

    def __init__(self, folder: Path, postgres: PostgresServer) -> None:
        self.port = free_port()
        self._postgres = postgres
        self._log_path = folder / "pgbouncer.log"
        self._file = folder / "pgbouncer.ini"
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        self._file.write_text(
            f"[databases]\n* = host=127.0.0.1 port={postgres.port} user=synapse\n"
            f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {self.port}\n"
            "auth_type = any\npool_mode = transaction\ndefault_pool_size = 4\n"
            "unix_socket_dir =\n"
        )

    def connection(self, database: str) -> dict[str, Any]:
        """Arguments for psycopg2, and for Synapse's `args:`, to connect through it."""
        return {**self._postgres.connection(database), "port": self.port}

    def log(self) -> str:
        """Its log so far."""
        return self._log_path.read_text()

    def __enter__(self) -> "PgBouncer":
        user, group = 0, 0
        if os.getuid() == 0:
            account = pwd.getpwnam(_UNPRIVILEGED)
            user, group = account.pw_uid, account.pw_gid
        arguments = ends_with_us(str(_binary()), "/dev/stdin", user=user, group=group)
        with self._file.open("rb") as settings, self._log_path.open("ab") as log:
            self._process = subprocess.Popen(
                arguments, stdin=settings, stdout=log, stderr=log, cwd="/"
            )
        if not within(HANG_S, self._answers):
            self.__exit__()
            raise RuntimeError(f"PgBouncer does not answer:\n{self.log()[-2000:]}")
        return self

    def _answers(self) -> bool:
        try:
            psycopg2.connect(**self.connection("postgres")).close()
        except psycopg2.OperationalError:
            return False
        return True

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(HANG_S)
