"""Signals over time: pressures, and missing, stale or invalid values."""

import math

import pytest

from synapse_bgthrottle.core.signals.samples import BatchSample, DatabaseSample, ProcessSample
from synapse_bgthrottle.core.signals.signal_set import SignalSet
from tests.unit.core.signals.signal_sets import CORES, replica, signal_set


def lag(at_s: float, late_s: float) -> ProcessSample:
    return ProcessSample(at_s=at_s, timer_late_s=late_s)


def pressure(made: SignalSet, now_s: float) -> float:
    """The soft pressure, where there is one."""
    known = made.soft(now_s).pressure
    assert known is not None
    return known


# --- pressures ---


def test_pressure_is_the_share_of_the_threshold() -> None:
    """A timer that is late by the threshold of 50 ms, again and again, is a pressure of 1."""
    made = signal_set()
    for number in range(20):
        made.observe(lag(number / 4, 0.05))
    assert 1 == pytest.approx(made.soft(4.75).pressure)
    assert "event_loop_lag" == made.soft(4.75).name


def test_pressure_rises_quickly_and_falls_slowly() -> None:
    """One bad look brings most of its pressure, one good look takes less than half away."""
    made = signal_set()
    made.observe(lag(0.0, 0.0))
    made.observe(lag(0.25, 0.1))
    risen = pressure(made, 0.25)
    assert 1.3 < risen < 2
    made.observe(lag(0.5, 0.0))
    assert risen / 2 < pressure(made, 0.5) < risen


def test_worst_soft_signal_counts() -> None:
    """Pressures are not added."""
    made = signal_set()
    made.observe(lag(0.0, 0.02))
    made.observe(DatabaseSample(at_s=0.0, pool_wait_s=0.02, query_s=0.001, foreground_backends=1))
    assert ("database_pool_wait", 1.4) == (made.soft(0.0).name, made.soft(0.0).pressure)


def test_means_are_of_what_was_added_since_the_last_look() -> None:
    """Ten transactions that waited 20 ms each are a pool wait of 20 ms, whatever was before."""
    made = signal_set()
    made.observe(ProcessSample(at_s=0.0, timer_late_s=0, pool_wait_s=100.0, pool_waits=50))
    assert "pool_wait" in set(made.unobservable())
    made.observe(ProcessSample(at_s=0.25, timer_late_s=0, pool_wait_s=100.2, pool_waits=60))
    assert 20 == pytest.approx(made.states["pool_wait"].value)
    made.observe(ProcessSample(at_s=0.5, timer_late_s=0, pool_wait_s=100.2, pool_waits=60))
    assert 0 == made.states["pool_wait"].value
    made.observe(ProcessSample(at_s=0.75, timer_late_s=0, pool_wait_s=0.0, pool_waits=0))
    assert made.states["pool_wait"].value is None


def test_distance_of_the_database_is_no_pressure() -> None:
    """A query that always takes 80 ms makes none; one that then takes 240 ms makes 2."""
    made = signal_set()
    for second in range(20):
        made.observe(DatabaseSample(at_s=second, query_s=0.08))
    assert 0 == made.states["database_query"].pressure
    for second in range(20, 40):
        made.observe(DatabaseSample(at_s=second, query_s=0.24))
    assert 2 == pytest.approx(made.states["database_query"].pressure, abs=0.01)


def test_threshold_of_foreground_backends_is_the_number_of_cores() -> None:
    """Unless it is configured."""
    assert CORES == signal_set().states["foreground_backends"].threshold
    assert 30 == signal_set(foreground_backends=30).states["foreground_backends"].threshold


def test_one_connection_is_waited_for() -> None:
    """On SQLite everybody waits for the transaction before them: 50 ms instead of 10."""
    made = SignalSet({}, CORES, is_sqlite=True)
    assert 50 == made.states["pool_wait"].threshold
    assert 50 == made.states["database_pool_wait"].threshold
    assert 20 == SignalSet({"pool_wait": 20.0}, 1, is_sqlite=True).states["pool_wait"].threshold


def test_signal_that_is_off_is_not_there() -> None:
    """Neither one that is switched off, nor one that has no threshold of its own."""
    made = signal_set(event_loop_lag=None)
    assert "event_loop_lag" not in made.states
    assert "wal_rate" not in made.states
    assert "wal_rate" in signal_set(wal_rate=1e6).states


# --- missing signals ---


def test_stale_signal_is_told_and_does_not_count() -> None:
    """After three periods without a sample the others count, and nothing may get faster."""
    made = signal_set()
    made.observe(DatabaseSample(at_s=0.0, pool_wait_s=1.0))
    made.observe(lag(3.1, 0.0))
    assert (0, "database_pool_wait") == (made.soft(3.1).pressure, made.soft(3.1).stale)


def test_all_soft_signals_lost() -> None:
    """There is no pressure then, which is not the same as one of 0."""
    made = signal_set()
    assert made.soft(0.0).pressure is None
    made.observe(lag(0.0, 0.0))
    assert 0 == made.soft(0.5).pressure
    assert made.soft(0.8).pressure is None


def test_batches_are_never_stale() -> None:
    """There is no time at which the next batch must end: its slowdown is soon forgotten."""
    made = signal_set()
    made.observe(BatchSample(at_s=0.0, slowdown=50.0))
    assert "batch_slowdown" == made.soft(0.0).name
    made.observe(lag(3.1, 0.0))
    assert ("event_loop_lag", "") == (made.soft(3.1).name, made.soft(3.1).stale)


def test_one_wild_value_is_soon_over() -> None:
    """After one batch that took 400 times its time, four as usual, not eleven, bring it to 1."""
    made = signal_set()
    made.observe(BatchSample(at_s=0.0, slowdown=400.0))
    assert 28 == pytest.approx(made.soft(0.0).pressure)
    for number in range(1, 5):
        made.observe(BatchSample(at_s=number * 2.0, slowdown=1.0))
    assert 0.9 < pressure(made, 8.0) < 1.1


def test_what_is_stale_does_not_fade() -> None:
    """It is forgotten, rather than averaged with what is seen later."""
    made = signal_set()
    made.observe(BatchSample(at_s=0.0, slowdown=30.0))
    made.observe(BatchSample(at_s=20.0, slowdown=1.0))
    assert 0.07 == pytest.approx(made.soft(20.0).pressure)


def test_soft_signal_with_an_error_keeps_its_value() -> None:
    """Until it is stale."""
    made = signal_set()
    made.observe(DatabaseSample(at_s=0.0, pool_wait_s=0.01))
    before = made.states["database_pool_wait"].pressure
    made.observe(DatabaseSample(at_s=1.0, problem="timed out"))
    assert before == made.states["database_pool_wait"].pressure
    assert 0.0 == made.states["database_pool_wait"].at_s


@pytest.mark.parametrize("garbage", [math.nan, math.inf, -1.0])
def test_garbage_is_no_value(garbage: float) -> None:
    """What cannot be a value is a problem, told with what was read."""
    made = signal_set(replica_lag=10_000.0)
    made.observe(replica(0.0, garbage))
    closed = made.closed(0.0, one_shot=False)
    assert closed is not None
    assert "cannot be read: it was read as" in closed.reason


def test_missing_privilege_is_not_observable() -> None:
    """None is told as not observable, and closes nothing that nobody asked for."""
    made = signal_set()
    made.observe(replica(0.0, None))
    assert "replica_lag" in set(made.unobservable())
    assert made.closed(0.0, one_shot=False) is None
