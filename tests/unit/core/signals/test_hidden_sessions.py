"""Sessions of other roles, of which nothing is visible without a privilege."""

from typing import Any

import pytest

from synapse_bgthrottle.core.reports.log_lines import SampleTeller
from synapse_bgthrottle.core.signals.samples import DatabaseSample
from synapse_bgthrottle.core.signals.signal_set import Board
from synapse_bgthrottle.core.signals.signal_state import PANIC_S


def sample(at_s: float = 0.0, *, hides: bool = True, **fields: Any) -> DatabaseSample:
    visible: dict[str, Any] = {
        "foreground_backends": 0,
        "blocked_sessions": 0,
        "longest_transaction_s": 0.0,
    }
    return DatabaseSample(at_s=at_s, hides_sessions=hides, **{**visible, **fields})


def reason(board: Board, at_s: float = 0.0) -> str:
    closed = board.closed(at_s, one_shot=True)
    return "" if closed is None else closed.reason


@pytest.mark.parametrize("name", ["foreground_backends", "longest_transaction", "blocked_sessions"])
def test_what_is_hidden_is_not_nothing(name: str) -> None:
    """Where nothing is visible, but somebody is there, nothing is known."""
    board = Board({}, 4)
    board.observe(sample(hides=False))
    assert 0 == board.levels[name].value
    board.observe(sample())
    assert board.levels[name].value is None
    assert name in set(board.unobservable())


def test_what_is_visible_may_be_enough() -> None:
    """One's own sessions are the least that there is: they hold, and slow down."""
    board = Board({}, 4)
    board.observe(sample(foreground_backends=8, blocked_sessions=1, longest_transaction_s=400.0))
    assert "longest_transaction 6m 40s >= 5m" == reason(board)
    assert "foreground_backends" == board.soft(0.0).name
    assert (PANIC_S, "blocked_sessions 1 >= 1") == board.panic(0.0)


def test_default_does_not_hold_for_what_is_hidden() -> None:
    """A one-shot starts; a transaction that was seen before holds it for a moment only."""
    board = Board({}, 4)
    board.observe(sample())
    assert "" == reason(board)
    board.observe(sample(1.0, longest_transaction_s=400.0))
    assert "" != reason(board, 1.0)
    board.observe(sample(11.0))
    assert "" == reason(board, 11.0)


def test_configured_budget_holds_for_what_is_refused() -> None:
    """Its reason has the complaint of the database, as long as that refuses."""
    board = Board({"wal_rate": 1.0}, 4)
    board.observe(sample(refused={"wal_rate": "not on this cloud"}))
    assert (
        "wal_rate is configured and not observable here, because the database refuses it:"
        " not on this cloud"
    ) == reason(board)
    board.observe(sample(1.0))
    assert "wal_rate is configured and not observable here" == reason(board)


def test_configured_budget_holds_for_what_is_hidden() -> None:
    """A pg_dump of another role's is such a session."""
    board = Board({"longest_transaction": 300_000.0}, 4)
    board.observe(sample(hides=False))
    assert "" == reason(board)
    board.observe(sample())
    assert (
        "longest_transaction is configured and not observable here without pg_monitor:"
        " sessions of other roles are there"
    ) == reason(board)


def test_told_once() -> None:
    """By name; what is visible counts all the same."""
    board, teller, texts = Board({}, 4), SampleTeller("master"), []
    for second in range(10):
        seen = sample(second, transactions=5.0, pool_wait_s=0.0, query_s=0.0, replica_lag_s=0.0)
        board.observe(seen)
        texts += [text for _, text in teller.tell("an_index", board, seen)]
    assert 1 == texts.count(
        "longest_transaction is not observable in master, but for sessions of the server's own"
        " role: see the table of signals in the documentation"
    )
    assert len(set(texts)) == len(texts)
