"""The recorder's log after outages: aborts, unseen ends, silent databases."""

import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any
from unittest.mock import patch

import pytest
from prometheus_client import REGISTRY
from twisted.internet.defer import Deferred

from testbed.virtual.server import VirtualServer, Work
from tests.integration.virtual_module import queued, rows, service_of, stated

MakeServer = Callable[..., VirtualServer]

_HISTORY = "SELECT update_name, outcome, batches FROM bgthrottle_history ORDER BY started_ms"


@contextmanager
def _asked(server: VirtualServer, database: str) -> Iterator[dict[str, list[float]]]:
    """When a database was asked what."""
    times: dict[str, list[float]] = defaultdict(list)
    pool = server.pools[database]
    run: Any = pool.runInteraction

    async def noted(description: str, *arguments: Any) -> Any:
        times[description].append(server.clock.monotonic())
        return await run(description, *arguments)

    with patch.object(pool, "runInteraction", noted):
        if server.api.run_db_interaction == run:
            with patch.object(server.api, "run_db_interaction", noted):
                yield times
        else:
            yield times


def _outcomes(server: VirtualServer) -> list[str]:
    told = stated(server, service_of(server).history(10, None, None))
    return [entry["outcome"] for entry in told]


def _metric(name: str, database: str = "master") -> float | None:
    labels = {"server_name": "virtual.test", "database_name": database}
    return REGISTRY.get_sample_value(f"synapse_bgthrottle_{name}", labels)


def _queue_work_elsewhere(server: VirtualServer, items: int) -> Work:
    work = Work(server, items, cost_ms=1)
    work.database = "state"
    server.pools["state"].queue("other", work)
    return work


@pytest.mark.parametrize("down_s", [2, 4, 6, 10, 30])
def test_abort_after_an_outage_is_told(virtual_server: MakeServer, down_s: float) -> None:
    """Each batch takes the database down: also while its return is waited for, Synapse goes on."""
    server = virtual_server()
    pool = server.pools["master"]
    gone = sqlite3.OperationalError("server closed the connection unexpectedly")

    async def kill(progress: Any, size: int) -> int:
        pool.broken = gone
        server.clock.reactor.callLater(down_s, setattr, pool, "broken", None)
        raise gone

    pool.queue("work", kill)
    server.load({})
    server.start().addErrback(lambda _: None)
    server.advance(600)
    assert not pool.updates._running
    assert [("work", "aborted", 5)] == rows(server, _HISTORY)
    assert (["aborted"], 1) == (_outcomes(server), _metric("aborted"))
    assert [] == server.timers()


def test_abort_that_cannot_be_written_is_written_later(virtual_server: MakeServer) -> None:
    """The write fails when Synapse has given up, so that nothing goes on any more."""
    server = virtual_server()
    pool = server.pools["master"]
    work = queued(server, "work")
    server.load({"sleep": 0})
    work.fail = 5
    server.start().addErrback(lambda _: None)
    server.advance(1)
    pool.connection.execute(
        "CREATE TRIGGER refuse BEFORE INSERT ON bgthrottle_history"
        " BEGIN SELECT RAISE(ABORT, 'refused'); END"
    )
    while pool.updates._running:
        server.advance(1)
    server.advance(8)
    pool.connection.execute("DROP TRIGGER refuse")
    server.advance(600)
    assert [("work", "aborted", 5)] == rows(server, _HISTORY)
    assert [] == server.timers()


