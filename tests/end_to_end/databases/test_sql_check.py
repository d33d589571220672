"""The SQL check on real databases runs one statement without side effects."""

import signal
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from synapse_bgthrottle.homeserver.internals.database import ConnectionSettings
from synapse_bgthrottle.homeserver.sampling.sql_check import first_value
from testbed.servers import pgbouncer
from testbed.servers.pgbouncer import PgBouncer
from testbed.servers.postgres import PostgresServer
from testbed.waiting import HANG_S, stays_true, wait_until
from tests.end_to_end.databases.postgres_world import NAME, TABLE, hang

Ask = Callable[[str], tuple[float | None, str]]

_NOT_ONE = "the query is not one statement that answers rows"
_TOO_LONG = "canceling statement due to statement timeout"
_NOTHING = "the query answers nothing"
# What a session of PostgreSQL, or the whole database, keeps of what was done.
_KEPT = f"""
SELECT (SELECT count(*) FROM {TABLE}), (SELECT count(*) FROM pg_class),
    (SELECT count(*) FROM pg_largeobject_metadata),
    (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'),
    (SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE '%sql check%')"""


@pytest.fixture
def ask(plain_postgres: PostgresServer) -> Ask:
    """Asks the database `signals` as a server would."""
    settings = ConnectionSettings(False, plain_postgres.connection(NAME))
    return lambda query: first_value(settings, query)


@pytest.fixture
def functions(plain_postgres: PostgresServer) -> Iterator[None]:
    """Functions that do more than a query should."""
    bodies = {
        "writes": f"DELETE FROM {TABLE}; RETURN 1;",
        "allows_writing": f"SET transaction_read_only = off; DELETE FROM {TABLE}; RETURN 1;",
        "prepares": "EXECUTE 'PREPARE left_behind AS SELECT 1'; RETURN 1;",
        "listens": "EXECUTE 'LISTEN left_behind'; RETURN 1;",
        "commits": "COMMIT; RETURN 1;",
        "goes_on": "LOOP BEGIN PERFORM pg_sleep(60); EXCEPTION WHEN query_canceled THEN END;"
        " END LOOP;",
    }
    with plain_postgres.session(NAME) as cursor:
        for name, body in bodies.items():
            cursor.execute(
                f"CREATE FUNCTION {name}() RETURNS int LANGUAGE plpgsql AS $$ BEGIN {body} END $$"
            )
        cursor.execute("CREATE TABLE droppable (key int)")
        yield
        cursor.execute(f"DROP FUNCTION {', '.join(bodies)}")
        cursor.execute("DROP TABLE droppable")


