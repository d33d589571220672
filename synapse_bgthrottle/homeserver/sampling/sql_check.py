"""The administrator's SQL check: one statement, on a connection of its own, without side effects.

The connection is not from Synapse's pool, so what the query sets, locks or prepares ends with it.
It is closed within its transaction. So nothing is committed, and a pooler closes its connection,
too, instead of giving it to others.
"""

import math
import os
import socket
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from importlib import import_module
from typing import Any
from urllib.parse import quote

from synapse_bgthrottle.core.scheduling.failures import complaint_of
from synapse_bgthrottle.homeserver.internals.database import ConnectionSettings
from synapse_bgthrottle.homeserver.sampling.database_queries import LONGEST_STATEMENT_MS

# For everything. PostgreSQL ends a slow statement earlier, but not if the server hangs.
LONGEST_S = 2.0
# A batch that fills SQLite's cache locks readers out until it ends. This wait costs nothing.
_LONGEST_LOCK_S = 5.0

_LONGEST_ANSWER = 100

_BEGIN = (
    f"BEGIN READ ONLY; SET LOCAL statement_timeout = {LONGEST_STATEMENT_MS};"
    f" SET LOCAL lock_timeout = {LONGEST_STATEMENT_MS}; SET LOCAL cursor_tuple_fraction = 1"
)
# Otherwise a query that catches its time-out continues, even if the client is gone.
_HAND_OVER = """
SELECT pg_catalog.set_config('bgthrottle.query', %s, TRUE), (
    SELECT pg_catalog.set_config(name, '500', TRUE) FROM pg_catalog.pg_settings
    WHERE name = 'client_connection_check_interval'
        AND pg_catalog.strpos(pg_catalog.version(), 'linux') > 0)"""
# The query is not sent directly: PostgreSQL would run each of several statements, and a COMMIT
# among them would end the transaction. A cursor accepts only one statement that returns rows. If
# the statement changes its time limit, the old limit still applies to it.
_ASK = f"""
DO $bgthrottle$
DECLARE
    question pg_catalog.refcursor;
    answer pg_catalog.text;
BEGIN
    OPEN question NO SCROLL FOR EXECUTE pg_catalog.current_setting('bgthrottle.query');
    FETCH question INTO answer;
    PERFORM pg_catalog.set_config(
        'bgthrottle.answer', coalesce(pg_catalog."left"(answer, {_LONGEST_ANSWER}), ''), TRUE);
END $bgthrottle$"""
_ANSWER = "SELECT pg_catalog.current_setting('bgthrottle.answer')"
_NOT_ONE_QUERY = "42P11"  # invalid_cursor_definition
_ACCEPTED = "the query is not one statement that answers rows"

_TRUTH = {"t": 1.0, "true": 1.0, "f": 0.0, "false": 0.0, "": math.nan, None: math.nan}

# Everything that reading needs. A pragma without an argument only reads.
_SQLITE_ALLOWED = {
    sqlite3.SQLITE_FUNCTION,
    sqlite3.SQLITE_READ,
    sqlite3.SQLITE_RECURSIVE,
    sqlite3.SQLITE_SELECT,
}

# In bytes. SQLite cannot interrupt a function, and Python copies a value while the server waits. A
# search in a value takes the square of its length: seconds at 250 kB, a minute at 1 MB.
_LARGEST_SQLITE_VALUE = 250_000
_SQLITE_LIMIT_LENGTH = 0


class SqlCheckError(Exception):
    """The query could not be run; the message is one line."""


def first_value(settings: ConnectionSettings | None, query: str) -> tuple[float | None, str]:
    """The first value of the query's first row, or None and the reason. Blocks for a limited time.

    Booleans count as 1 and 0.
    """
    try:
        if settings is None:
            raise SqlCheckError("it is not known how this Synapse connects to its database")
        ask = _ask_sqlite if settings.is_sqlite else _ask_postgres
        answer = ask(settings.arguments, query)
        value = _TRUTH[answer] if answer in _TRUTH else float(answer)
    except Exception as error:  # in a thread, where nothing is cancelled
        return None, complaint_of(error)
    return (None, "the query answers nothing") if math.isnan(value) else (value, "")


def _ask_postgres(arguments: Mapping[str, Any], query: str) -> Any:
    psycopg2: Any = import_module("psycopg2")  # not installed where SQLite is used
    own = {"connect_timeout": int(LONGEST_S), "application_name": "synapse_bgthrottle sql check"}
    with closing(psycopg2.connect(**{**arguments, **own})) as connection:
        # the driver must not begin a transaction, because `_BEGIN` does
        connection.autocommit = True
        with _socket_limit(connection), connection.cursor() as cursor:
            cursor.execute(_BEGIN)
            cursor.execute(_HAND_OVER, (query,))
            try:
                cursor.execute(_ASK)
            except psycopg2.Error as error:
                if error.pgcode == _NOT_ONE_QUERY:
                    raise SqlCheckError(_ACCEPTED) from error
                raise
            cursor.execute(_ANSWER)
            (answer,) = cursor.fetchone()
            return answer


@contextmanager
def _socket_limit(connection: Any) -> Iterator[None]:
    """Close the connection after `LONGEST_S`, if PostgreSQL does not answer."""
    line = socket.socket(fileno=os.dup(connection.fileno()))
    limit = _time_limit(LONGEST_S, lambda: line.shutdown(socket.SHUT_RDWR), f"{LONGEST_S:g} s")
    with line, limit:
        yield


def _ask_sqlite(arguments: Mapping[str, Any], query: str) -> Any:
    path = str(arguments.get("database") or "")
    if path in {"", ":memory:"} or path.startswith("file:"):
        raise SqlCheckError("the check needs a database that is a file")
    address = f"file:{quote(os.path.abspath(path))}?mode=ro"
    with closing(
        sqlite3.connect(address, _LONGEST_LOCK_S, uri=True, isolation_level=None)
    ) as connection:
        connection.execute("BEGIN")
        connection.execute("SELECT 1 FROM sqlite_master").fetchone()  # waits for the lock
        connection.set_authorizer(_allows)
        if hasattr(connection, "setlimit"):  # since Python 3.11
            connection.setlimit(_SQLITE_LIMIT_LENGTH, _LARGEST_SQLITE_VALUE)
        limit = f"{LONGEST_STATEMENT_MS} ms"
        with _time_limit(LONGEST_STATEMENT_MS / 1000, connection.interrupt, limit):
            row = connection.execute(query).fetchone()
    return None if row is None else row[0]


def _allows(action: int, first: str | None, second: str | None, *_: Any) -> int:
    is_pragma_that_reads = action == sqlite3.SQLITE_PRAGMA and second is None
    if action in _SQLITE_ALLOWED or is_pragma_that_reads:
        return sqlite3.SQLITE_OK
    return sqlite3.SQLITE_DENY


@contextmanager
def _time_limit(limit_s: float, end: Callable[[], None], limit: str) -> Iterator[None]:
    """After this time call `end`, and turn any exception of the block into a TimeoutError."""
    is_over = threading.Event()

    def end_it() -> None:
        is_over.set()
        with suppress(Exception):  # the block may have just ended
            end()

    timer = threading.Timer(limit_s, end_it)
    timer.daemon = True  # a server that shuts down does not wait for it
    timer.start()
    try:
        yield
    except Exception as error:
        if is_over.is_set():
            raise TimeoutError(f"no answer within {limit}") from error
        raise
    finally:
        timer.cancel()
        timer.join()  # otherwise it could end something that comes later
