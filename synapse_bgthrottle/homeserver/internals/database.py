"""Synapse's private attributes for one database and its queue of updates."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from inspect import getclosurevars
from typing import Any

import attrs
from synapse.module_api import ModuleApi
from twisted.enterprise.adbapi import ConnectionLost

from synapse_bgthrottle.core.config.problems import LONGEST_NAME
from synapse_bgthrottle.core.scheduling.effective_limits import tables_of_batched
from synapse_bgthrottle.core.scheduling.failures import complaint_of, is_from_database, is_refusal
from synapse_bgthrottle.core.tracking.queue import LONGEST_PROGRESS, QueueRow
from synapse_bgthrottle.homeserver.internals.guard import call, get

# Changes nothing, but needs what the end of each batch needs: a connection; on SQLite the writer's
# lock; on PostgreSQL a lock on the queue's table and a server that is not read-only.
_WRITE_NOTHING = "UPDATE background_updates SET update_name = update_name WHERE 1 = 0"
# For PostgreSQL: a query ends by itself.
_LIMIT_TIME = "SET LOCAL lock_timeout = 250; SET LOCAL statement_timeout = 2000"

# After a full disk, a write of no rows proves nothing, because it writes no page. This lets files
# grow by about 16 MiB, as PostgreSQL's log does, and leaves nothing behind. It uses a temporary
# table, so as not to fill a log that is nearly full.
_GROW_ON_POSTGRES = (
    "SET LOCAL statement_timeout = 30000; SET LOCAL temp_tablespaces = '';"
    " SAVEPOINT bgthrottle_room; CREATE TEMP TABLE bgthrottle_room (filler TEXT);"
    " INSERT INTO bgthrottle_room SELECT repeat('x', 1900) FROM generate_series(1, 8192);"
    " ROLLBACK TO SAVEPOINT bgthrottle_room; RELEASE SAVEPOINT bgthrottle_room"
)
# About 4 MiB: more than SQLite keeps in memory before it writes.
_GROW_ON_SQLITE = (
    "CREATE TABLE bgthrottle_room (filler BLOB)",
    "INSERT INTO bgthrottle_room VALUES (zeroblob(4194304))",
)

# Progress that is too long to be read is cut, so that it is not fetched either.
_QUEUE = (
    f"SELECT substr(update_name, 1, {LONGEST_NAME + 1}),"
    f" substr(progress_json, 1, {LONGEST_PROGRESS + 1}),"
    f" substr(depends_on, 1, {LONGEST_NAME + 1}), ordering"
    " FROM background_updates ORDER BY ordering, update_name"
)
_ENGINES = {"PostgresEngine": "postgres", "Sqlite3Engine": "sqlite"}
_DRIVERS = ("psycopg2", "sqlite3")


# After an outage each connection of Synapse's pool is dead until somebody uses it. Synapse does not
# repeat an interaction that met one (`adbapi.ConnectionLost`). By default the pool has ten.
_MOST_CONNECTIONS = 10


class ReadProblemError(Exception):
    """Something could not be read; the message is one line."""


@attrs.frozen
class ConnectionSettings:
    """How Synapse connects to a database."""

    is_sqlite: bool  # True: SQLite; False: PostgreSQL
    # Arguments of the driver's `connect`, with secrets.
    arguments: Mapping[str, Any] = attrs.field(repr=False)


class Database:
    """One database of the server, with its queue of updates.

    What is awaited raises whatever the database or a lost connection raises.
    """

    def __init__(
        self, api: ModuleApi, name: str, pool: Any = None, *, is_main: bool = False
    ) -> None:
        self.name = name  # Synapse's name for it
        self.has_worked = False  # whether a batch has begun there since the start
        self._api = api
        self._pool = pool
        self._is_main = is_main  # then the module API is enough to ask it

    @property
    def enabled(self) -> bool:
        """Synapse's own switch for background updates; True if it cannot be read."""
        return bool(get(self._pool, "updates", "enabled", default=True))

    @property
    def is_sqlite(self) -> bool:
        """Whether it is SQLite, where a batch holds the lock of the only writer."""
        return self.engine == "sqlite"

    @property
    def _performance(self) -> Any:
        return call(get(self._pool, "updates", "get_current_update"))

    def items_done(self) -> int | None:
        """Items that Synapse counted for the current update since it started; None: unknown."""
        items = get(self._performance, "total_item_count")
        return items if isinstance(items, int) else None

    def items_per_ms(self) -> float | None:
        """Synapse's own average for the current update; 0: it counted no item; None: unknown."""
        if self.items_done() == 0:
            return 0.0
        average = call(get(self._performance, "average_items_per_ms"))
        return float(average) if isinstance(average, int | float) else None

    def start(self) -> bool:
        """Make Synapse work on its updates, as its admin API does; False: not possible."""
        start = get(self._pool, "updates", "start_doing_background_updates")
        call(start)
        return start is not None

    def known_updates(self) -> frozenset[str]:
        """The names of all updates that this server can run; empty: unknown."""
        return frozenset(self._handlers())

    def tables_of(self, update_name: str) -> frozenset[str] | None:
        """The tables that the update works on; None: unknown.

        Synapse makes handlers for index builds and validations in a function with the argument
        `table`. It can be read from the handler's closure.
        """
        tables = tables_of_batched(update_name)
        if tables is not None:
            return tables
        handler = get(self._handlers().get(update_name), "callback")
        variables = None if handler is None else call(getclosurevars, handler)
        table = get(variables, "nonlocals", default={}).get("table")
        return frozenset({table}) if isinstance(table, str) else None

    def is_controlled_by(self, on_update: Callable[..., Any]) -> bool:
        """Whether this callback is the registered one; True if that is unknown."""
        return bool(
            get(self._pool, "updates", "_on_update_callback", default=on_update) == on_update
        )

    async def run(self, description: str, function: Callable[..., Any], *arguments: Any) -> Any:
        """Run the function in a transaction, in a thread, with a cursor as its first argument.

        Synapse first tries again four times after an error of the database, so the function may run
        twice. This raises whatever the function raises, too.
        """
        run = self._api.run_db_interaction
        if not self._is_main:
            run = get(self._pool, "runInteraction", default=run)
        for _ in range(_MOST_CONNECTIONS):
            with suppress(ConnectionLost):
                return await run(description, function, *arguments)
        return await run(description, function, *arguments)

    def one_shots(self) -> frozenset[str]:
        """The names of the updates that Synapse flags as one-shots."""
        handlers = self._handlers().items()
        return frozenset(name for name, handler in handlers if get(handler, "oneshot"))

    @property
    def is_running(self) -> bool | None:
        """Whether Synapse's loop runs: it is in an iteration, or about to read the queue.

        None: unknown.
        """
        running = get(self._pool, "updates", "_running")
        return None if running is None else bool(running)

    @property
    def has_aborted(self) -> bool:
        """Whether Synapse gave up after five failures and has not been restarted."""
        # The mark stays after somebody restarted the updates and they finished, or were disabled.
        done = get(self._pool, "updates", "_all_done")
        if self.is_running is not False or done or not self.enabled:
            return False
        marked = get(self._pool, "updates", "_aborted")
        if marked is None:  # before Synapse 1.86 a stopped loop means an abort, if it has worked
            return self.has_worked or self.current_update is not None
        return bool(marked)

    @property
    def current_update(self) -> str | None:
        """The update that Synapse works on; None: none, or unknown."""
        name = get(self._pool, "updates", "_current_background_update")
        return name if isinstance(name, str) else None

    @property
    def engine(self) -> str:
        """`postgres`, `sqlite` or `unknown`."""
        return _ENGINES.get(type(get(self._pool, "engine")).__name__, "unknown")

    def connection_settings(self) -> ConnectionSettings | None:
        """How Synapse connects to it; None: unknown."""
        pool = get(self._pool, "_db_pool")
        arguments, driver = get(pool, "connkw"), get(pool, "dbapiName")
        if not isinstance(arguments, dict) or driver not in _DRIVERS:
            return None
        return ConnectionSettings(driver == "sqlite3", arguments)

    async def queue(self) -> tuple[QueueRow, ...]:
        """The queue of updates, by ordering and name."""
        queue: tuple[QueueRow, ...] = await self._read("bgthrottle_queue", _QUEUE, QueueRow.read)
        return queue

    def session_pids(self) -> list[int]:
        """PostgreSQL's process ids of this process's connections, as far as known.

        They come from the driver, without a query.
        """
        connections: list[Any] | None = call(
            list, call(get(self._pool, "_db_pool", "connections", "values"))
        )
        pids = (call(get(each, "get_backend_pid")) for each in connections or ())
        return [pid for pid in pids if isinstance(pid, int)]

    async def ask_row(self, sql: str) -> Sequence[Any] | None:
        """The first row of a query, within two seconds; None: no row."""
        rows: tuple[Sequence[Any], ...] = await self._read("bgthrottle_ends", sql, tuple)
        return rows[0] if rows else None

    async def _read(self, description: str, sql: str, kind: Callable[[Any], Any]) -> Any:
        answer = await self.run(description, _read, sql, kind)
        if isinstance(answer, ReadProblemError):
            raise answer
        return answer

    async def probe(self, needs_room: bool = False) -> str | None:
        """Check whether a batch could be committed. None: yes; otherwise the database's error.

        With `needs_room` it writes some MiB. This is expensive, so use it only after a full disk.
        """
        complaint: str | None = await self.run("bgthrottle_probe", _probe, needs_room)
        return complaint

    def _handlers(self) -> Any:
        handlers = get(self._pool, "updates", "_background_update_handlers")
        return handlers if isinstance(handlers, dict) else {}