@pytest.mark.parametrize(
    ("answer", "query"),
    [
        ((1, ""), "SELECT 1"),
        ((2.5, ""), "SELECT 2.5, 3"),
        ((1, ""), "  /* one */ SELECT 1; -- and no more"),
        ((3, ""), "VALUES (3), (4)"),
        ((20000, ""), f"WITH n AS (SELECT count(*) AS n FROM {TABLE}) TABLE n"),
        ((1, ""), f"SELECT 1 FROM {TABLE} WHERE '?' LIKE '%' AND $$a$$ = 'a' AND 5 % 2 = 1"),
        ((1, ""), "SELECT pg_is_in_recovery() = FALSE"),
        ((0, ""), "SELECT pg_is_in_recovery()"),
        ((16384, ""), "SELECT setting FROM pg_settings WHERE name = 'shared_buffers'"),
        ((None, _NOTHING), "SELECT NULL"),
        ((None, _NOTHING), "SELECT 1 WHERE FALSE"),
        ((None, _NOTHING), "SELECT 'NaN'::float8"),
        ((None, "could not convert string to float: 'many'"), "SELECT 'many'"),
        ((None, 'relation "nowhere" does not exist'), "SELECT 1 FROM nowhere"),
        ((None, _TOO_LONG), "SELECT pg_sleep(60)"),
    ],
)
def test_answers(ask: Ask, answer: tuple[float | None, str], query: str) -> None:
    """The first value of the first row, whatever the query's text has in it."""
    wait_until(lambda: ask(query) == answer)


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ("SET ROLE pg_monitor; SELECT 1", _NOT_ONE),
        ("SET search_path = nowhere", _NOT_ONE),
        ("SET LOCAL statement_timeout = 0; SELECT pg_sleep(60)", _NOT_ONE),
        (f"COMMIT; INSERT INTO {TABLE} VALUES (1, 'a')", _NOT_ONE),
        ("COMMIT; DROP TABLE droppable; SELECT 1", _NOT_ONE),
        ("ROLLBACK", _NOT_ONE),
        ("SELECT 1); DROP TABLE droppable; SELECT (1", "syntax error"),
        ("$bgthrottle$; DROP TABLE droppable; DO $bgthrottle$", "syntax error"),
        ("'); DROP TABLE droppable; --", "unterminated quoted string"),
        ("PREPARE left_behind AS SELECT 1", _NOT_ONE),
        ("LISTEN left_behind", _NOT_ONE),
        ("CREATE TEMP TABLE mine (key int)", _NOT_ONE),
        ("SELECT 1 AS key INTO TEMP mine", _NOT_ONE),
        ("DECLARE mine CURSOR WITH HOLD FOR SELECT 1", _NOT_ONE),
        ("LOAD 'auto_explain'", _NOT_ONE),
        ("COPY (SELECT 1) TO PROGRAM 'touch /tmp/left_behind'", _NOT_ONE),
        ("DO $$ BEGIN PERFORM pg_sleep(60); END $$", _NOT_ONE),
        (f"DELETE FROM {TABLE} RETURNING 1", "read-only transaction"),
        (f"WITH gone AS (DELETE FROM {TABLE} RETURNING 1) SELECT 1", "read-only transaction"),
        (f"SELECT 1 FROM {TABLE} FOR UPDATE", "read-only transaction"),
        ("SELECT writes()", "read-only transaction"),
        ("SELECT allows_writing()", "must be set before any query"),
        ("SELECT commits()", "invalid transaction termination"),
        ("SELECT 1 FROM set_config('statement_timeout', '0', FALSE), pg_sleep(60)", _TOO_LONG),
        ("SELECT 1 FROM set_config('transaction_read_only', 'off', FALSE)", "before any query"),
        ("SELECT repeat('x', 1000000)", "could not convert string to float: 'xx"),
    ],
)
def test_what_is_refused(
    ask: Ask, functions: None, plain_postgres: PostgresServer, query: str, problem: str
) -> None:
    """More than one statement, what answers no rows, what writes, and what takes long."""
    with plain_postgres.session(NAME) as cursor:
        cursor.execute(_KEPT)
        before = cursor.fetchone()
        assert 0 == before[-1]
        wait_until(lambda: problem in _refusal(ask(query)))
        wait_until(lambda: _kept(cursor) == before)


def _answers_one(settings: ConnectionSettings, query: str) -> bool:
    return first_value(settings, query) == (1, "")


def _refusal(answer: tuple[float | None, str]) -> str:
    value, problem = answer
    assert value is None
    assert len(problem) < 200
    return problem


def _kept(cursor: Any) -> Any:
    cursor.execute(_KEPT)
    return cursor.fetchone()


_LASTING = (
    "SELECT 1 FROM set_config('role', 'pg_monitor', FALSE)",
    "SELECT 1 FROM set_config('search_path', 'nowhere', FALSE)",
    "SELECT 1 FROM pg_advisory_lock(42)",
    "SELECT prepares()",
    "SELECT listens()",
)


@pytest.mark.parametrize("query", _LASTING)
def test_nothing_outlives_the_question(
    ask: Ask, functions: None, plain_postgres: PostgresServer, query: str
) -> None:
    """What a session keeps ends with the session, which is the question's own."""
    with plain_postgres.session(NAME) as cursor:
        before = _kept(cursor)
        wait_until(lambda: ask(query) == (1, ""))
        wait_until(lambda: _kept(cursor) == before)
        as_before = "SELECT 1 WHERE current_schema = 'public' AND current_user = 'synapse'"
        wait_until(lambda: ask(as_before) == (1, ""))


