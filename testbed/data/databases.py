"""Databases to measure on: a template is made once and kept, each run uses a copy."""

import csv
import io
import shutil
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, closing
from pathlib import Path
from typing import Any, Protocol

from typing_extensions import Self

from testbed.servers.postgres import PostgresServer

_COPY = "bench"
_UNFINISHED = "unfinished"


class Database(AbstractContextManager["Database"], Protocol):
    """A database with templates. SQL uses `%s` for arguments with every engine."""

    def has(self, template: str) -> bool:
        """Whether a template of this name is complete."""

    def create(self) -> None:
        """Make an empty database for a template, and remove an unfinished one."""

    def keep(self, template: str) -> None:
        """Keep what was created as a template of this name. No server may use it meanwhile."""

    def restore(self, template: str) -> None:
        """Make a fresh copy to work on."""

    def synapse_config(self) -> dict[str, Any]:
        """The `database` section for a server on the copy, or on what was created."""

    def execute(self, sql: str, *arguments: Any) -> list[Any]:
        """Execute and commit one statement. Returns its rows, if any."""

    def insert(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Insert many rows at once; no value is NULL or empty."""

    def cpu_s(self) -> float:
        """CPU time of the database's own processes so far, in seconds."""

    def vacuum(self, *tables: str) -> None:
        """Remove dead rows and update statistics, of these tables or all."""


class Postgres(Database):
    """A PostgreSQL whose data folder is kept after the run.

    fsync is off. Autovacuum is off, too: it would start in some block and distort its result.
    """

    def __init__(self, folder: Path) -> None:
        self._server = PostgresServer(folder / "postgres", {"autovacuum": "off"})
        self._name = _COPY

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._drop(_COPY)
        self._server.stop()

    def has(self, template: str) -> bool:
        with self._server.session("postgres") as cursor:
            cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (template,))
            return cursor.fetchone() is not None

    def create(self) -> None:
        self._name = _UNFINISHED
        self._drop(_UNFINISHED)
        self._server.create_database(_UNFINISHED)

    def keep(self, template: str) -> None:
        with self._server.session("postgres") as cursor:
            cursor.execute(f'ALTER DATABASE "{_UNFINISHED}" RENAME TO "{template}"')

    def restore(self, template: str) -> None:
        self._name = _COPY
        self._drop(_COPY)
        self._server.create_database(_COPY, template)

    def _drop(self, name: str) -> None:
        with self._server.session("postgres") as cursor:
            cursor.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def synapse_config(self) -> dict[str, Any]:
        connection = self._server.connection(self._name)
        return {"name": "psycopg2", "args": {**connection, "cp_min": 5, "cp_max": 10}}

    def execute(self, sql: str, *arguments: Any) -> list[Any]:
        with self._server.session(self._name) as cursor:
            cursor.execute(sql, arguments)
            return [] if cursor.description is None else list(cursor.fetchall())

    def insert(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        lines = io.StringIO()
        csv.writer(lines).writerows(rows)
        lines.seek(0)
        with self._server.session(self._name) as cursor:
            cursor.copy_expert(f"COPY {table} ({', '.join(columns)}) FROM STDIN CSV", lines)

    def cpu_s(self) -> float:
        return self._server.cpu_s()

    def vacuum(self, *tables: str) -> None:
        self.execute(f"VACUUM ANALYZE {', '.join(tables)}")


class Sqlite(Database):
    """SQLite; each template is a file."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._path = folder / f"{_COPY}.sqlite"

    def __exit__(self, *_: object) -> None:
        self._remove(self._path)

    def has(self, template: str) -> bool:
        return self._template_path(template).exists()

    def _template_path(self, template: str) -> Path:
        return self._folder / f"{template}.sqlite"

    def create(self) -> None:
        self._path = self._template_path(_UNFINISHED)
        self._remove(self._path)

    def keep(self, template: str) -> None:
        self.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._path.rename(self._template_path(template))
        self._remove(self._path)

    def restore(self, template: str) -> None:
        self._path = self._folder / f"{_COPY}.sqlite"
        self._remove(self._path)
        shutil.copy(self._template_path(template), self._path)

    @staticmethod
    def _remove(path: Path) -> None:
        for suffix in ("", "-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)

    def synapse_config(self) -> dict[str, Any]:
        return {"name": "sqlite3", "args": {"database": str(self._path)}}

    def execute(self, sql: str, *arguments: Any) -> list[Any]:
        with closing(sqlite3.connect(self._path, timeout=60)) as connection, connection:
            return connection.execute(sql.replace("%s", "?"), arguments).fetchall()

    def insert(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        marks = ", ".join("?" * len(columns))
        sql = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})"
        with closing(sqlite3.connect(self._path, timeout=60)) as connection, connection:
            connection.executemany(sql, rows)

    def cpu_s(self) -> float:
        return 0.0

    def vacuum(self, *tables: str) -> None:
        self.execute("ANALYZE")


def open_database(engine: str, folder: Path) -> Database:
    """`engine` is postgres or sqlite; templates are kept in the folder."""
    return Postgres(folder) if engine == "postgres" else Sqlite(folder)