def test_abort_between_two_updates_is_told(virtual_server: MakeServer) -> None:
    """A database that goes silent just then, and after an hour refuses, makes Synapse give up."""
    server = virtual_server()
    pool = server.pools["master"]
    silent: list[Deferred[None]] = []

    async def last(progress: Any, size: int) -> int:
        await pool.updates._end_background_update("work")
        pool.silent = silent
        return 1

    pool.queue("work", last)
    queued(server, "next")
    server.load({"sleep": 0, "restart_aborted": "off"})
    server.start().addErrback(lambda _: None)
    server.advance(3600)
    pool.silent, pool.broken = None, sqlite3.OperationalError("gone")
    for question in silent:
        question.callback(None)
    assert not pool.updates._running
    pool.broken = None
    server.advance(600)
    assert [("work", "done", 1)] == rows(server, _HISTORY)
    assert 1 == _metric("aborted")
    assert [] == server.timers()


def test_end_that_nobody_saw_is_looked_for_again(virtual_server: MakeServer) -> None:
    """Where the last look fails there are more, ever more seldom, until one succeeds; then none."""
    server = virtual_server()
    pool = server.pools["master"]
    work = queued(server, "work", 20_000)
    server.load({"duty_cycle": "50%"})
    server.start()
    while not pool.updates._all_done:
        server.advance(0.05)
    pool.broken = sqlite3.OperationalError("gone")
    with _asked(server, "master") as asked:
        server.advance(2 * 3600)
    looks = asked["bgthrottle_queue"]
    waits = [round(b - a) for a, b in pairwise(looks)]
    assert [5, 10, 20, 40, 80, 160, 320, 600] == waits[waits.index(5) :][:8]
    assert {600} == set(waits[waits.index(600) :])
    pool.broken = None
    assert ["running"] == _outcomes(server)
    server.advance(600)
    assert [("work", "done", len(work.sizes))] == rows(server, _HISTORY)
    assert 0 == _metric("pending_updates")
    assert [] == server.timers()


def test_next_update_waits_for_no_look_that_is_seldom(virtual_server: MakeServer) -> None:
    """What begins while looks have become seldom is looked at soon."""
    server = virtual_server(databases=("master", "state"))
    server.pools["state"].broken = sqlite3.OperationalError("gone")
    queued(server, "work", 300)
    server.load({"sleep": 0})
    server.start()
    server.advance(3600)
    queued(server, "another", 3000)
    server.start()
    server.advance(2)
    assert ("another", "running") == rows(server, _HISTORY)[-1][:2]


def test_silent_database_keeps_no_other_from_being_looked_at(virtual_server: MakeServer) -> None:
    """It is asked once, and told once it answers; others are looked at and written as ever."""
    server = virtual_server(databases=("master", "state"))
    work, other = queued(server, "work", 20_000), _queue_work_elsewhere(server, 300)
    server.load({"sleep": 0})
    server.pools["state"].silent = silent = list[Deferred[None]]()
    with _asked(server, "state") as asked:
        server.start()
        server.start("state")
        server.advance(120)
    assert [("work", "done", len(work.sizes))] == rows(server, _HISTORY)
    assert 1 == len(asked["bgthrottle_queue"])
    server.pools["state"].silent = None
    for question in silent:
        question.callback(None)
    server.advance(600)
    assert ("other", "done", len(other.sizes)) == rows(server, _HISTORY)[-1]
    assert [] == server.timers()


def test_silent_main_database_keeps_no_other_from_being_looked_at(
    virtual_server: MakeServer,
) -> None:
    """Nothing can be written then, once at a time; what ends is seen, and is written later."""
    server = virtual_server(databases=("master", "state"))
    other = _queue_work_elsewhere(server, 20_000)
    server.load({"sleep": 0})
    server.advance(2)
    server.pools["master"].silent = silent = list[Deferred[None]]()
    with _asked(server, "master") as asked:
        server.start("state")
        server.advance(120)
    assert 0 == _metric("pending_updates", "state")
    assert [1, 1] == [len(asked[name]) for name in ("bgthrottle_queue", "bgthrottle_store")]
    server.pools["master"].silent = None
    for question in silent:
        question.callback(None)
    server.advance(600)
    assert ("other", "done", len(other.sizes)) == rows(server, _HISTORY)[-1]
    assert [] == server.timers()
