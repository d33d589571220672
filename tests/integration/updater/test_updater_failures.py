"""Synapse's own BackgroundUpdater under our callbacks: failures, outages and cancellations."""

import sqlite3
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from twisted.internet.defer import CancelledError, ensureDeferred

from testbed.virtual.server import VirtualServer, Work
from tests.integration.virtual_module import run, service_of, stated

MakeServer = Callable[..., VirtualServer]


def test_backoff_and_its_reset(virtual_server: MakeServer) -> None:
    """Failed iterations are followed by waits of 5, 15 and 30 s; a success starts anew."""
    server = virtual_server()
    work = Work(server, 10**9, cost_ms=1)
    work.fail = 3
    run(server, {"sleep": 0}, work, 50.5)
    gaps = [later - earlier for earlier, later in pairwise(work.starts_s[:4])]
    assert [5, 15, 30] == [pytest.approx(gap, abs=0.1) for gap in gaps]
    work.fail = 1
    count = len(work.starts_s)
    server.advance(6)
    assert 5 == pytest.approx(work.starts_s[count + 1] - work.starts_s[count], abs=0.1)


@pytest.mark.parametrize("config", [{}, {"max_batch_size": 1000}], ids=["target", "exact"])
@pytest.mark.parametrize("room_items", [1, 7, 60])
def test_room_for_the_question_but_not_for_a_batch(
    virtual_server: MakeServer, config: Any, room_items: int
) -> None:
    """A disk that is full in each large batch is not in a small one: none aborts, all is done."""
    server = virtual_server()
    work = Work(server, 200, cost_ms=1)

    async def needs_room(progress: dict[str, Any], batch_size: int) -> int:
        if batch_size > room_items:
            raise sqlite3.OperationalError("database or disk is full")
        return await work(progress, batch_size)

    server.load(config)
    server.pools["master"].queue("work", needs_room)
    ended: list[Any] = []
    server.start().addBoth(ended.append)
    for _ in range(24):
        if not ended:
            server.advance(3600)
    assert [None] == ended
    assert 0 == work.left_items


@pytest.mark.parametrize("items", [-(10**6), -1, 10**30, 10**300, True])
def test_items_that_nobody_did(virtual_server: MakeServer, items: int) -> None:
    """A handler may answer any number: the pace is kept, and status and history are whole."""
    server = virtual_server()
    work = Work(server, 10**9, cost_ms=1)

    async def answers(progress: dict[str, Any], batch_size: int) -> int:
        await work(progress, batch_size)
        return items

    server.load({"duty_cycle": "50%"})
    server.pools["master"].queue("work", answers)
    server.start()
    server.advance(60)
    assert 30 == pytest.approx(sum(work.took_s), abs=2)
    (database,) = stated(server, service_of(server).status())["databases"]
    assert "work" == database["current"]["name"]
    (entry,) = stated(server, service_of(server).history(9, None, None))
    assert 0 <= entry["items"] < 2**63


def test_five_failures_abort_later_than_in_stock(virtual_server: MakeServer) -> None:
    """A handler that always fails is given up by Synapse after 110 s, not after milliseconds."""
    server = virtual_server()
    work = Work(server, 10**9, cost_ms=1)
    work.fail = 10**6
    server.load({"sleep": 0})
    server.pools["master"].queue("work", work)
    failures: list[Any] = []
    server.start().addErrback(failures.append)
    server.advance(109)
    assert 4 == len(work.starts_s)
    assert [] == failures
    server.advance(3)
    assert 5 == len(work.starts_s)
    assert "aborting" in str(failures[0].value)


# A day shows a wait that grows with the outage by a hundredth, but takes a minute.
@pytest.mark.parametrize(
    "outage_s", [1, 10, 60, 3700, pytest.param(86_400, marks=pytest.mark.figures)]
)
def test_an_outage_of_any_length(virtual_server: MakeServer, outage_s: float) -> None:
    """While the database is gone nothing fails twice; within 10 s of its return work goes on."""
    server = virtual_server()
    work = Work(server, 10**9, cost_ms=1)
    run(server, {}, work, 10.5)
    pool = server.pools["master"]
    pool.broken = sqlite3.OperationalError("the database system is shutting down")
    server.advance(outage_s)
    tried = len(work.starts_s)
    pool.broken = None
    server.advance(10)
    assert len(work.starts_s) > tried
    assert pool.updates._running


def test_an_outage_between_two_updates(virtual_server: MakeServer) -> None:
    """Where the end of an update fails with the database, its successor is not looked for."""
    server = virtual_server()
    pool = server.pools["master"]
    first, second = Work(server, 100, cost_ms=1), Work(server, 100, cost_ms=1)

    async def ends_in_the_outage(progress: dict[str, Any], batch_size: int) -> int:
        pool.broken = sqlite3.OperationalError("gone")
        return await first(progress, batch_size)

    server.load({})
    pool.queue("first", ends_in_the_outage)
    pool.queue("second", second)
    server.start()
    server.advance(3600)
    pool.broken = None
    pool.updates.register_background_update_handler("first", Work(server, 100, cost_ms=1))
    server.advance(60)
    assert 0 == second.left_items
    assert not pool.updates._running


