"""The samples before and in the first batch after a hold, or after another update."""

import logging
import math
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import pytest

from synapse_bgthrottle.core.signals.samples import DatabaseSample, ProcessSample, Sample
from synapse_bgthrottle.homeserver.internals import server as homeserver
from synapse_bgthrottle.homeserver.sampling.database_sampler import DatabaseSampler
from synapse_bgthrottle.homeserver.sampling.sampler import Sampler
from testbed.virtual.server import VirtualServer, Work

MakeServer = Callable[..., VirtualServer]
Answer = Callable[[str | None], dict[str, Any]]

# From the start: ten minutes closed, one open.
_WINDOWS = {
    "windows": [
        {"start": "00:10", "end": "00:11"},
        {"start": "00:20", "end": "00:21"},
        {"start": "00:30", "end": "00:31"},
    ]
}


@contextmanager
def answering(server: VirtualServer, answer: Answer) -> Iterator[None]:
    """A database that says this of itself, for the update that it is asked for."""

    async def ask(_: DatabaseSampler, update_name: str | None, __: Any) -> DatabaseSample:
        await server.clock.sleep(0.003)
        seen = {"longest_transaction_s": 0.0, "pool_wait_s": 0.0, "query_s": 0.001}
        return DatabaseSample(at_s=server.clock.monotonic(), **{**seen, **answer(update_name)})

    with patch.object(DatabaseSampler, "ask", ask):
        yield


def build_of(server: VirtualServer) -> list[float]:
    """Queues a one-shot of an hour; when it started."""
    started_s: list[float] = []

    async def build(_: dict[str, Any], __: int) -> int:
        started_s.append(server.clock.monotonic())
        await server.clock.sleep(3600)
        return 1

    server.pools["master"].queue("build", build, one_shot=True)
    return started_s


def test_tables_of_the_update_itself(virtual_server: MakeServer) -> None:
    """An autovacuum on its table holds a one-shot, whatever was looked at for the one before it."""
    server = virtual_server()

    def vacuum(update_name: str | None) -> dict[str, Any]:
        return {"autovacuum": update_name == "build", "vacuumed_table": "a_table"}

    with answering(server, vacuum):
        server.load({})
        work = Work(server, 30_000, 1)
        server.pools["master"].queue("work", work)
        started_s = build_of(server)
        server.start()
        server.advance(300)
    assert 0 == work.left_items
    assert [] == started_s


def test_many_one_shots_in_a_row(virtual_server: MakeServer) -> None:
    """The database is asked for each at once, not when it is time again: that takes no second."""
    server = virtual_server()
    started_s: list[float] = []

    def queue(name: str) -> None:
        async def build(_: dict[str, Any], __: int) -> int:
            started_s.append(server.clock.monotonic())
            await server.pools["master"].updates._end_background_update(name)
            return 1

        server.pools["master"].queue(name, build, one_shot=True)

    with answering(server, lambda _: {}):
        server.load({})
        for number in range(20):
            queue(f"build_{number}")
        server.start()
        server.advance(60)
    assert 20 == len(started_s)
    assert started_s[-1] - started_s[0] < 4


def test_a_look_that_fails_starts_no_build(virtual_server: MakeServer) -> None:
    """An old transaction was seen a second ago: that it is not seen once does not let it go."""
    server = virtual_server()
    looks = 0

    def fails_once(_: str | None) -> dict[str, Any]:
        nonlocal looks
        looks += 1
        return {"longest_transaction_s": 86_400.0, "problem": "timed out" if looks == 100 else ""}

    with answering(server, fails_once):
        server.load({})
        started_s = build_of(server)
        server.start()
        server.advance(300)
    assert looks > 100
    assert [] == started_s


def test_no_warning_at_the_opening_of_a_window(
    virtual_server: MakeServer, caplog: pytest.LogCaptureFixture
) -> None:
    """A budget that nobody looked at in between is looked at, before it is said to be unknown."""
    server = virtual_server()
    with answering(server, lambda _: {"replica_lag_s": 0.0}):
        server.load({**_WINDOWS, "duty_cycle": "1%", "signals": {"replica_lag": "30s"}})
        work = Work(server, 10**9, 1)
        server.pools["master"].queue("work", work)
        server.start()
        server.advance(1900)
    assert len(work.starts_s) > 10
    assert [] == [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]


def test_what_closed_in_between(virtual_server: MakeServer) -> None:
    """A replica that fell behind meanwhile holds the update before its first batch."""
    server = virtual_server()
    lag_s = 0.0
    with answering(server, lambda _: {"replica_lag_s": lag_s}):
        server.load({**_WINDOWS, "duty_cycle": "1%"})
        work = Work(server, 10**9, 1)
        server.pools["master"].queue("work", work)
        server.start()
        server.advance(900)
        before = len(work.starts_s)
        lag_s = 60.0
        server.advance(600)
        assert before == len(work.starts_s)
        lag_s = 0.0
        server.advance(600)
    assert 0 < before < len(work.starts_s)


def test_the_first_batch_is_looked_at(virtual_server: MakeServer) -> None:
    """Four times a second, however long it takes."""
    server = virtual_server()
    started_s: list[float] = []
    looks_s: list[float] = []
    tell: Any = Sampler._pass_on

    def told(sampler: Sampler, name: str | None, sample: Sample) -> None:
        if isinstance(sample, ProcessSample):
            looks_s.append(sample.at_s)
        tell(sampler, name, sample)

    async def long(_: dict[str, Any], __: int) -> int:
        started_s.append(server.clock.monotonic())
        await server.clock.sleep(600)
        return 1

    with answering(server, lambda _: {}), patch.object(Sampler, "_pass_on", told):
        server.load(_WINDOWS)
        server.pools["master"].queue("long", long)
        server.start()
        server.advance(900)
    assert 1 == len(started_s)
    assert 4 * 290 < sum(look_s >= started_s[0] for look_s in looks_s)


@pytest.mark.parametrize("what", ["budget", "database"])
def test_time_of_other_holds_is_no_wait_for_calm(virtual_server: MakeServer, what: str) -> None:
    """A build that waited half a minute for low pressures does not start in the rush after them."""
    server = virtual_server()
    pool = server.pools["master"]
    oldest_s = 0.0

    def busy(_: str | None) -> dict[str, Any]:
        if pool.broken is not None:
            return {"problem": "no answer"}
        return {"pool_wait_s": 5.0, "longest_transaction_s": oldest_s}

    clients = patch.object(
        homeserver, "_requests", [SimpleNamespace(name="RoomSendServlet", start_ts=math.inf)]
    )
    with answering(server, busy), clients:
        server.load({})
        started_s = build_of(server)
        server.start()
        server.advance(30)
        if what == "budget":
            oldest_s = 86_400.0
        else:
            pool.broken = sqlite3.OperationalError("gone")
        server.advance(3700)
        oldest_s, pool.broken = 0.0, None
        server.advance(600)
    assert [] == started_s