@pytest.mark.skipif(
    not pgbouncer.is_installed(), reason="NOT TESTED: PgBouncer is not installed (apt: pgbouncer)"
)
def test_nothing_outlives_the_question_behind_a_pooler(
    functions: None, plain_postgres: PostgresServer, tmp_path: Path
) -> None:
    """It ends the connection that it keeps, too: nobody else gets it."""
    with (
        PgBouncer(tmp_path, plain_postgres) as pooler,
        plain_postgres.session(NAME) as cursor,
    ):
        settings = ConnectionSettings(False, pooler.connection(NAME))
        before = _kept(cursor)
        for query in _LASTING:
            wait_until(partial(_answers_one, settings, query))
            wait_until(lambda: _kept(cursor) == before)
        assert (None, _NOT_ONE) == first_value(settings, "SET ROLE pg_monitor; SELECT 1")
        assert (None, _TOO_LONG) == first_value(settings, "SELECT pg_sleep(60)")
        wait_until(lambda: _kept(cursor) == before)


def test_a_large_object(ask: Ask, plain_postgres: PostgresServer) -> None:
    """Before PostgreSQL 16 a read-only transaction may make one: it does not stay."""
    with plain_postgres.session(NAME) as cursor:
        before = _kept(cursor)
        ask("SELECT lo_create(0)")
        wait_until(lambda: _kept(cursor) == before)


def test_what_does_not_end(ask: Ask, functions: None, plain_postgres: PostgresServer) -> None:
    """A function that catches the end of its time is left after two seconds, and ended then."""
    assert (None, "no answer within 2 s") == ask("SELECT goes_on()")
    with plain_postgres.session(NAME) as cursor:
        wait_until(lambda: _kept(cursor)[-1] == 0)


def test_a_postgres_that_hangs(ask: Ask, plain_postgres: PostgresServer) -> None:
    """No thread waits for it longer than the limit, whenever it stopped answering."""
    asked = threading.Event()
    told: list[tuple[float | None, str]] = []

    def go_on_asking() -> None:
        for _ in range(1000):
            told.append(ask("SELECT 1"))
            asked.set()
            if told[-1] != (1, ""):
                return

    thread = threading.Thread(target=go_on_asking, daemon=True)
    thread.start()
    assert asked.wait(HANG_S)
    hang(plain_postgres, signal.SIGSTOP)
    try:
        thread.join(HANG_S)
        assert not thread.is_alive()
        assert told[-1][0] is None
        value, problem = ask("SELECT 1")  # which does not get beyond connecting
        assert (None, True) == (value, "timeout expired" in problem)
    finally:
        hang(plain_postgres, signal.SIGCONT)
    wait_until(lambda: ask("SELECT 1") == (1, ""))


