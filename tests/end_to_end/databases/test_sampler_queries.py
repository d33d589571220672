"""The sampler's queries end soon, write nothing, and block no server."""

import os
import signal
import socket
from pathlib import Path
from typing import Any

import pytest

from synapse_bgthrottle.homeserver.sampling.operator_checks import folder_of
from testbed.servers.endpoints import endpoint, sends_for_ever
from testbed.servers.matrix import MatrixClient
from testbed.servers.postgres import PostgresServer
from testbed.servers.server import SynapseServer
from testbed.waiting import wait_until
from tests.end_to_end.databases.postgres_world import Asked, Others, connected, hang


def test_locked_catalog(asked: Asked, others: Others) -> None:
    """A question that has to wait ends by itself after a quarter of a second."""
    others.session().execute("LOCK TABLE pg_database IN ACCESS EXCLUSIVE MODE")
    assert "canceling statement due to" in asked.sample_once().problem


def test_where_the_files_are(asked: Asked, plain_postgres: PostgresServer) -> None:
    """The folder is known to a role that may, and unknown to one that may not."""
    assert os.path.isdir(asked.ask(folder_of))
    with connected(plain_postgres, user="stranger") as connection:
        assert Asked(connection).ask(folder_of) is None


def test_in_a_server(plain_postgres: PostgresServer, tmp_path: Path) -> None:
    """A real server with a pool of one samples without a complaint, also while PostgreSQL hangs."""
    plain_postgres.create_database("server")
    arguments = {**plain_postgres.connection("server"), "cp_min": 1, "cp_max": 1}
    deaf = socket.create_server(("127.0.0.1", 0))  # takes connections, and never answers
    checks = {
        "sql_query": "SELECT 1",
        "http_url": f"http://127.0.0.1:{deaf.getsockname()[1]}/",
        "pause_file": str(tmp_path / "pause"),
    }
    module = {"module": "tests.end_to_end.databases.sampling.Sampling", "config": checks}
    extra = {
        "database": {"name": "psycopg2", "args": arguments},
        "modules": [module],
        "run_background_tasks_on": "another_worker",
        "background_updates": {"sleep_duration_ms": 3_600_000},
    }
    server = SynapseServer(tmp_path, None, extra)
    with deaf, server:
        wait_until(lambda: server.log().count("DatabaseSample(") >= 4)
        wait_until(lambda: all(told in server.log() for told in _TOLD))
        hang(plain_postgres, signal.SIGSTOP)
        try:
            wait_until(lambda: "no answer for 3 s" in server.log())
            wait_until(lambda: "is_unanswered=True" in server.log())
        finally:
            hang(plain_postgres, signal.SIGCONT)
        answered = server.log().count("problem='', pool_wait_s=")
        wait_until(lambda: server.log().count("problem='', pool_wait_s=") > answered + 1)
        server.stop()
    assert 0 == server.exit_status()
    log = server.log()
    for complaint in ("logging context", "log context", "logcontext", "Traceback", "sentinel"):
        assert complaint not in log


_TOLD = (
    "name='disk_free', value=",
    "name='http', value=None, problem='no answer within 2 s'",
    "name='pause_file', value=0.0",
    "name='sql', value=1.0",
    "responses={",
    "ticks=",
)


def test_hostile_checks_in_a_server(plain_postgres: PostgresServer, tmp_path: Path) -> None:
    """A query that takes the role away, and an endpoint that sends for ever: neither harms it."""
    plain_postgres.create_database("hostile")
    for_ever = sends_for_ever(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 65536)
    with endpoint(for_ever) as there:
        checks = {
            "sql_query": "SET ROLE stranger; SELECT 1",
            "http_url": f"http://127.0.0.1:{there.port}/",
        }
        arguments = {**plain_postgres.connection("hostile"), "cp_min": 1, "cp_max": 2}
        extra = {
            "database": {"name": "psycopg2", "args": arguments},
            "modules": [
                {"module": "tests.end_to_end.databases.sampling.Sampling", "config": checks}
            ],
        }
        with SynapseServer(tmp_path, None, extra) as server:
            client = MatrixClient.register(server.url, "alice", admin=False)
            wait_until(lambda: "problem='the query is not one statement" in server.log())
            for number in range(10):
                assert client.create_room(f"room {number}")
            wait_until(lambda: server.log().count("name='http', value=0.0") >= 2)
            wait_until(lambda: there.ended_count >= 2)
            assert 2 <= len(there.asked)
            with plain_postgres.session("hostile") as cursor:
                wait_until(lambda: not _checks_in(cursor))
        assert "Traceback" not in server.log()


def _checks_in(cursor: Any) -> Any:
    """The sessions of SQL checks."""
    cursor.execute("SELECT 1 FROM pg_stat_activity WHERE application_name LIKE '%check'")
    return cursor.fetchall()


_COUNT_FOR_EVER = "WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n)"


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ("DELETE FROM users RETURNING 1", "not authorized"),
        (f"{_COUNT_FOR_EVER} SELECT max(x) FROM n", "no answer within 250 ms"),
    ],
)
def test_in_a_server_on_sqlite(tmp_path: Path, query: str, problem: str) -> None:
    """The operator's query may not write, and not take long; the server writes after it."""
    module = {
        "module": "tests.end_to_end.databases.sampling.Sampling",
        "config": {"sql_query": query},
    }
    server = SynapseServer(tmp_path, None, {"modules": [module]})
    with server:
        wait_until(lambda: f"name='sql', value=None, problem='{problem}'" in server.log())
        MatrixClient.register(server.url, "alice", admin=False)
        server.stop()
    assert 0 == server.exit_status()
    for complaint in ("logging context", "Traceback", "sentinel"):
        assert complaint not in server.log()
