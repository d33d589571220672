"""A server with a search index to rebuild, on SQLite or PostgreSQL: no row may be missing.

The update `event_search` writes rows and progress in one transaction. So at any time its rows must
be exactly those of the events that its progress covers.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import attrs

from testbed.faults import sqlite_data
from testbed.servers.matrix import MatrixClient
from testbed.servers.postgres import PostgresServer
from testbed.servers.server import SynapseServer
from testbed.waiting import wait_until

UPDATE = "event_search"
_MESSAGES = 60


@attrs.define
class World:
    """A server, not yet started, whose only pending update is `event_search`.

    Attributes:
        server: with the module, or without it.
        token: its administrator's.
        query: queries the database directly, without the server.
        expected: number of rows in the complete index.
        database: the database's name or path, for faults.
        is_postgres: True: PostgreSQL; False: SQLite.
    """

    server: SynapseServer
    token: str
    query: Callable[[str], list[tuple[Any, ...]]]
    expected: int
    database: str
    is_postgres: bool

    @property
    def admin(self) -> MatrixClient:
        return MatrixClient(self.server.url, self.token)

    def count(self, sql: str) -> int:
        return int(self.query(sql)[0][0])

    def pending(self) -> int:
        return self.count("SELECT COUNT(*) FROM background_updates")

    def rows(self) -> int:
        return self.count("SELECT COUNT(*) FROM event_search")

    def fingerprint(self) -> str:
        """A hash of the whole index."""
        value = "CAST(vector AS TEXT)" if self.is_postgres else "value"
        rows = self.query(
            f"SELECT event_id, room_id, sender, key, {value} FROM event_search ORDER BY event_id"
        )
        return hashlib.sha256(repr(rows).encode()).hexdigest()[:16]

    def is_intact(self) -> bool:
        """Whether SQLite's check of its file succeeds; PostgreSQL has none and counts as intact."""
        return self.is_postgres or self.query("PRAGMA integrity_check") == [("ok",)]

    def wrong(self) -> int:
        """Number of missing or extra rows, according to the update's progress."""
        answer = self.query(
            f"SELECT progress_json FROM background_updates WHERE update_name = '{UPDATE}'"
        )
        seen_down_to = json.loads(answer[0][0])["max_stream_id_exclusive"] if answer else -(2**62)
        expected = f"{sqlite_data.SEARCHED} AND stream_ordering >= {seen_down_to}"
        too_few = self.count(
            f"SELECT COUNT(*) FROM events WHERE {expected}"
            " AND event_id NOT IN (SELECT event_id FROM event_search)"
        )
        due = self.count(f"SELECT COUNT(*) FROM events WHERE {expected}")
        too_many = self.rows() - (due - too_few)
        return too_few + too_many


@attrs.frozen
class SqliteSource:
    """A database file with events and nothing pending, and its administrator's token."""

    path: Path
    token: str

    @classmethod
    def make(cls, folder: Path, events: int) -> "SqliteSource":
        server = SynapseServer(folder, None, {"background_updates": {"sleep_enabled": False}})
        with server:
            token = _talk(server)
            wait_until(lambda: sqlite_data.pending_updates(server.database_path) == 0)
        sqlite_data.multiply_events(server.database_path, events)
        return cls(server.database_path, token)

    def world(
        self,
        folder: Path,
        module: Mapping[str, Any] | None,
        extra: Mapping[str, Any] | None = None,
        database: Path | None = None,
        **options: Any,
    ) -> World:
        """A server on a copy, which is made at `database` if given."""
        sqlite = {"database": {"name": "sqlite3", "args": {"database": str(database)}}}
        more = {**(extra or {}), **({} if database is None else sqlite)}
        server = SynapseServer(folder, module, more, **options)
        path = database or server.database_path
        shutil.copy(self.path, path)
        expected = sqlite_data.queue_search_reindex(path)
        return World(
            server, self.token, lambda sql: sqlite_data.rows(path, sql), expected, str(path), False
        )


