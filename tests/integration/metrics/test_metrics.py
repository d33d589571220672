"""The metrics of servers in virtual time: labels, limits, and the end of an update."""

import pytest

from synapse_bgthrottle.core.signals.samples import BatchSample, DatabaseSample
from testbed.observe.metrics_scrape import Scrape
from testbed.virtual.server import EPOCH_S, Work
from tests.integration.metrics.server_metrics import MakeServer, make, size, value

OF_UPDATE = (
    "current_update",
    "update_start_timestamp_seconds",
    "last_progress_timestamp_seconds",
    "target_duration_seconds",
)


def test_nothing_before_anything_is_pending(virtual_server: MakeServer) -> None:
    """Where the queue is empty, that is all that is shown, and nothing is polled."""
    server = make(virtual_server, {})
    server.advance(10)
    assert 0 == value("pending_updates")
    assert 0 == value("aborted")
    assert {0.0} == set(Scrape.of().values("held", server_name="one.test"))
    assert not Scrape.of().values("pressure_ratio", server_name="one.test")
    assert [] == server.timers()


def test_counters(virtual_server: MakeServer) -> None:
    """Items, batches and waits are what was done; they outlive their update."""
    server = make(virtual_server, {"duty_cycle": "50%"})
    work = Work(server, 5000, cost_ms=1)
    server.pools["master"].queue("work", work)
    server.start()
    server.advance(60)
    assert 0 == work.left_items
    # The last batch is not counted by Synapse.
    assert 5000 - work.sizes[-1] <= (value("items_total") or 0) <= 5000
    assert len(work.sizes) == value("batch_duration_seconds_count")
    assert sum(work.took_s) == pytest.approx(value("batch_duration_seconds_sum"))
    assert sum(work.took_s) == pytest.approx(value("wait_seconds_total", reason="pace"), rel=0.05)
    assert 0 == value("iteration_failures_total")


def test_gauges_of_an_update_end_with_it(virtual_server: MakeServer) -> None:
    """One update at a time has series of its own, and in the end none has."""
    server = make(virtual_server, {"duty_cycle": "50%"})
    for number in range(3):
        server.pools["master"].queue(f"work{number}", Work(server, 10_000, cost_ms=1))
    server.start()
    seen = set()
    for _ in range(80):
        server.advance(1)
        scrape = Scrape.of()
        for metric in OF_UPDATE:
            names = set(scrape.by("update_name", metric, server_name="one.test"))
            assert len(names) <= 1
            seen |= names
    assert {"work0", "work1", "work2"} == seen
    assert not names
    assert 0 == value("pending_updates")
    assert value("window_open") is None


def test_bounded(virtual_server: MakeServer) -> None:
    """After a hundred updates there is no more than after the first."""
    server = make(virtual_server, {})
    server.pools["master"].queue("first", Work(server, 1000, cost_ms=1))
    server.start()
    server.advance(60)
    before = size("one.test")
    for number in range(100):
        server.pools["master"].queue(f"work{number}", Work(server, 1000, cost_ms=1))
    server.start()
    server.advance(600)
    assert 0 == value("pending_updates")
    assert before == size("one.test")


def test_holds(virtual_server: MakeServer) -> None:
    """The cause that holds is 1, the others 0; a window is open or closed."""
    window = {"days": "mon", "start": "01:00", "end": "02:00"}
    server = make(virtual_server, {"windows": [window]})
    server.pools["master"].queue("work", Work(server, 10**9, cost_ms=1))
    server.start()
    server.advance(3599)
    held = Scrape.of().by("reason", "held", server_name="one.test")
    assert {"window"} == {reason for reason, is_held in held.items() if is_held}
    assert 9 == len(held)
    assert 0 == value("window_open")
    assert 0 == value("paused")
    assert not Scrape.of().values("pressure_ratio", server_name="one.test")
    server.advance(2)
    assert 1 == value("window_open")
    assert {0.0} == set(Scrape.of().values("held", server_name="one.test"))
    assert Scrape.of().values("pressure_ratio", server_name="one.test")


def test_the_server_s_switch(virtual_server: MakeServer) -> None:
    """Disabled during a wait or during a batch: both are told, and end."""
    server = make(virtual_server, {"sleep": "10s", "target_duration": "5s"})
    server.pools["master"].queue("work", Work(server, 10**9, cost_ms=50))
    updates = server.pools["master"].updates
    server.start()
    for moment_s in (8, 2):  # a wait, then a batch
        server.advance(moment_s)
        updates.enabled = False
        server.advance(30)
        assert 1 == value("held", reason="disabled")
        assert 1 == value("paused")
        updates.enabled = True
        server.start()
        server.advance(1)
        assert 0 == value("paused")


