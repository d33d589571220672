"""An error at each place of the module, one at a time, harms no update."""

import math
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import pytest
from twisted.internet.defer import CancelledError, ensureDeferred

from testbed.virtual.server import VirtualServer, Work
from tests.integration.virtual_module import change_levers, queued

MakeServer = Callable[..., VirtualServer]

PLACES = [
    "core.tracking.runs.UpdateRuns.begin",
    "core.tracking.runs.UpdateRuns.recall",
    "core.scheduling.holds.rulings",
    "homeserver.internals.server.Database.enabled",
    "homeserver.internals.server.Database.items_done",
    "homeserver.internals.server.Database.known_updates",
    "homeserver.internals.server.Homeserver.database",
    "homeserver.internals.server.Homeserver.now_s",
    "homeserver.internals.server.Homeserver.wall_s",
    "homeserver.iteration.Iteration.__init__",
    "homeserver.iteration.Iteration._decided",
    "homeserver.iteration.Iteration._report",
    "homeserver.iteration.Iteration._finish",
    "homeserver.iteration.Iteration._wait",
    "homeserver.recorder.Recorder._take",
    "homeserver.storage.loader.StoreLoader._take",
    "homeserver.recorder.Recorder.begin",
    "homeserver.prometheus.series.ServerSeries.at",
    "homeserver.prometheus.series.ServerSeries.drop",
    "homeserver.prometheus.update_metrics.Metrics._hold",
    "core.scheduling.batch_cost.BatchCost.next_items",
    "core.scheduling.batch_cost.BatchCost.record",
    "core.reports.config_warnings.unknown_names",
    "core.reports.config_warnings.too_small",
    "core.reports.log_lines.UpdateLog.lines",
    "core.scheduling.throttle.Throttle.batch_items",
    "core.scheduling.throttle.Throttle.begin",
    "core.scheduling.throttle.Throttle.decide",
    "core.scheduling.throttle.Throttle.finish",
    "core.scheduling.throttle.Throttle.start",
    "core.scheduling.throttle.Throttle.waited",
    "homeserver.sampling.database_probe.DatabaseProbe.answered",
    "homeserver.sampling.database_probe.DatabaseProbe.check",
    "homeserver.sampling.database_probe.DatabaseProbe.is_due",
]
# With the adaptive pace: a failing sample is told, and the update goes on.
ADAPTIVE_PLACES = [
    "core.adaptive.controller.Pacer.go",
    "core.adaptive.controller.Pacer.look",
    "core.signals.signal_set.SignalSet.closed",
    "core.signals.signal_set.SignalSet.observe",
    "core.signals.signal_set.SignalSet.soft",
    "core.signals.signal_state.SignalState.observe",
    "homeserver.internals.server.Homeserver.active_requests",
    "homeserver.internals.server.Homeserver.requests_answered",
    "core.adaptive.client_activity.ClientActivity.is_quiet",
    "core.adaptive.client_activity.ClientActivity.look",
    "homeserver.sampling.sampler.Sampler.batch_begins",
    "homeserver.sampling.sampler.Sampler.begin",
    "homeserver.sampling.sampler.Sampler.end",
    "homeserver.internals.synapse_metrics.ServerMetrics.responses",
    "core.scheduling.throttle.Throttle.observe",
]
# Where the recorder looks and writes: it tries again the next time.
QUIET_PLACES = [
    "core.tracking.runs.UpdateRuns.due",
    "core.tracking.runs.UpdateRuns.first_seen",
    "core.tracking.runs.UpdateRuns.newest_since_s",
    "core.tracking.runs.UpdateRuns.see",
    "core.tracking.runs.UpdateRuns.see_recalled",
    "core.tracking.runs.UpdateRuns.so_far",
    "core.tracking.runs.UpdateRuns.written",
    "homeserver.internals.server.Database.queue",
    "homeserver.recorder.Recorder._look",
    "homeserver.recorder.Recorder._look_at_queues",
    "homeserver.recorder.Recorder._see",
    "homeserver.recorder.Recorder._write",
    "homeserver.storage.lever_writer.LeverWriter.follow",
    "homeserver.progress_tracker.ProgressTracker.look",
    "homeserver.storage.store.Store.write",
    "core.scheduling.throttle.Throttle.uses",
    "core.scheduling.throttle.Throttle.is_held",
]

