"""The operator's SQL check: one statement, on a connection of its own, of which nothing stays.

The connection is none of Synapse's pool, so that whatever the query sets, locks or prepares ends
with it. It is closed amid its transaction: nothing was committed, and a pooler in between does not
give a connection that is in a transaction to anybody else, but closes it too.
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

# For all of it: PostgreSQL ends a statement by itself before, but one that hangs does not.
LONGEST_S = 2.0
# A batch that fills SQLite's cache keeps readers out until it ends. Waiting costs nobody anything.
_LONGEST_LOCK_S = 5.0

_LONGEST_ANSWER = 100

_BEGIN = (
    f"BEGIN READ ONLY; SET LOCAL statement_timeout = {LONGEST_STATEMENT_MS};"
    f" SET LOCAL lock_timeout = {LONGEST_STATEMENT_MS}; SET LOCAL cursor_tuple_fraction = 1"
)
# What catches the end of its time goes on, unless PostgreSQL notices that nobody waits any more.
_HAND_OVER = """
SELECT pg_catalog.set_config('bgthrottle.query', %s, TRUE), (
    SELECT pg_catalog.set_config(name, '500', TRUE) FROM pg_catalog.pg_settings
    WHERE name = 'client_connection_check_interval'
        AND pg_catalog.strpos(pg_catalog.version(), 'linux') > 0)"""
# Not sent as it is: of a text with several statements PostgreSQL would run each, and a COMMIT among
# them would end the transaction. A cursor takes one statement, and only one that answers rows; a
# time limit that is lifted amid a statement still holds for that statement, which is all of this.
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

# All that reading needs. A pragma without an argument only tells.
_SQLITE_ALLOWED = {
    sqlite3.SQLITE_FUNCTION,
    sqlite3.SQLITE_READ,
    sqlite3.SQLITE_RECURSIVE,
    sqlite3.SQLITE_SELECT,
}


class SqlCheckError(Exception):
    """The question could not be asked; says why in a line."""


def first_value(settings: ConnectionSettings | None, query: str) -> tuple[float | None, str]:
    """The first value of the query's first row, or None and why there is none. Blocks, for a time.

    Booleans count as 1 and 0.
    """
    try:
        if settings is None:
            raise SqlCheckError("it is not known how this Synapse connects to its database")
        ask = _ask_sqlite if settings.is_sqlite else _ask_postgres
        answer = ask(settings.arguments, query)
        value = _TRUTH[answer] if answer in _TRUTH else float(answer)
    except Exception as error:  # in a thread: nothing to be cancelled here
        return None, complaint_of(error)
    return (None, "the query answers nothing") if math.isnan(value) else (value, "")


def _ask_postgres(arguments: Mapping[str, Any], query: str) -> Any:
    psycopg2: Any = import_module("psycopg2")  # not installed where SQLite is used
    own = {"connect_timeout": int(LONGEST_S), "application_name": "synapse_bgthrottle sql check"}
    with closing(psycopg2.connect(**{**arguments, **own})) as connection:
        connection.autocommit = True  # the driver begins no transaction: `_BEGIN` does
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
    """The connection is cut after the time for all, where PostgreSQL does not answer."""
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
        limit = f"{LONGEST_STATEMENT_MS} ms"
        with _time_limit(LONGEST_STATEMENT_MS / 1000, connection.interrupt, limit):
            row = connection.execute(query).fetchone()
    return None if row is None else row[0]


def _allows(action: int, first: str | None, second: str | None, *_: Any) -> int:
    is_pragma_that_tells = action == sqlite3.SQLITE_PRAGMA and second is None
    if action in _SQLITE_ALLOWED or is_pragma_that_tells:
        return sqlite3.SQLITE_OK
    return sqlite3.SQLITE_DENY


@contextmanager
def _time_limit(limit_s: float, end: Callable[[], None], limit: str) -> Iterator[None]:
    """After this time `end` is called, and whatever that raises in here is a TimeoutError."""
    is_over = threading.Event()

    def end_it() -> None:
        is_over.set()
        with suppress(Exception):  # it has just ended by itself
            end()

    timer = threading.Timer(limit_s, end_it)
    timer.daemon = True  # a server that ends does not wait for it
    timer.start()
    try:
        yield
    except Exception as error:
        if is_over.is_set():
            raise TimeoutError(f"no answer within {limit}") from error
        raise
    finally:
        timer.cancel()
        timer.join()  # or it would end what is not this any more
