"""The service behind the HTTP API on the virtual server: levers, also on a silent database."""

import sqlite3
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.python.failure import Failure

from synapse_bgthrottle.core.levers.request import (
    Action,
    StoreUnavailableError,
    parse_lever_request,
)
from synapse_bgthrottle.homeserver.internals.database import Database
from testbed.virtual.server import VirtualServer, Work
from tests.integration.virtual_module import (
    ADMIN,
    change_levers,
    levers_of,
    queued,
    rows,
    service_of,
    stated,
)

MakeServer = Callable[..., VirtualServer]


def _pulling(server: VirtualServer, action: str, **request: Any) -> list[Any]:
    """What comes of it, when it comes."""
    told: list[Any] = []
    parsed = parse_lever_request(Action(action), request)
    ensureDeferred(service_of(server).change_levers(parsed, ADMIN)).addBoth(told.append)
    return told


def test_a_server_that_ends(virtual_server: MakeServer) -> None:
    """It makes no change any more, and says so instead of failing."""
    server = virtual_server()
    queued(server, "work")
    server.load({})
    server.advance(5)
    with patch.object(server.api, "delayed_background_call", side_effect=RuntimeError("no more")):
        (told,) = _pulling(server, "pause", update="work")
    assert isinstance(told.value, StoreUnavailableError)
    assert "nothing has changed: the server ends" == str(told.value)
    assert [] == rows(server, "SELECT * FROM bgthrottle_levers")


def test_write_that_takes_long_is_finished(virtual_server: MakeServer) -> None:
    """After 10 s it is said that it may still be done; when it is, it holds."""
    server = virtual_server()
    module = server.load({})
    server.advance(5)
    silent: list[Deferred[None]] = []
    server.pools["master"].silent = silent
    told = _pulling(server, "pause")
    server.advance(9)
    assert [] == told
    server.advance(1)
    assert isinstance(told[0], Failure)
    assert isinstance(told[0].value, StoreUnavailableError)
    assert "it may still be done" in str(told[0].value)
    assert told[0].value.may_be_done
    assert () == levers_of(module)
    server.pools["master"].silent = None
    silent[0].callback(None)
    server.advance(0)
    assert ["*"] == [lever.update for lever in levers_of(module)]
    assert [] == server.failures
    assert 1 == len(rows(server, "SELECT * FROM bgthrottle_levers"))


def test_who_hangs_up_does_not_undo_it(virtual_server: MakeServer) -> None:
    """A request that is cancelled while it is written leaves a lever that is whole."""
    server = virtual_server()
    module = server.load({})
    server.advance(5)
    silent: list[Deferred[None]] = []
    server.pools["master"].silent = silent
    parsed = parse_lever_request(Action.PAUSE, {})
    waiting = ensureDeferred(service_of(server).change_levers(parsed, ADMIN))
    waiting.addErrback(lambda _: None)
    server.advance(1)
    waiting.cancel()
    server.pools["master"].silent = None
    silent[0].callback(None)
    server.advance(0)
    assert 1 == len(levers_of(module)) == len(rows(server, "SELECT * FROM bgthrottle_levers"))
    assert 2 == len(change_levers(server, "pause")["in_force"])


def test_nothing_is_pulled_before_it_is_known_what_is(virtual_server: MakeServer) -> None:
    """Right after the start a lever waits for what was stored; if that stays away, it says so.

    The status waits too, and then tells it as a problem.
    """
    server = virtual_server()
    server.load({})
    told = _pulling(server, "pause")
    server.advance(0.1)
    assert 1 == len(told[0].in_force)
    later = virtual_server()
    later.pools["master"].silent = []
    later.load({})
    told = _pulling(later, "pause")
    server_status = stated(later, service_of(later).status(), 10)
    assert isinstance(told[0].value, StoreUnavailableError)
    assert "not read yet" in str(told[0].value)
    assert "store" == server_status["problems"][0]["kind"]


def test_release_needs_the_queues(virtual_server: MakeServer) -> None:
    """What is pending must be known to be released; a pause holds before a queue is asked."""
    server = virtual_server(databases=("master", "state"))
    queued(server, "work")
    for name in ("master", "state"):
        server.pools[name].updates.register_background_update_handler("other", Work(server, 1, 1))
    module = server.load({})
    server.advance(5)
    server.pools["state"].silent = []
    told = _pulling(server, "release", update="work")
    server.advance(3)
    assert "no answer within 3 s" in str(told[0].value)
    told = _pulling(server, "pause")
    server.advance(0)
    assert (1, []) == (len(levers_of(module)), told)
    server.advance(3)
    assert (1, ()) == (len(told[0].in_force), told[0].notes)


def test_what_holds_still_in_an_outage_is_noted(virtual_server: MakeServer) -> None:
    """The queue may be readable where nothing can be written: the disk is full, say."""
    server = virtual_server(databases=("master", "state"))
    work = Work(server, 10**9, cost_ms=1)
    work.database = "state"
    server.pools["state"].queue("work", work)
    server.load({"sleep": "1s"})
    server.start("state")
    server.advance(5)
    complaint = "attempt to write a readonly database"
    with patch.object(Database, "probe", side_effect=sqlite3.OperationalError(complaint)):
        server.advance(5)
        told = change_levers(server, "override", update="work", settings={"sleep": "2s"})
    assert (
        f"work in state is still held: the database does not answer: {complaint}" in told["notes"]
    )


def test_release_in_one_database_needs_no_other(virtual_server: MakeServer) -> None:
    """While another database is silent, an update of this one is released at once."""
    server = virtual_server(databases=("master", "state"))
    work = queued(server, "work")
    server.pools["state"].queue("other", Work(server, 1, 1))
    server.load({"sleep": 0, "approval": "required"})
    server.start()
    server.advance(5)
    server.pools["state"].silent = []
    released = change_levers(server, "release", update="work", database="master")
    assert (1, []) == (len(released["made"]), released["notes"])
    server.advance(5)
    assert work.starts_s
    told = _pulling(server, "release", update="*", database="state")
    server.advance(3)
    assert "no answer within 3 s" in str(told[0].value)


def test_questions_do_not_pile_up_while_the_database_is_silent(virtual_server: MakeServer) -> None:
    """No more than twenty are open at a time, all are answered in time, and then it is as before.

    What Synapse asks a database cannot be cancelled.
    """
    server = virtual_server()
    server.load({"sleep": "1s"})
    server.advance(1)
    (pool,) = server.pools.values()
    pool.silent = []
    told: list[Any] = []
    for _ in range(50):
        ensureDeferred(service_of(server).uses(1)).addErrback(told.append)
        server.advance(4)
    assert 50 == len(told)
    assert 21 == len(pool.silent)  # with the module's own look at the queue
    silent, pool.silent = pool.silent, None
    for question in silent:
        question.callback(None)
    server.advance(1)
    assert [] == stated(server, service_of(server).uses(1))


def test_a_silent_database_keeps_no_other_from_being_asked(virtual_server: MakeServer) -> None:
    """Its questions that have not ended count for itself alone."""
    server = virtual_server(databases=("master", "state"))
    server.load({"sleep": "1s"})
    server.advance(1)
    silent: list[Deferred[None]] = []
    server.pools["state"].silent = silent
    for _ in range(25):
        told = stated(server, service_of(server).status(), 4)
    assert 21 == len(silent)  # with the module's own look at the queue
    assert ["", "no answer to 20 earlier questions"] == [
        database["queue_problem"] for database in told["databases"]
    ]
    assert [] == stated(server, service_of(server).uses(1))