# Five batches of a tenth of a second, each after a second's sleep.
_STOCK_S = 5.5
# What is asked before the first batch, and where a first batch is not a whole one.
_MARGIN_S = 0.5


def fail(*_: object, **__: object) -> Any:
    raise ZeroDivisionError("an error of our own")


CASES = [
    *((place, {"duty_cycle": "10%", "default_batch_size": 100}) for place in PLACES),
    *((place, {"default_batch_size": 100}) for place in ADAPTIVE_PLACES),
]


@pytest.mark.parametrize(("place", "config"), CASES)
def test_the_update_goes_on(
    virtual_server: MakeServer, caplog: pytest.LogCaptureFixture, place: str, config: Any
) -> None:
    """With this place failing all the time, work goes on at stock's pace, and tracebacks are few.

    No quicker either, but for a pace that has no rests while nobody is there.
    """
    server = virtual_server()
    work = Work(server, 500, cost_ms=1)
    faulty = property(fail) if place.endswith("enabled") else fail
    with patch(f"synapse_bgthrottle.{place}", faulty):
        server.load(config)
        server.pools["master"].queue("work", work)
        server.start()
        server.advance(4.5)
        assert 0 < work.left_items or "duty_cycle" not in config
        server.advance(_STOCK_S + _MARGIN_S - 4.5)
    assert 0 == work.left_items
    assert "Error doing update" not in caplog.text
    tracebacks = [record for record in caplog.records if record.exc_info]
    assert 1 <= len(tracebacks) <= 5
    assert all("an error of our own" in str(record.exc_info) for record in tracebacks)


# Without these nobody knows the time, or what was paused.
NEEDED_BY_PAUSES = {
    "homeserver.internals.server.Homeserver.now_s",
    "homeserver.internals.server.Homeserver.wall_s",
    "homeserver.storage.loader.StoreLoader._take",
}


@pytest.mark.parametrize("place", sorted({*PLACES, *ADAPTIVE_PLACES} - NEEDED_BY_PAUSES))
def test_a_pause_holds(
    virtual_server: MakeServer, caplog: pytest.LogCaptureFixture, place: str
) -> None:
    """With this place failing, no batch runs before the end of a pause, and all run after it."""
    server = virtual_server()
    server.load({"default_batch_size": 100})
    work = queued(server, "work", 500)
    server.advance(1)
    change_levers(server, "pause", duration="5m")
    faulty = property(fail) if place.endswith("enabled") else fail
    with patch(f"synapse_bgthrottle.{place}", faulty):
        server.start()
        server.advance(299)
        assert [] == work.starts_s
        server.advance(20)
    assert 0 == work.left_items
    assert 5 >= len([record for record in caplog.records if record.exc_info])


@contextmanager
def undecided() -> Iterator[None]:
    with patch("synapse_bgthrottle.core.scheduling.throttle.Throttle.decide", fail):
        yield


@pytest.mark.parametrize(
    ("config", "held_s", "reason"),
    [
        ({"windows": [{"start": "01:00", "end": "02:00"}]}, 3600, "windows are closed"),
        (
            {"windows": [{"start": "01:00", "end": "02:00"}], "max_hold": "30m"},
            1800,
            "windows are closed",
        ),
        ({"approval": "required"}, math.inf, "approval is required"),
        ({"signals": {"replica_lag": "10s"}, "max_hold": "30m"}, 1800, "cannot be observed"),
    ],
)
def test_what_holds_without_a_decision(
    virtual_server: MakeServer,
    caplog: pytest.LogCaptureFixture,
    config: Any,
    held_s: float,
    reason: str,
) -> None:
    """Windows, approvals and budgets hold, for `max_hold` at most; status and log say it once."""
    server = virtual_server()
    module = server.load(config)
    work = queued(server, "work", 500)
    with undecided():
        server.start()
        server.advance(min(held_s, 7200) - 1)
        assert [] == work.starts_s
        assert reason in repr(module)
        server.advance(20)
    assert (0 if math.isfinite(held_s) else 500) == work.left_items
    assert 1 == caplog.text.count("Holding work in master after an error")


def test_a_release_lets_go_without_a_decision(virtual_server: MakeServer) -> None:
    """An approval that comes later is seen."""
    server = virtual_server()
    server.load({"approval": "required"})
    work = queued(server, "work", 500)
    with undecided():
        server.start()
        server.advance(60)
        change_levers(server, "release", update="work")
        server.advance(20)
    assert 0 == work.left_items