def engine_of(txn: Any) -> str:
    """`PostgresEngine` or `Sqlite3Engine`, from a transaction's cursor."""
    return type(getattr(txn, "database_engine", None)).__name__


def _read(txn: Any, sql: str, kind: Callable[[Any], Any]) -> tuple[Any, ...] | ReadProblemError:
    """Each row, converted by `kind` in this thread: a queue may have many thousands."""
    # Return errors instead of raising them, as in `_probe`.
    try:
        if engine_of(txn) == "PostgresEngine":
            txn.execute(_LIMIT_TIME)
        txn.execute(sql)
        return tuple(map(kind, txn.fetchall()))
    except Exception as error:  # in a database thread, where nothing is cancelled
        return ReadProblemError(complaint_of(error))


def _probe(txn: Any, needs_room: bool) -> str | None:
    # Catch errors here: Synapse would try again four times, in a thread that clients need.
    engine = engine_of(txn)
    try:
        if engine == "Sqlite3Engine":
            _write_nothing_to_sqlite(txn)
            if needs_room:
                _grow_on_sqlite(txn)
        elif engine == "PostgresEngine":
            txn.execute(f"{_LIMIT_TIME}; {_WRITE_NOTHING}")  # one round trip
            if needs_room:
                txn.execute(_GROW_ON_POSTGRES)
        else:
            txn.execute(_WRITE_NOTHING)
    except Exception as error:  # in a database thread, where nothing is cancelled
        if is_refusal(error):
            return None  # the database does not understand it, but it answers
        if not is_from_database(error):
            raise
        return complaint_of(error)
    return None


def _write_nothing_to_sqlite(txn: Any) -> None:
    # Do not wait for a lock: that would block the only database thread.
    txn.execute("PRAGMA busy_timeout")
    (busy_timeout_ms,) = txn.fetchone()
    txn.execute("PRAGMA busy_timeout = 0")
    try:
        txn.execute(_WRITE_NOTHING)
    finally:
        txn.execute(f"PRAGMA busy_timeout = {int(busy_timeout_ms)}")


def _grow_on_sqlite(txn: Any) -> None:
    txn.execute("SAVEPOINT bgthrottle_room")
    try:
        for statement in _GROW_ON_SQLITE:
            txn.execute(statement)
    finally:
        with suppress(Exception):  # SQLite may have ended the transaction by itself
            txn.execute("ROLLBACK TO SAVEPOINT bgthrottle_room")
            txn.execute("RELEASE SAVEPOINT bgthrottle_room")
