"""Signals over time: pressures, stale ones, budgets that close and open, panics."""

import math
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synapse_bgthrottle.board import Board
from synapse_bgthrottle.board_level import PANIC_S, SHORTEST_HOLD_S
from synapse_bgthrottle.signals import SIGNALS
from synapse_bgthrottle.signals.samples import (
    BatchSample,
    CheckSample,
    DatabaseSample,
    ProcessSample,
    Sample,
)
from synapse_bgthrottle.signals.signal import SignalClass

_CORES = 4


def board(**thresholds: float | None) -> Board:
    return Board(thresholds, _CORES)


def lag(at_s: float, late_s: float) -> ProcessSample:
    return ProcessSample(at_s=at_s, timer_late_s=late_s)


def pressure(made: Board, now_s: float) -> float:
    """The soft pressure, where there is one."""
    known = made.soft(now_s).pressure
    assert known is not None
    return known


def reason(made: Board, now_s: float, *, one_shot: bool = False) -> str:
    """Why a budget holds; empty: none does."""
    closed = made.closed(now_s, one_shot=one_shot)
    return closed.reason if closed is not None else ""


def replica(at_s: float, lag_s: float | None, problem: str = "") -> DatabaseSample:
    return DatabaseSample(at_s=at_s, replica_lag_s=lag_s, problem=problem)


# --- pressures ---


def test_pressure_is_the_share_of_the_threshold() -> None:
    """A timer that is late by the threshold of 50 ms, again and again, is a pressure of 1."""
    made = board()
    for number in range(20):
        made.observe(lag(number / 4, 0.05))
    assert 1 == pytest.approx(made.soft(4.75).pressure)
    assert "event_loop_lag" == made.soft(4.75).name


def test_pressure_rises_quickly_and_falls_slowly() -> None:
    """One bad look brings most of its pressure, one good look takes less than half away."""
    made = board()
    made.observe(lag(0.0, 0.0))
    made.observe(lag(0.25, 0.1))
    risen = pressure(made, 0.25)
    assert 1.3 < risen < 2
    made.observe(lag(0.5, 0.0))
    assert risen / 2 < pressure(made, 0.5) < risen


def test_worst_soft_signal_counts() -> None:
    """Pressures are not added."""
    made = board()
    made.observe(lag(0.0, 0.02))
    made.observe(DatabaseSample(at_s=0.0, pool_wait_s=0.02, query_s=0.001, foreground_backends=1))
    assert ("database_pool_wait", 1.4) == (made.soft(0.0).name, made.soft(0.0).pressure)


def test_means_are_of_what_was_added_since_the_last_look() -> None:
    """Ten transactions that waited 20 ms each are a pool wait of 20 ms, whatever was before."""
    made = board()
    made.observe(ProcessSample(at_s=0.0, timer_late_s=0, pool_wait_s=100.0, pool_waits=50))
    assert "pool_wait" in set(made.unobservable())
    made.observe(ProcessSample(at_s=0.25, timer_late_s=0, pool_wait_s=100.2, pool_waits=60))
    assert 20 == pytest.approx(made.levels["pool_wait"].value)
    made.observe(ProcessSample(at_s=0.5, timer_late_s=0, pool_wait_s=100.2, pool_waits=60))
    assert 0 == made.levels["pool_wait"].value
    made.observe(ProcessSample(at_s=0.75, timer_late_s=0, pool_wait_s=0.0, pool_waits=0))
    assert made.levels["pool_wait"].value is None


def test_distance_of_the_database_is_no_pressure() -> None:
    """A query that always takes 80 ms makes none; one that then takes 240 ms makes 2."""
    made = board()
    for second in range(20):
        made.observe(DatabaseSample(at_s=second, query_s=0.08))
    assert 0 == made.levels["database_query"].pressure
    for second in range(20, 40):
        made.observe(DatabaseSample(at_s=second, query_s=0.24))
    assert 2 == pytest.approx(made.levels["database_query"].pressure, abs=0.01)