def test_a_silent_database_is_asked_once(virtual_server: MakeServer) -> None:
    """While a question is unanswered no second one is asked, and no batch is tried.

    There are four: that before a batch, that of the signals, that of the queue, and what is to be
    written of the history.
    """
    server = virtual_server()
    work = Work(server, 10**9, cost_ms=1)
    run(server, {"sleep": "2s"}, work, 5)
    pool = server.pools["master"]
    tried, pool.silent = len(work.starts_s), []
    server.advance(600)
    assert 4 == len(pool.silent)
    assert tried == len(work.starts_s)
    questions, pool.silent = pool.silent, None
    for question in questions:
        question.callback(None)
    server.advance(3)
    assert len(work.starts_s) > tried


def test_cancellation_ends_the_wait(virtual_server: MakeServer) -> None:
    """A cancelled wait raises CancelledError out of `__aenter__`, and soon there is no timer."""
    server = virtual_server()
    module = server.load({"sleep": "1h"})
    waiting = module.on_update("work", "master", False).__aenter__()
    failures: list[Any] = []
    deferred = ensureDeferred(waiting)
    deferred.addErrback(failures.append)
    server.advance(10)
    deferred.cancel()
    assert CancelledError is failures[0].type
    server.advance(6)
    assert [] == server.timers()


def test_cancellation_while_the_database_is_asked(virtual_server: MakeServer) -> None:
    """A cancelled question raises CancelledError too."""
    server = virtual_server()
    module = server.load({"sleep": 0})
    pool = server.pools["master"]
    pool.silent = silent = list[Any]()
    failures: list[Any] = []
    deferred = ensureDeferred(module.on_update("work", "master", False).__aenter__())
    deferred.addErrback(failures.append)
    server.advance(0.1)
    deferred.cancel()
    assert CancelledError is failures[0].type
    pool.silent = None
    for question in silent:
        question.callback(None)
    server.advance(2)
    assert [] == server.timers()


def test_cancellation_of_a_batch_passes_at_once(virtual_server: MakeServer) -> None:
    """The server may end by it."""
    server = virtual_server()
    module = server.load({"sleep": 0})

    async def cancelled() -> None:
        async with module.on_update("work", "master", False):
            raise CancelledError()

    failures: list[Any] = []
    ensureDeferred(cancelled()).addErrback(failures.append)
    server.advance(0.1)
    assert CancelledError is failures[0].type


def test_cancellation_while_the_server_goes_on_is_a_failure(virtual_server: MakeServer) -> None:
    """Somebody else gave up what it asked for; Synapse counts it, and five in a row abort."""
    server = virtual_server()
    work = Work(server, 500, cost_ms=1)
    tries_s: list[float] = []

    async def update(progress: Any, size: int) -> int:
        tries_s.append(server.clock.monotonic())
        if len(tries_s) <= 4:
            raise CancelledError()
        return await work(progress, size)

    server.load({"duty_cycle": "50%"})
    server.pools["master"].queue("work", update)
    server.start()
    server.advance(150)
    assert 0 == work.left_items
    assert [5, 15, 30, 60] == [round(b - a) for a, b in pairwise(tries_s[:5])]


def test_nothing_is_polled_after_an_abort(virtual_server: MakeServer) -> None:
    """Nor when updates end in an outage: a failed batch is followed by no other."""
    server = virtual_server()
    pool = server.pools["master"]

    async def crash(_: dict[str, Any], __: int) -> int:
        pool.broken = sqlite3.OperationalError("crash")
        server.clock.reactor.callLater(3, setattr, pool, "broken", None)
        raise pool.broken

    server.load({})
    pool.queue("work", crash)
    ended: list[Any] = []
    server.start().addBoth(ended.append)
    server.advance(3600)
    assert "aborting" in str(ended[0].value)
    assert [] == server.timers()


def test_after_an_abort_whoever_starts_updates_again_need_not_wait(
    virtual_server: MakeServer,
) -> None:
    """Synapse begins to count anew, and so do we: no hour of waiting for what was mended."""
    server = virtual_server()
    work = Work(server, 10**9, cost_ms=1)
    work.fail = 5
    server.load({"sleep": 0})
    server.pools["master"].queue("work", work)
    server.start().addErrback(lambda _: None)
    server.advance(200)
    assert 5 == len(work.starts_s)
    server.start()
    server.advance(2)
    assert len(work.starts_s) > 5
