"""One database in virtual time: the queue in SQLite, with Synapse's own updater."""

import json
import sqlite3
import types
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import attrs
from synapse.module_api import make_deferred_yieldable
from synapse.storage.background_updates import BackgroundUpdater
from synapse.util.async_helpers import delay_cancellation
from twisted.internet.defer import Deferred

Handler = Callable[[dict[str, Any], int], Awaitable[int]]


class Sqlite3Engine:
    """The module recognizes it by its name, as Synapse's own."""


class Transaction:
    """A cursor as Synapse passes it to an interaction."""

    database_engine = Sqlite3Engine()

    def __init__(self, pool: "VirtualPool") -> None:
        self._cursor = pool.connection.cursor()
        self.execute = pool.transaction_execute or self._cursor.execute
        if pool.full is not None:
            self.execute = partial(_within_room, pool.full, self.execute)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cursor, name)


def _within_room(
    full: Exception, execute: Callable[..., Any], sql: str, parameters: Any = ()
) -> Any:
    if "INSERT" in sql or "CREATE" in sql:
        raise full
    return execute(sql, parameters)


class VirtualPool:
    """The part of a DatabasePool that the updater and the module use.

    Attributes:
        updates: the real updater.
        broken: an error that every use of the database raises now; None: none.
        full: an error that everything that needs disk space raises now; None: none.
        silent: uses of the database that get no answer now; None: all get one at once.
        transaction: class of the cursors for interactions.
        transaction_execute: runs statements instead of SQLite; None: SQLite does.
        connection: to SQLite.
        engine: an unknown one.
    """

    def __init__(self, hs: Any, name: str) -> None:
        self._name = name
        self.engine = object()
        self._db_pool = types.SimpleNamespace(connections={}, dbapiName="sqlite3", connkw={})
        self.broken: Exception | None = None
        self.full: Exception | None = None
        self.silent: list[Deferred[None]] | None = None
        self.transaction = Transaction
        self.transaction_execute: Callable[..., Any] | None = None
        self.use_file(":memory:")
        pool: Any = self
        self.updates = BackgroundUpdater(hs, pool)

    def use_file(self, path: Path | str) -> None:
        """Keep a new queue in this file."""
        self._db_pool.connkw["database"] = str(path)
        self.connection = sqlite3.connect(path)
        self.connection.execute(
            "CREATE TABLE background_updates"
            " (update_name TEXT, progress_json TEXT, depends_on TEXT, ordering INT DEFAULT 0)"
        )

    def name(self) -> str:
        return self._name

    async def runInteraction(  # noqa: N802 - Synapse's name
        self, desc: str, func: Callable[..., Any], *args: Any
    ) -> Any:
        if self.silent is not None:
            answer: Deferred[None] = Deferred()
            self.silent.append(answer)
            await make_deferred_yieldable(delay_cancellation(answer))  # as Synapse does
        if self.broken is not None:
            raise self.broken
        with self.connection:  # a failure is rolled back
            return func(self.transaction(self), *args)

    async def simple_select_one_onecol(
        self, table: str, keyvalues: dict[str, str], retcol: str, **_: Any
    ) -> Any:
        def select(txn: Any) -> Any:
            (key,) = keyvalues
            txn.execute(f"SELECT {retcol} FROM {table} WHERE {key} = ?", (keyvalues[key],))
            return txn.fetchone()[0]

        return await self.runInteraction("select", select)

    async def simple_delete_one(self, table: str, keyvalues: dict[str, str]) -> None:
        def delete(txn: Any) -> None:
            (key,) = keyvalues
            txn.execute(f"DELETE FROM {table} WHERE {key} = ?", (keyvalues[key],))

        await self.runInteraction("delete", delete)

    @staticmethod
    def cursor_to_dict(txn: Any) -> list[dict[str, Any]]:
        """Only old versions of Synapse use it."""
        names = [column[0] for column in txn.description]
        return [dict(zip(names, row, strict=True)) for row in txn.fetchall()]

    def queue(self, name: str, handler: Handler, *, one_shot: bool = False) -> None:
        """Register an update and append it to the queue."""
        self.updates.register_background_update_handler(name, handler)
        handlers = self.updates._background_update_handlers
        handlers[name] = attrs.evolve(handlers[name], oneshot=one_shot)
        with self.connection:
            ordering = self.connection.execute("SELECT COUNT(*) FROM background_updates")
            self.connection.execute(
                "INSERT INTO background_updates (update_name, progress_json, ordering)"
                " VALUES (?, ?, ?)",
                (name, json.dumps({}), ordering.fetchone()[0]),
            )