def test_threshold_of_foreground_backends_is_the_number_of_cores() -> None:
    """Unless it is configured."""
    assert _CORES == board().levels["foreground_backends"].threshold
    assert 30 == board(foreground_backends=30).levels["foreground_backends"].threshold


def test_one_connection_is_waited_for() -> None:
    """On SQLite everybody waits for the transaction before them: 50 ms instead of 10."""
    made = Board({}, _CORES, is_sqlite=True)
    assert 50 == made.levels["pool_wait"].threshold
    assert 50 == made.levels["database_pool_wait"].threshold
    assert 20 == Board({"pool_wait": 20.0}, 1, is_sqlite=True).levels["pool_wait"].threshold


def test_signal_that_is_off_is_not_there() -> None:
    """Neither one that is switched off, nor one that has no threshold of its own."""
    made = board(event_loop_lag=None)
    assert "event_loop_lag" not in made.levels
    assert "wal_rate" not in made.levels
    assert "wal_rate" in board(wal_rate=1e6).levels


# --- missing signals ---


def test_stale_signal_is_told_and_does_not_count() -> None:
    """After three periods without a sample the others count, and nothing may get faster."""
    made = board()
    made.observe(DatabaseSample(at_s=0.0, pool_wait_s=1.0))
    made.observe(lag(3.1, 0.0))
    assert (0, True) == (made.soft(3.1).pressure, made.soft(3.1).is_stale)


def test_all_soft_signals_lost() -> None:
    """There is no pressure then, which is not the same as one of 0."""
    made = board()
    assert made.soft(0.0).pressure is None
    made.observe(lag(0.0, 0.0))
    assert 0 == made.soft(0.5).pressure
    assert made.soft(0.8).pressure is None


def test_batches_are_never_stale() -> None:
    """There is no time at which the next batch must end: its slowdown is forgotten."""
    made = board()
    made.observe(BatchSample(at_s=0.0, slowdown=50.0))
    assert "batch_slowdown" == made.soft(0.0).name
    made.observe(lag(1000.0, 0.0))
    assert ("event_loop_lag", False) == (made.soft(1000.0).name, made.soft(1000.0).is_stale)


def test_soft_signal_with_an_error_keeps_its_value() -> None:
    """Until it is stale."""
    made = board()
    made.observe(DatabaseSample(at_s=0.0, pool_wait_s=0.01))
    before = made.levels["database_pool_wait"].pressure
    made.observe(DatabaseSample(at_s=1.0, problem="timed out"))
    assert before == made.levels["database_pool_wait"].pressure
    assert 0.0 == made.levels["database_pool_wait"].at_s


@pytest.mark.parametrize("garbage", [math.nan, math.inf, -1.0])
def test_garbage_is_no_value(garbage: float) -> None:
    """What cannot be a value is a problem, told with what was read."""
    made = board(replica_lag=10_000.0)
    made.observe(replica(0.0, garbage))
    closed = made.closed(0.0, one_shot=False)
    assert closed is not None
    assert "cannot be read: it was read as" in closed.reason


def test_missing_privilege_is_not_observable() -> None:
    """None is told as not observable, and closes nothing that nobody asked for."""
    made = board()
    made.observe(replica(0.0, None))
    assert "replica_lag" in set(made.unobservable())
    assert made.closed(0.0, one_shot=False) is None


# --- budgets ---


def test_budget_closes_at_its_threshold_and_opens_below_seven_tenths() -> None:
    """With the value and the threshold as the reason, and a least time."""
    made = board()
    made.observe(replica(0.0, 9.9))
    assert made.closed(0.0, one_shot=False) is None
    made.observe(replica(1.0, 12.0))
    closed = made.closed(1.0, one_shot=False)
    assert closed is not None
    assert ("replica_lag 12s >= 10s", True) == (closed.reason, closed.may_be_let_go)
    made.observe(replica(20.0, 8.0))
    assert "replica_lag 8s < 10s" == reason(made, 20.0)
    made.observe(replica(21.0, 6.9))
    assert made.closed(21.0, one_shot=False) is None


