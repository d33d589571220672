"""If the wall clock, and Twisted's reactor with it, is set back, our timers still fire in time.

What depends on the reactor alone is late, as with stock Synapse. Here a batch runs in the database,
which is not affected.
"""

import sqlite3
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import pytest

from synapse_bgthrottle.core.config.signal_settings import SignalSettings
from synapse_bgthrottle.core.signals.samples import CheckSample, DatabaseSample, ProcessSample
from synapse_bgthrottle.homeserver.internals.server import Homeserver
from synapse_bgthrottle.homeserver.sampling.sampler import Sampler
from testbed.virtual.server import VirtualServer, Work
from tests.integration.virtual_module import rows, service_of, stated

MakeServer = Callable[..., VirtualServer]

_HOUR_S = 3600.0
_BUDGET = {"signals": {"disk_free": {"path": "/", "threshold": "1kB"}}}


def _until_in_batch(server: VirtualServer, work: Work) -> None:
    while len(work.starts_s) == len(work.took_s):
        server.advance(0.001)


def _set_back_in_a_batch(server: VirtualServer, config: Any, cost_ms: float = 1) -> Work:
    work = Work(server, 10**9, cost_ms)
    server.load(config)
    server.pools["master"].queue("work", work)
    server.start()
    server.advance(30)
    _until_in_batch(server, work)
    server.clock.set_forward(-_HOUR_S)
    return work


@pytest.mark.parametrize("config", [{}, _BUDGET, {"sleep": 0}], ids=["default", "budget", "none"])
def test_batches_go_on(virtual_server: MakeServer, config: Any) -> None:
    """At their pace, for the whole hour: what they depend on is looked at."""
    server = virtual_server()
    work = _set_back_in_a_batch(server, config)
    before = len(work.starts_s)
    for _ in range(6):
        server.advance(_HOUR_S / 60)
        assert len(work.starts_s) - before > 30
        before = len(work.starts_s)
    assert [] == server.failures


def test_what_is_looked_at_is_of_now(virtual_server: MakeServer) -> None:
    """A budget that runs short is seen as soon as ever, and so is its end."""
    server = virtual_server()
    free = {"free": 1 << 40}
    with patch(
        "synapse_bgthrottle.homeserver.sampling.operator_checks._free_bytes",
        side_effect=lambda _: (free["free"], ""),
    ):
        work = _set_back_in_a_batch(server, _BUDGET)
        server.advance(20)
        free["free"] = 1
        server.advance(20)
        before = len(work.starts_s)
        server.advance(20)
        assert before == len(work.starts_s)
        free["free"] = 1 << 40
        server.advance(60)
        assert len(work.starts_s) > before


@pytest.mark.parametrize("jump_s", [_HOUR_S, -_HOUR_S], ids=["forward", "back"])
def test_each_signal_is_read_on(virtual_server: MakeServer, jump_s: float) -> None:
    """All that are read at fixed times, as often as ever; no more is held than before."""
    server = virtual_server()
    work = Work(server, 10**9, 1)
    module = server.load(_BUDGET)
    server.pools["master"].queue("work", work)
    server.start()
    server.advance(30)
    _until_in_batch(server, work)
    server.clock.set_forward(jump_s)
    server.advance(12)
    now_s = server.clock.monotonic()
    levels = module._parts.throttle.databases["master"].signal_set.states.values()
    timed = [level for level in levels if level.is_timed and level.at_s is not None]
    assert {ProcessSample, DatabaseSample, CheckSample} == {v.signal.source for v in timed}
    stale = [level.signal.name for level in timed if level.is_stale(now_s)]
    assert [] == stale
    assert now_s - work.starts_s[-1] < 5


def test_history_is_written(virtual_server: MakeServer) -> None:
    """A process that is killed within that hour loses a minute of it at most."""
    server = virtual_server()
    _set_back_in_a_batch(server, {})
    told = []
    for _ in range(5):
        server.advance(130)
        ((batches,),) = rows(server, "SELECT batches FROM bgthrottle_history")
        told.append(batches)
    assert 5 == len(set(told))