def test_no_line_in_the_log_of_postgres(ask: Ask, plain_postgres: PostgresServer) -> None:
    """A question that is answered leaves none: its connection is closed as it should be."""
    logs: list[str] = []

    def is_answered() -> bool:
        logs[:] = [plain_postgres.log()]
        return ask("SELECT 1") == (1, "")

    wait_until(is_answered)
    assert stays_true(lambda: logs == [plain_postgres.log()], 0.5)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A database of SQLite whose name needs care."""
    path = tmp_path / "a server?mode=rwc#%41.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE users (name TEXT)")
        connection.execute("INSERT INTO users VALUES ('alice'), ('bob')")
    return path


def _asked(path: Path | str, query: str) -> tuple[float | None, str]:
    return first_value(ConnectionSettings(True, {"database": str(path)}), query)


_COUNTED = "WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n)"


@pytest.mark.parametrize(
    ("answer", "query"),
    [
        ((2, ""), "SELECT count(*) FROM users"),
        ((2.5, ""), "SELECT 2.5, 3; -- and no more"),
        ((1, ""), "SELECT 1 WHERE '?' LIKE '%'"),
        ((100, ""), f"{_COUNTED} SELECT x FROM n LIMIT 1 OFFSET 99"),
        ((2, ""), "PRAGMA page_count"),
        ((None, _NOTHING), "SELECT NULL"),
        ((None, _NOTHING), "SELECT 1 WHERE 1 = 0"),
        ((None, "could not convert string to float: 'many'"), "SELECT 'many'"),
        ((None, "no such table: nowhere"), "SELECT 1 FROM nowhere"),
        ((None, "no answer within 250 ms"), f"{_COUNTED} SELECT max(x) FROM n"),
        ((None, "no answer within 250 ms"), "SELECT count(*) FROM big, big, big, big"),
    ],
)
def test_sqlite_answers(file: Path, answer: tuple[float | None, str], query: str) -> None:
    """As PostgreSQL, by a connection that only reads."""
    with closing(sqlite3.connect(file)) as connection, connection:
        rows = f"{_COUNTED} SELECT x FROM n LIMIT 10000"
        connection.execute(f"CREATE TABLE big AS {rows}" if "big" in query else "SELECT 1")
    assert answer == _asked(file, query)


@pytest.mark.parametrize(
    "query",
    [
        "DELETE FROM users RETURNING 1",
        "DROP TABLE users",
        "CREATE TABLE mine (key INT)",
        "CREATE TEMP TABLE mine (key INT)",
        "COMMIT",
        "SAVEPOINT mine",
        "SELECT 1; DROP TABLE users",
        "ATTACH 'left_behind' AS another",
        "VACUUM INTO 'left_behind'",
        "PRAGMA user_version = 5",
        "PRAGMA query_only = off",
        "PRAGMA hard_heap_limit = 1",
        "PRAGMA journal_mode = WAL",
        "SELECT load_extension('left_behind')",
    ],
)
def test_sqlite_refuses(
    file: Path, query: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All but reading; nothing changes in the file, and none is made."""
    monkeypatch.chdir(tmp_path)
    before = file.read_bytes()
    value, problem = _asked(file, query)
    assert (None, True) == (value, problem != "")
    assert (before, [file]) == (file.read_bytes(), list(tmp_path.iterdir()))


@pytest.mark.skipif(sys.version_info < (3, 11), reason="Python 3.10 cannot limit SQLite")
@pytest.mark.parametrize(
    "query",
    [
        "SELECT zeroblob(900000000)",
        "SELECT hex(zeroblob(400000000))",
        "SELECT instr(zeroblob(900000), zeroblob(450000) || x'01')",
    ],
)
def test_sqlite_values_that_would_stop_the_server(file: Path, query: str) -> None:
    """To copy 1 GB, Python would stop for seconds; to search in 1 MB keeps a thread for as long."""
    assert (None, "string or blob too big") == _asked(file, query)


def test_sqlite_beside_a_writer(file: Path) -> None:
    """The server goes on writing, and a batch that keeps readers out is waited for."""
    with closing(sqlite3.connect(file, isolation_level=None, check_same_thread=False)) as server:
        server.execute("BEGIN IMMEDIATE")
        server.execute("INSERT INTO users VALUES ('carol')")
        assert (2, "") == _asked(file, "SELECT count(*) FROM users")
        server.execute("COMMIT")
        server.execute("BEGIN EXCLUSIVE")
        end = threading.Timer(0.5, server.execute, ("COMMIT",))
        end.start()
        assert (3, "") == _asked(file, "SELECT count(*) FROM users")
        end.join()
        server.execute("INSERT INTO users VALUES ('dave')")
    assert (4, "") == _asked(file, "SELECT count(*) FROM users")


@pytest.mark.parametrize("path", [":memory:", "", "file:x?mode=memory"])
def test_sqlite_without_a_file(path: str) -> None:
    """What only one connection can see cannot be asked by another."""
    assert (None, "the check needs a database that is a file") == _asked(path, "SELECT 1")