def test_budget_stays_closed_for_a_while() -> None:
    """A lag that comes and goes does not make updates come and go."""
    made = board()
    made.observe(replica(0.0, 12.0))
    made.observe(replica(SHORTEST_HOLD_S - 1, 0.0))
    assert made.closed(SHORTEST_HOLD_S - 1, one_shot=False) is not None
    made.observe(replica(SHORTEST_HOLD_S, 0.0))
    assert made.closed(SHORTEST_HOLD_S, one_shot=False) is None


@pytest.mark.parametrize(
    ("expected", "samples", "at_s"),
    [
        ("has not been read yet", [], 0.0),
        ("cannot be read: no such role", [replica(0.0, None, "no such role")], 0.0),
        ("not observable here", [replica(0.0, None)], 0.0),
        ("has not been read since 5s ago", [replica(0.0, 0.0)], 5.0),
        ("", [replica(0.0, 0.0)], 1.0),
    ],
)
def test_configured_budget_that_cannot_be_read_is_closed(
    expected: str, samples: list[Sample], at_s: float
) -> None:
    """What an operator asked for must be known; what is only a default need not."""
    configured, default = board(replica_lag=10_000.0), board()
    for sample in samples:
        configured.observe(sample)
        default.observe(sample)
    assert expected in reason(configured, at_s)
    assert bool(expected) is bool(reason(configured, at_s))
    assert default.closed(at_s, one_shot=False) is None


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("disk_free", 1e8, "disk_free 95.4MiB <= 1GiB"),
        ("pause_file", 1.0, "pause_file"),
        ("http", 1.0, "http"),
        ("sql", 200.0, "sql 200 >= 100"),
    ],
)
def test_what_the_operator_asked_for_is_never_let_go(name: str, value: float, reason: str) -> None:
    """A full disk neither."""
    thresholds = {"disk_free": float(1 << 30), "sql": 100.0}
    made = board(**{name: thresholds.get(name, 1.0)})
    made.observe(CheckSample(at_s=0.0, name=name, value=value))
    closed = made.closed(0.0, one_shot=False)
    assert closed is not None
    assert (reason, False) == (closed.reason, closed.may_be_let_go)


def test_pause_file_is_named() -> None:
    """Whoever is to remove it need not look for its path; one that cannot be seen is told so."""
    made = board(pause_file=1.0)
    sample = CheckSample(at_s=0.0, name="pause_file", value=1.0, about="/run/synapse/a pause")
    made.observe(sample)
    assert "pause_file /run/synapse/a pause" == reason(made, 0.0)
    made.observe(attrs.evolve(sample, problem="Permission denied"))
    assert "pause_file is configured and cannot be read: Permission denied" == reason(made, 0.0)


def test_what_is_never_let_go_is_not_hidden() -> None:
    """By another closed budget, which a release lets go."""
    made = board(replica_lag=10_000.0, pause_file=1.0)
    made.observe(DatabaseSample(at_s=0.0))
    made.observe(CheckSample(at_s=0.0, name="pause_file", value=1.0))
    closed = made.closed(0.0, one_shot=False)
    assert closed is not None
    assert ("pause_file", False) == (closed.reason, closed.may_be_let_go)


def test_check_is_for_its_own_signal() -> None:
    """The answer of one check is not taken for another's."""
    made = board(http=1.0, sql=100.0)
    made.observe(CheckSample(at_s=0.0, name="http", value=0.0))
    assert "sql is configured and has not been read yet" == reason(made, 0.0)