def test_what_is_stored_is_read(virtual_server: MakeServer) -> None:
    """The next try to read it comes, though no batch can begin before it has."""
    server = virtual_server()
    server.pools["master"].queue("work", Work(server, 10**9, 1))
    with patch(
        "synapse_bgthrottle.homeserver.storage.store._open",
        side_effect=sqlite3.OperationalError("locked"),
    ):
        module = server.load({})
        server.advance(30)
        server.clock.set_forward(-_HOUR_S)
    server.start()  # its first wait begins after that
    server.advance(30)
    assert "" == module._parts.recorder.loader.problem


def test_somebody_who_asks_has_timers_called(virtual_server: MakeServer) -> None:
    """In a batch that lasts nobody of ours comes by; whoever looks at the status does."""
    server = virtual_server()
    looks: list[Any] = []

    def look(paths: list[str]) -> tuple[float, str]:
        looks.append(paths)
        return 1e12, ""

    with patch("synapse_bgthrottle.homeserver.sampling.operator_checks._free_bytes", look):
        _set_back_in_a_batch(server, _BUDGET, cost_ms=600_000)
        looks.clear()
        server.advance(60)
        assert [] == looks
        stated(server, service_of(server).status(), within_s=5)
        server.advance(55)
        assert 5 <= len(looks) <= 7


# --- the timers themselves ---


class Ticks:
    """A sampler, and how late it was called each time."""

    def __init__(self, server: VirtualServer) -> None:
        self.server = server
        self.late_s: list[float] = []
        self.sampler = Sampler(Homeserver(server.api, self._fail), SignalSettings(), self._see)
        self.sampler.begin("master", "work")
        server.advance(10)

    def _see(self, _: str | None, sample: Any) -> None:
        if isinstance(sample, ProcessSample):
            self.late_s.append(sample.timer_late_s)

    def _fail(self, where: str, error: Exception) -> None:
        raise AssertionError(where) from error

    def timers(self) -> int:
        return len(self.server.clock.reactor.getDelayedCalls())


def test_one_chain(virtual_server: MakeServer) -> None:
    """What is called in place of an overdue timer is all: that one never comes, nor is it late."""
    ticks = Ticks(virtual_server())
    for back_s in (60, 5, 600, 60):
        ticks.server.clock.set_forward(-back_s)
        ticks.server.advance(3)
        ticks.late_s.clear()
        ticks.sampler.begin("master", "work")
        ticks.sampler.begin("master", "work")
        assert 1 == ticks.timers()
        ticks.server.advance(99.9)
        assert 400 == len(ticks.late_s)
        assert max(ticks.late_s) < 0.001


def test_nobody_comes(virtual_server: MakeServer) -> None:
    """The timer is called once that time has passed, and takes nothing of it for a late reactor."""
    ticks = Ticks(virtual_server())
    ticks.late_s.clear()
    ticks.server.clock.set_forward(-60)
    ticks.server.advance(60)
    assert len(ticks.late_s) <= 1
    ticks.server.advance(10)
    assert 40 == pytest.approx(len(ticks.late_s), abs=1)
    assert max(ticks.late_s) < 0.001


def test_a_reactor_that_is_late(virtual_server: MakeServer) -> None:
    """It is no clock that was set back, though a batch's end comes before the timer."""
    ticks = Ticks(virtual_server())
    ticks.late_s.clear()
    ticks.server.clock.reactor.rightNow += 5
    ticks.sampler.begin("master", "work")
    ticks.server.advance(0)
    assert 5 == pytest.approx(max(ticks.late_s), abs=0.3)


def test_set_forward(virtual_server: MakeServer) -> None:
    """One timer comes early, and the next in time."""
    ticks = Ticks(virtual_server())
    ticks.late_s.clear()
    ticks.server.clock.set_forward(_HOUR_S)
    ticks.sampler.begin("master", "work")
    ticks.server.advance(9.9)
    assert 40 == pytest.approx(len(ticks.late_s), abs=1)
    assert 1 == ticks.timers()


def test_a_server_that_ends(virtual_server: MakeServer) -> None:
    """Its clock takes no more calls: what is overdue stays so, and nobody is told an error."""
    ticks = Ticks(virtual_server())
    ticks.server.clock.set_forward(-60)
    ticks.server.advance(3)

    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("Cannot start delayed call. Clock has been shutdown")

    ticks.server.api.delayed_background_call = refuse
    ticks.sampler.begin("master", "work")
    assert 1 == ticks.timers()
