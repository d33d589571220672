"""Other roles' sessions, which are hidden without a privilege."""

from typing import Any

import pytest

from synapse_bgthrottle.core.reports.log_lines import SignalLog
from synapse_bgthrottle.core.signals.samples import DatabaseSample
from synapse_bgthrottle.core.signals.signal_set import SignalSet
from synapse_bgthrottle.core.signals.signal_state import PANIC_S


def sample(at_s: float = 0.0, *, hides: bool = True, **fields: Any) -> DatabaseSample:
    visible: dict[str, Any] = {
        "foreground_backends": 0,
        "blocked_sessions": 0,
        "longest_transaction_s": 0.0,
    }
    return DatabaseSample(at_s=at_s, hides_sessions=hides, **{**visible, **fields})


def reason(signal_set: SignalSet, at_s: float = 0.0) -> str:
    closed = signal_set.closed(at_s, one_shot=True)
    return "" if closed is None else closed.reason


@pytest.mark.parametrize("name", ["foreground_backends", "longest_transaction", "blocked_sessions"])
def test_what_is_hidden_is_not_nothing(name: str) -> None:
    """Where nothing is visible, but somebody is there, nothing is known."""
    signal_set = SignalSet({}, 4)
    signal_set.observe(sample(hides=False))
    assert 0 == signal_set.states[name].value
    signal_set.observe(sample())
    assert signal_set.states[name].value is None
    assert name in set(signal_set.unobservable())


def test_what_is_visible_may_be_enough() -> None:
    """One's own sessions are the least that there is: they hold, and slow down."""
    signal_set = SignalSet({}, 4)
    signal_set.observe(
        sample(foreground_backends=8, blocked_sessions=1, longest_transaction_s=400.0)
    )
    assert "longest_transaction 6m 40s >= 5m" == reason(signal_set)
    assert "foreground_backends" == signal_set.soft(0.0).name
    assert (PANIC_S, "blocked_sessions 1 >= 1") == signal_set.panic(0.0)


def test_default_does_not_hold_for_what_is_hidden() -> None:
    """A one-shot starts; a transaction that was seen before holds it for a moment only."""
    signal_set = SignalSet({}, 4)
    signal_set.observe(sample())
    assert "" == reason(signal_set)
    signal_set.observe(sample(1.0, longest_transaction_s=400.0))
    assert "" != reason(signal_set, 1.0)
    signal_set.observe(sample(11.0))
    assert "" == reason(signal_set, 11.0)


def test_configured_budget_holds_for_what_is_refused() -> None:
    """Its reason has the complaint of the database, as long as that refuses."""
    signal_set = SignalSet({"wal_rate": 1.0}, 4)
    signal_set.observe(sample(refused={"wal_rate": "not on this cloud"}))
    assert (
        "wal_rate is configured and cannot be observed here, because the database refuses it:"
        " not on this cloud"
    ) == reason(signal_set)
    signal_set.observe(sample(1.0))
    assert "wal_rate is configured and cannot be observed here" == reason(signal_set)


def test_configured_budget_holds_for_what_is_hidden() -> None:
    """A pg_dump of another role's is such a session."""
    signal_set = SignalSet({"longest_transaction": 300_000.0}, 4)
    signal_set.observe(sample(hides=False))
    assert "" == reason(signal_set)
    signal_set.observe(sample())
    assert (
        "longest_transaction is configured and cannot be observed here without pg_monitor,"
        " because other roles have sessions"
    ) == reason(signal_set)


def test_told_once() -> None:
    """By name; what is visible counts all the same."""
    signal_set, teller, texts = SignalSet({}, 4), SignalLog("master"), []
    for second in range(10):
        seen = sample(second, transactions=5.0, pool_wait_s=0.0, query_s=0.0, replica_lag_s=0.0)
        signal_set.observe(seen)
        texts += [text for _, text in teller.lines("an_index", signal_set, seen)]
    assert 1 == texts.count(
        "longest_transaction is not observable in master, but for sessions of the server's own"
        " role: see docs/signals.md"
    )
    assert len(set(texts)) == len(texts)