@attrs.frozen
class PostgresSource:
    """A template database with events and nothing pending."""

    postgres: PostgresServer
    template: str
    token: str

    @classmethod
    def make(
        cls, postgres: PostgresServer, folder: Path, events: int, template: str = "with_events"
    ) -> "PostgresSource":
        postgres.create_database(template)
        extra = {**synapse_database(postgres, template)}
        extra["background_updates"] = {"sleep_enabled": False}
        with SynapseServer(folder, None, extra) as server:
            token = _talk(server)
            with postgres.session(template) as cursor:
                wait_until(lambda: _is_empty(cursor))
        with postgres.session(template) as cursor:
            _multiply(cursor, events)
        return cls(postgres, template, token)

    def world(
        self,
        folder: Path,
        name: str,
        module: Mapping[str, Any] | None,
        extra: Mapping[str, Any] | None = None,
        tablespace: str = "pg_default",
        **options: Any,
    ) -> World:
        """A server on a fresh copy of this name."""
        postgres = self.postgres
        with postgres.session("postgres") as cursor:
            cursor.execute(
                f'CREATE DATABASE "{name}" TEMPLATE "{self.template}" TABLESPACE "{tablespace}"'
            )
        with postgres.session(name) as cursor:
            cursor.execute("TRUNCATE event_search")
            cursor.execute("SELECT MIN(stream_ordering), MAX(stream_ordering) FROM events")
            low, high = cursor.fetchone()
            progress = sqlite_data.search_progress(low, high)
            cursor.execute(
                "INSERT INTO background_updates (update_name, progress_json) VALUES (%s, %s)",
                (UPDATE, json.dumps(progress)),
            )
            cursor.execute(f"SELECT COUNT(*) FROM events WHERE {sqlite_data.SEARCHED}")
            (expected,) = cursor.fetchone()

        def query(sql: str) -> list[tuple[Any, ...]]:
            with postgres.session(name) as cursor:
                cursor.execute(sql)
                return list(cursor.fetchall())

        more = {**synapse_database(postgres, name), **(extra or {})}
        server = SynapseServer(folder, module, more, **options)
        return World(server, self.token, query, expected, name, True)


def synapse_database(postgres: PostgresServer, name: str) -> dict[str, Any]:
    """The `database` section of homeserver.yaml for a PostgreSQL."""
    arguments = {**postgres.connection(name), "cp_min": 1, "cp_max": 5}
    return {"database": {"name": "psycopg2", "args": arguments}}


def _talk(server: SynapseServer) -> str:
    admin = MatrixClient.register(server.url, "admin", admin=True)
    room_id = admin.create_room("a room")
    for number in range(_MESSAGES):
        admin.send(room_id, f"message {number}")
    return admin.token


def _is_empty(cursor: Any) -> bool:
    cursor.execute("SELECT COUNT(*) FROM background_updates")
    return bool(cursor.fetchone()[0] == 0)


def _multiply(cursor: Any, total: int) -> None:
    # As in `sqlite_data.multiply_events`; move the streams, so that nothing is sent on.
    cursor.execute("SELECT COUNT(*), MAX(stream_ordering) FROM events")
    have, high = cursor.fetchone()
    cursor.execute(
        "CREATE TEMP TABLE originals AS SELECT event_id, ROW_NUMBER() OVER () AS n"
        " FROM events WHERE type = 'm.room.message'"
    )
    cursor.execute("SELECT COUNT(*) FROM originals")
    (originals,) = cursor.fetchone()
    for table in ("events", "event_json"):
        cursor.execute(
            "SELECT column_name FROM information_schema.columns"
            " WHERE table_name = %s AND is_generated = 'NEVER'",
            (table,),
        )
        names = [name for (name,) in cursor.fetchall()]
        values = {"event_id": "t.event_id || '_' || k", "stream_ordering": f"{high} + k"}
        selected = ", ".join(values.get(name, f"t.{name}") for name in names)
        cursor.execute(
            f"INSERT INTO {table} ({', '.join(names)}) SELECT {selected}"
            f" FROM generate_series(1, {max(total - have, 1)}) AS k"
            f" JOIN originals o ON o.n = 1 + k % {originals} JOIN {table} t USING (event_id)"
        )
    top = high + max(total - have, 1)
    for statement in (
        f"UPDATE stream_positions SET stream_id = {top} WHERE stream_name = 'events'",
        f"UPDATE federation_stream_position SET stream_id = {top} WHERE type = 'events'",
        f"UPDATE appservice_stream_position SET stream_ordering = {top}",
        f"SELECT setval('events_stream_seq', {top})",
        "ANALYZE",
    ):
        cursor.execute(statement)
