"""Signals over time: budgets that close and open, and panics."""

import attrs
import pytest

from synapse_bgthrottle.core.signals import SIGNALS
from synapse_bgthrottle.core.signals.samples import CheckSample, DatabaseSample, Sample
from synapse_bgthrottle.core.signals.signal import SignalClass
from synapse_bgthrottle.core.signals.signal_set import SignalSet
from synapse_bgthrottle.core.signals.signal_state import PANIC_S, SHORTEST_HOLD_S
from tests.unit.core.signals.signal_sets import replica, signal_set


def reason(made: SignalSet, now_s: float, *, one_shot: bool = False) -> str:
    """Why a budget holds; empty: none does."""
    closed = made.closed(now_s, one_shot=one_shot)
    return closed.reason if closed is not None else ""


def test_budget_closes_at_its_threshold_and_opens_below_seven_tenths() -> None:
    """With the value and the threshold as the reason, and a least time."""
    made = signal_set()
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
    made = signal_set()
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
        ("cannot be observed here", [replica(0.0, None)], 0.0),
        ("was last read 5s ago", [replica(0.0, 0.0)], 5.0),
        ("", [replica(0.0, 0.0)], 1.0),
    ],
)
def test_configured_budget_that_cannot_be_read_is_closed(
    expected: str, samples: list[Sample], at_s: float
) -> None:
    """What an operator asked for must be known; what is only a default need not."""
    configured, default = signal_set(replica_lag=10_000.0), signal_set()
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
    made = signal_set(**{name: thresholds.get(name, 1.0)})
    made.observe(CheckSample(at_s=0.0, name=name, value=value))
    closed = made.closed(0.0, one_shot=False)
    assert closed is not None
    assert (reason, False) == (closed.reason, closed.may_be_let_go)


def test_a_look_that_fails_opens_nothing() -> None:
    """What a default budget was closed by holds until that is stale; then it is left out."""
    made = signal_set()
    for second in range(20):
        made.observe(replica(second, 60.0))
    for second in range(20, 23):
        made.observe(replica(second, None, "timed out"))
        assert "replica_lag 1m >= 10s" == reason(made, second)
    made.observe(replica(23.0, None, "timed out"))
    assert "" == reason(made, 23.0)


def test_what_is_not_observable_for_the_next_update_does_not_hold_it() -> None:
    """An autovacuum was on the tables of the one before; those of this one are not known."""
    made = signal_set()
    made.observe(DatabaseSample(at_s=0.0, autovacuum=True, vacuumed_table="a_table"))
    assert "autovacuum of a_table" == reason(made, 0.0)
    made.observe(DatabaseSample(at_s=1.0))
    assert "" == reason(made, 1.0)


def test_pause_file_is_named() -> None:
    """Whoever is to remove it need not look for its path; one that cannot be seen is told so."""
    made = signal_set(pause_file=1.0)
    sample = CheckSample(at_s=0.0, name="pause_file", value=1.0, about="/run/synapse/a pause")
    made.observe(sample)
    assert "pause_file /run/synapse/a pause" == reason(made, 0.0)
    made.observe(attrs.evolve(sample, problem="Permission denied"))
    assert "pause_file is configured and cannot be read: Permission denied" == reason(made, 0.0)


def test_what_is_never_let_go_is_not_hidden() -> None:
    """By another closed budget, which a release lets go."""
    made = signal_set(replica_lag=10_000.0, pause_file=1.0)
    made.observe(DatabaseSample(at_s=0.0))
    made.observe(CheckSample(at_s=0.0, name="pause_file", value=1.0))
    closed = made.closed(0.0, one_shot=False)
    assert closed is not None
    assert ("pause_file", False) == (closed.reason, closed.may_be_let_go)


def test_check_is_for_its_own_signal() -> None:
    """The answer of one check is not taken for another's."""
    made = signal_set(http=1.0, sql=100.0)
    made.observe(CheckSample(at_s=0.0, name="http", value=0.0))
    assert "sql is configured and has not been read yet" == reason(made, 0.0)


def test_autovacuum_holds_for_ten_minutes_at_most() -> None:
    """Then it is let go, until it has ended and another one begins."""
    made = signal_set()
    for second in range(700):
        made.observe(DatabaseSample(at_s=second, autovacuum=True))
        assert (made.closed(second, one_shot=False) is None) is (second > 600)
    made.observe(DatabaseSample(at_s=700.0, autovacuum=False))
    made.observe(DatabaseSample(at_s=701.0, autovacuum=True))
    assert made.closed(701.0, one_shot=False) is not None


def test_autovacuum_holds_for_ten_minutes_that_were_seen() -> None:
    """Time in which nobody looked does not count; after it, what was let go may hold anew."""
    made = signal_set()

    def held_s(*seconds: int) -> int:
        held = 0
        for second in seconds:
            made.observe(DatabaseSample(at_s=second, autovacuum=True))
            held += made.closed(second, one_shot=False) is not None
        return held

    assert 400 == held_s(*range(400))
    assert made.closed(4000.0, one_shot=False) is not None
    assert 200 == pytest.approx(held_s(*range(5000, 5400)), abs=5)
    assert 0 == held_s(5405, 5900)  # looks that are slow are none that are missing
    assert 300 == held_s(*range(9000, 9300))


def test_long_transaction_holds_one_shots_only() -> None:
    """Batches do not wait for older transactions; index builds do."""
    made = signal_set()
    made.observe(DatabaseSample(at_s=0.0, longest_transaction_s=400.0))
    assert made.closed(0.0, one_shot=False) is None
    assert "longest_transaction 6m 40s >= 5m" == reason(made, 0.0, one_shot=True)


def test_panic_lasts_for_some_seconds() -> None:
    """Somebody who waits for a lock of ours stops us at once, and not for ever."""
    made = signal_set()
    assert made.panic(5.0) is None
    made.observe(DatabaseSample(at_s=5.0, blocked_sessions=2))
    assert (5.0 + PANIC_S, "blocked_sessions 2 >= 1") == made.panic(5.0)
    assert made.panic(5.0 + PANIC_S) is None


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