def test_failures_and_abort(virtual_server: MakeServer) -> None:
    """Failures count; giving up is shown until somebody starts the updates anew."""
    server = make(virtual_server, {"sleep": 0})
    work = Work(server, 10**9, cost_ms=1)
    work.fail = 5
    server.pools["master"].queue("work", work)
    server.start()
    server.advance(60)
    assert 1 == value("held", reason="backoff")
    last_progress_s = value("last_progress_timestamp_seconds", update_name="work")
    assert EPOCH_S == pytest.approx(last_progress_s, abs=0.1)
    server.advance(600)
    assert 5 == value("iteration_failures_total")
    assert 1 == value("aborted")
    assert 0 == value("held", reason="backoff")
    assert 1 == value("current_update", update_name="work")
    server.start()
    server.advance(0.01)  # sooner than any look at the queue
    assert 0 == value("aborted")
    server.advance(70)
    last_progress_s = value("last_progress_timestamp_seconds", update_name="work")
    assert server.clock.time() == pytest.approx(last_progress_s, abs=1)


def test_unknown_update(virtual_server: MakeServer) -> None:
    """A name that the server does not know is counted, though no iteration ever begins."""
    server = make(virtual_server, {})
    server.pools["master"].queue("work", Work(server, 10, cost_ms=1))
    del server.pools["master"].updates._background_update_handlers["work"]
    for name in ("another", "third"):
        handlers = server.pools["master"].updates
        handlers.register_background_update_handler(name, Work(server, 1, cost_ms=1))
    server.start()
    server.advance(60)
    assert (1, 1, 1) == (value("unknown_updates"), value("pending_updates"), value("aborted"))


def test_a_failed_look_is_shown_until_the_next(virtual_server: MakeServer) -> None:
    """All signals of a look that failed cannot be read; after the next, those that can are 1."""
    server = make(virtual_server, {"sleep": "1h", "signals": {"wal_rate": "10MiB/s"}})
    server.pools["master"].queue("work", Work(server, 10**9, cost_ms=1))
    server.start()
    server.advance(5)
    observe = server.api.module._parts.iterations.sampler._observe
    for sample, expected in (
        (DatabaseSample(at_s=6.0, problem="statement timeout"), [0.0, 0.0, 0.0]),
        (DatabaseSample(at_s=7.0, foreground_backends=1), [1.0, None, 0.0]),
    ):
        observe("master", sample)
        names = ("foreground_backends", "autovacuum", "wal_rate")
        assert expected == [value("signal_readable", signal=name) for name in names]


def test_closed_budgets_are_those_that_hold(virtual_server: MakeServer) -> None:
    """What holds one-shots only is 0 for another update; what is not read any more is gone."""
    server = make(virtual_server, {"sleep": "1h", "signals": {"wal_rate": "10MiB/s"}})
    server.pools["master"].queue("work", Work(server, 10**9, cost_ms=1))
    server.start()
    server.advance(5)
    names = ("replica_lag", "longest_transaction", "wal_rate")
    for sample, expected in (
        (
            DatabaseSample(at_s=5.0, replica_lag_s=60, longest_transaction_s=400.0, wal_bytes=1.0),
            [1.0, 0.0, 1.0],
        ),
        (DatabaseSample(at_s=20.0), [None, None, 1.0]),
    ):
        server.api.module._parts.iterations.sampler._observe("master", sample)
        assert expected == [value("budget_closed", signal=name) for name in names]


def test_a_slowdown_of_long_ago_is_no_pressure(virtual_server: MakeServer) -> None:
    """It is shown for as long as it counts, not until the next batch among clients."""
    server = make(virtual_server, {"sleep": "1h"})
    server.pools["master"].queue("work", Work(server, 10**9, cost_ms=1))
    server.start()
    server.advance(5)
    now_s = server.clock.monotonic()
    server.api.module._parts.iterations.sampler._observe(
        "master", BatchSample(at_s=now_s, slowdown=400.0)
    )
    assert 28 == pytest.approx(value("pressure_ratio", signal="batch_slowdown"))
    server.advance(4)
    assert value("pressure_ratio", signal="batch_slowdown") is None
    assert 0 == value("pressure_ratio", signal="event_loop_lag")
