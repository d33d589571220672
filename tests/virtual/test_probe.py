"""Questions to the database, on a real SQLite."""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from twisted.internet.defer import ensureDeferred

from harness.virtual import VirtualServer
from synapse_bgthrottle.checks import first_value
from synapse_bgthrottle.homeserver import Homeserver

MakeServer = Callable[..., VirtualServer]


def ask(server: VirtualServer) -> Any:
    answers: list[Any] = []
    ensureDeferred(Homeserver(server.api).database("master").probe()).addCallback(answers.append)
    return answers[0]


@pytest.fixture
def server(virtual_server: MakeServer, tmp_path: Path) -> VirtualServer:
    """A server whose queue is a file, so that others can lock it."""
    server = virtual_server()
    server.pools["master"].use_file(tmp_path / "queue.db")
    return server


def test_a_database_that_answers(server: VirtualServer) -> None:
    """A writable database has no complaint, and nothing was changed."""
    before = server.pools["master"].connection.total_changes
    assert ask(server) is None
    assert before == server.pools["master"].connection.total_changes


def test_a_locked_database(server: VirtualServer, tmp_path: Path) -> None:
    """A lock is told at once, not waited for; the wait that others have is as before."""
    connection = server.pools["master"].connection
    connection.execute("PRAGMA busy_timeout = 4321")
    other = sqlite3.connect(tmp_path / "queue.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    assert "database is locked" == ask(server)
    other.execute("ROLLBACK")
    assert ask(server) is None
    assert (4321,) == connection.execute("PRAGMA busy_timeout").fetchone()


def test_a_read_only_database(server: VirtualServer) -> None:
    """A database that cannot be written to is not usable for a batch."""
    server.pools["master"].connection.execute("PRAGMA query_only = 1")
    assert "attempt to write a readonly database" == ask(server)


def test_a_question_that_is_not_understood(server: VirtualServer) -> None:
    """An error in our SQL, on a future schema, does not hold updates."""
    pool = server.pools["master"]

    class UndefinedTableError(sqlite3.ProgrammingError):
        pass

    def refuse(*_: object) -> Any:
        raise UndefinedTableError("relation background_updates does not exist")

    pool.transaction_execute = refuse
    assert ask(server) is None


def test_only_the_public_api(virtual_server: MakeServer) -> None:
    """Where the pool cannot be had, the public API is asked."""
    server = virtual_server()
    server.api._hs = None
    assert ask(server) is None


class FailingCursor:
    """One that fails where it is to allow writing again."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self._cursor = connection.cursor()
        self.fetchone = self._cursor.fetchone

    def execute(self, sql: str) -> None:
        if sql == "PRAGMA query_only = 0":
            raise sqlite3.OperationalError("interrupted")
        self._cursor.execute(sql)


def test_the_operators_query_leaves_the_database_writable(server: VirtualServer) -> None:
    """Also where allowing that again fails at first: all of Synapse has this connection only."""
    connection = server.pools["master"].connection
    txn = SimpleNamespace(
        txn=FailingCursor(connection),
        database_engine=server.pools["master"].transaction.database_engine,
    )
    assert (5.0, "") == first_value(txn, "SELECT 5", lambda: 0.0)
    assert (0,) == connection.execute("PRAGMA query_only").fetchone()