def test_disabled_without_a_decision(virtual_server: MakeServer) -> None:
    """Synapse's own switch holds at once, and the update goes on once it is enabled again."""
    server = virtual_server()
    module = server.load({})
    work = queued(server, "work")
    updates = server.pools["master"].updates
    with undecided():
        server.start()
        server.advance(10.5)
        updates.enabled = False
        server.advance(60)
        count = len(work.starts_s)
        server.advance(60)
        assert count == len(work.starts_s)
        assert "switched off" in repr(module)
        updates.enabled = True
        server.advance(60)
    assert count < len(work.starts_s)


def test_an_error_that_passes_during_a_pause(virtual_server: MakeServer) -> None:
    """A normal decision is tried again: after the pause, the configured pace counts."""
    server = virtual_server()
    server.load({"sleep": "20s", "default_batch_size": 100})
    work = queued(server, "work")
    server.advance(1)
    change_levers(server, "pause", duration="5m")
    with undecided():
        server.start()
        server.advance(60)
    server.advance(360)
    assert 20 <= work.starts_s[1] - work.starts_s[0]


def test_an_update_that_begins_with_an_error(virtual_server: MakeServer) -> None:
    """One that does all its work in one call is a one-shot, whatever Synapse's flag says."""
    server = virtual_server()
    module = server.load({})
    with patch("synapse_bgthrottle.core.scheduling.throttle.Throttle.begin", fail):
        ensureDeferred(module.on_update("user_ips_analyze", "master", False).__aenter__())
    server.advance(2)
    assert module._parts.throttle.updates["master", "user_ips_analyze"].one_shot


def test_held_where_even_sleeping_fails(virtual_server: MakeServer) -> None:
    """A hold that cannot be waited for does not freeze the server."""
    server = virtual_server()

    async def no_sleep(_: float) -> None:
        raise ZeroDivisionError("no sleep")

    server.api.sleep = no_sleep
    module = server.load({"approval": "required"})
    targets: list[int] = []
    ensureDeferred(module.on_update("work", "master", False).__aenter__()).addCallback(
        targets.append
    )
    assert [100] == targets


@pytest.mark.parametrize("place", QUIET_PLACES)
def test_the_update_goes_on_without_its_history(virtual_server: MakeServer, place: str) -> None:
    """With this place of the recorder failing, batches are what and when they would be without."""
    started: list[list[float]] = []
    for faulty in (False, True):
        server = virtual_server()
        work = Work(server, 500, cost_ms=1)
        with patch(f"synapse_bgthrottle.{place}", fail) if faulty else nullcontext():
            server.load({"duty_cycle": "10%"})
            server.pools["master"].queue("work", work)
            server.start()
            server.advance(3600)
        assert 0 == work.left_items
        started.append(work.starts_s)
    assert started[0] == started[1]


def test_a_question_that_raises(virtual_server: MakeServer) -> None:
    """A question to the database that raises what a driver does is no error of ours: it is held."""
    server = virtual_server()
    work = Work(server, 500, cost_ms=1)
    lost = patch(
        "synapse_bgthrottle.homeserver.internals.server.Database.probe",
        side_effect=sqlite3.OperationalError("unable to open"),
    )
    with lost:
        module = server.load({"sleep": "1s"})
        server.pools["master"].queue("work", work)
        server.start()
        server.advance(3600)
    assert "does not answer: unable to open" in repr(module)
    server.advance(60)
    assert 0 == work.left_items


@pytest.mark.parametrize(
    "place",
    [
        "homeserver.internals.server.Database.probe",
        "homeserver.internals.database._probe",
        "homeserver.internals.database._write_nothing_to_sqlite",
    ],
)
def test_a_question_that_is_wrong(
    virtual_server: MakeServer, caplog: pytest.LogCaptureFixture, place: str
) -> None:
    """An error of ours in the question does not hold updates for ever."""
    server = virtual_server()
    work = Work(server, 500, cost_ms=1)
    with patch(f"synapse_bgthrottle.{place}", fail):
        server.load({"sleep": "1s"})
        server.pools["master"].queue("work", work)
        server.start()
        server.advance(60)
    assert 0 == work.left_items
    assert 1 == caplog.text.count("internal error asking the database")


