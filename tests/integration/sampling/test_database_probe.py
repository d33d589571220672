"""The database probe on a real SQLite."""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import ensureDeferred

from synapse_bgthrottle.homeserver.internals.server import Homeserver
from testbed.virtual.server import VirtualServer

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