def test_autovacuum_holds_for_ten_minutes_at_most() -> None:
    """Then it is let go, until it has ended and another one begins."""
    made = board()
    for second in range(700):
        made.observe(DatabaseSample(at_s=second, autovacuum=True))
        assert (made.closed(second, one_shot=False) is None) is (second > 600)
    made.observe(DatabaseSample(at_s=700.0, autovacuum=False))
    made.observe(DatabaseSample(at_s=701.0, autovacuum=True))
    assert made.closed(701.0, one_shot=False) is not None


def test_long_transaction_holds_one_shots_only() -> None:
    """Batches do not wait for older transactions; index builds do."""
    made = board()
    made.observe(DatabaseSample(at_s=0.0, longest_transaction_s=400.0))
    assert made.closed(0.0, one_shot=False) is None
    assert "longest_transaction 6m 40s >= 5m" == reason(made, 0.0, one_shot=True)


def test_panic_lasts_for_some_seconds() -> None:
    """Somebody who waits for a lock of ours stops us at once, and not for ever."""
    made = board()
    assert made.panics_until_s()[0] == -math.inf
    made.observe(DatabaseSample(at_s=5.0, blocked_sessions=2))
    assert (5.0 + PANIC_S, "blocked_sessions 2 >= 1") == made.panics_until_s()


# --- anything ---

_values = st.one_of(
    st.none(),
    st.floats(),
    st.integers(-(10**30), 10**30),
    st.sampled_from([0.0, -0.0, math.nan, math.inf, -math.inf, 1e308, 5e-324]),
)


@st.composite
def _samples(draw: st.DrawFn) -> Sample:
    at_s = draw(st.floats(-1e9, 1e9))
    kind = draw(st.sampled_from(["process", "database", "check", "batch"]))
    if kind == "process":
        process = ("pool_wait_s", "pool_waits", "tick_s", "ticks")
        fields: dict[str, Any] = {name: draw(_values) for name in process}
        return ProcessSample(at_s=at_s, timer_late_s=draw(st.floats()), **fields)
    if kind == "database":
        database = (
            "pool_wait_s",
            "query_s",
            "foreground_backends",
            "blocked_sessions",
            "replica_lag_s",
            "wal_bytes",
            "retained_wal_bytes",
            "longest_transaction_s",
        )
        fields = {name: draw(_values) for name in database}
        problem = draw(st.sampled_from(["", "gone"]))
        return DatabaseSample(at_s=at_s, problem=problem, **fields)
    if kind == "check":
        name = draw(st.sampled_from(["disk_free", "sql", "http", "pause_file", "?"]))
        return CheckSample(at_s=at_s, name=name, value=draw(_values))
    return BatchSample(at_s=at_s, slowdown=draw(_values))


@given(st.lists(_samples(), max_size=30), st.booleans(), st.floats(-1e9, 1e9))
def test_any_samples_make_sense(samples: list[Sample], configured: bool, now_s: float) -> None:
    """Lying, garbled and unordered samples: a finite pressure or none, and a reason or none."""
    made = board(**(dict.fromkeys(SIGNALS, 1.0) if configured else {}))
    for sample in samples:
        made.observe(sample)
    soft = made.soft(now_s)
    assert soft.pressure is None or 0 <= soft.pressure <= 100
    for one_shot in (True, False):
        closed = made.closed(now_s, one_shot=one_shot)
        assert closed is None or closed.reason
    assert all(isinstance(level.describe(), str) for level in made.levels.values())


def test_signals_are_told_apart_by_class() -> None:
    """What is slow, such as replica lag, is a budget and never moves the duty cycle."""
    by_class = {
        kind: {name for name, signal in SIGNALS.items() if signal.signal_class is kind}
        for kind in SignalClass
    }
    assert {"blocked_sessions"} == by_class[SignalClass.PANIC]
    assert {
        "replica_lag",
        "wal_rate",
        "retained_wal",
        "disk_free",
        "autovacuum",
        "longest_transaction",
        "pause_file",
        "http",
        "sql",
    } == by_class[SignalClass.BUDGET]