def test_what_was_paused_cannot_be_read(virtual_server: MakeServer) -> None:
    """An error of ours there holds updates for a few tries, then not any more."""
    server = virtual_server()
    work = Work(server, 500, cost_ms=1)
    with patch("synapse_bgthrottle.homeserver.storage.store._open", fail):
        server.load({"sleep": 0})
        server.pools["master"].queue("work", work)
        server.start()
        server.advance(5)
        assert 500 == work.left_items
        server.advance(10)
    assert 0 == work.left_items


@pytest.mark.parametrize("config", [{}, {"max_batch_size": 100}])
def test_stocks_pace(virtual_server: MakeServer, config: Any) -> None:
    """Where deciding fails, batches have the server's own sleep and target duration."""
    server = virtual_server(background_updates={"sleep_duration_ms": 2000})
    work = Work(server, 10**9, cost_ms=1)
    with patch("synapse_bgthrottle.core.scheduling.throttle.Throttle.decide", fail):
        server.load(config)
        server.pools["master"].queue("work", work)
        server.start()
        server.advance(60)
    assert 2.1 == pytest.approx(work.starts_s[-1] - work.starts_s[-2], abs=0.02)
    assert 0.1 == pytest.approx(work.took_s[-1], abs=0.01)


@pytest.mark.parametrize(("config", "largest"), [({}, 100), ({"max_batch_size": 50}, 50)])
def test_sizes_without_a_cost(virtual_server: MakeServer, config: Any, largest: int) -> None:
    """Where no batch's end can be recorded, Synapse chooses the sizes, up to the limit."""
    server = virtual_server()
    with patch("synapse_bgthrottle.core.scheduling.throttle.Throttle.finish", fail):
        server.load(config)
        work = queued(server, "work")
        server.start()
        server.advance(60)
    assert [1, largest, largest] == [*work.sizes[:2], work.sizes[-1]]


def test_batches_stay_large_enough(virtual_server: MakeServer) -> None:
    """Where even the batch sizes fail, `event_search` gets a hundred, others at least one."""
    server = virtual_server()
    with patch("synapse_bgthrottle.core.scheduling.throttle.Throttle.batch_items", fail):
        module = server.load({})
        answers: list[int] = []
        for name in ("event_search", "work"):
            ensureDeferred(module.min_batch_size(name, "master")).addCallback(answers.append)
            ensureDeferred(module.default_batch_size(name, "master")).addCallback(answers.append)
    assert [100, 100, 1, 100] == answers


def test_sleep_that_fails(virtual_server: MakeServer) -> None:
    """Even where the API's sleep raises, the iteration starts."""
    server = virtual_server()

    async def no_sleep(_: float) -> None:
        raise ZeroDivisionError("no sleep")

    server.api.sleep = no_sleep
    module = server.load({"sleep": "1s"})
    targets: list[int] = []
    ensureDeferred(module.on_update("work", "master", False).__aenter__()).addCallback(
        targets.append
    )
    assert [100] == targets


def test_cancelled_at_stocks_pace(virtual_server: MakeServer) -> None:
    """Cancellation passes through stock's sleep too."""
    server = virtual_server()
    failures: list[Any] = []
    with patch("synapse_bgthrottle.core.scheduling.throttle.Throttle.decide", fail):
        module = server.load({})
        waiting = ensureDeferred(module.on_update("work", "master", False).__aenter__())
        waiting.addErrback(failures.append)
        waiting.cancel()
    assert CancelledError is failures[0].type


@pytest.mark.parametrize(
    "hs",
    [
        None,
        SimpleNamespace(),
        SimpleNamespace(get_datastores=fail, config=None),
        SimpleNamespace(get_datastores=lambda: SimpleNamespace(databases=[object()])),
    ],
    ids=["nothing", "empty", "raising", "nameless"],
)
def test_without_the_private_side(virtual_server: MakeServer, hs: Any) -> None:
    """On a Synapse whose inside is unknown, updates are paced by rules all the same."""
    server = virtual_server()
    server.api._hs = hs
    work = Work(server, 1000, cost_ms=1)
    server.load({"duty_cycle": "50%", "rules": [{"update": "work", "max_batch_size": 50}]})
    server.pools["master"].queue("work", work)
    server.start()
    server.advance(60)
    assert 0 == work.left_items
    assert 50 == max(work.sizes)
    assert 2 == pytest.approx(work.starts_s[-1] - work.starts_s[0], abs=0.2)
