"""Log lines for administrators: one for each change, none for each batch."""

import logging
import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synapse_bgthrottle.core.config.limits import DutyCycle, FixedSleep, Limits, Rule
from synapse_bgthrottle.core.config.windows import Window
from synapse_bgthrottle.core.reports.log_lines import Line, UpdateLog, describe
from synapse_bgthrottle.core.scheduling.decision import Cause, Decision
from synapse_bgthrottle.core.scheduling.state import HoldClock, UpdateState
from testbed.strategies.strategies import utc_s

_INFO, _WARNING = logging.INFO, logging.WARNING
_NOON_S = utc_s("2026-06-01 12:00")
# Until the levers are read nothing is told: that is a moment at every start.
_CAUSES = tuple(cause for cause in Cause if cause is not Cause.LEVERS)
_HOLDS = tuple(cause for cause in _CAUSES if cause.is_hold)
_SPACES = tuple(cause for cause in Cause if not cause.is_hold)


def _state(released: bool = False) -> UpdateState:
    held_since_s = {Cause.WINDOW: 0.0} if released else {}
    holds = HoldClock(held_since_s, released)
    return UpdateState(Limits(), False, holds=holds)


def _tell(
    teller: UpdateLog,
    cause: Cause,
    after_s: float = 0.0,
    reason: str = "because",
    name: str = "a_index",
    released: bool = False,
) -> list[Line]:
    decision = Decision(cause, math.inf, reason, target_ms=100, items=100)
    return list(teller.lines(name, _state(released), decision, _NOON_S + after_s))


def _introduced() -> UpdateLog:
    """A teller that has told of its update."""
    teller = UpdateLog("master")
    _tell(teller, Cause.RUN)
    return teller


def test_update_is_told_of_when_it_comes() -> None:
    """The first decision for an update says how it is limited, at level INFO."""
    assert [
        (
            _INFO,
            "Pacing a_index in master: duty cycle adaptive, balanced, target duration 100ms;"
            " no rule matches",
        )
    ] == _tell(UpdateLog("master"), Cause.PACE)


def test_next_update_is_told_of_once() -> None:
    """One line for each update, and again when it comes again."""
    teller = _introduced()
    assert [] == _tell(teller, Cause.RUN)
    for name in ("b_index", "a_index"):
        assert 1 == len(_tell(teller, Cause.RUN, name=name))
        assert [] == _tell(teller, Cause.PACE, name=name)


@pytest.mark.parametrize("cause", _SPACES)
def test_batches_as_usual_are_not_told(cause: Cause) -> None:
    """What only spaces batches makes no line, whichever of the three it is."""
    teller = _introduced()
    for before in (*_SPACES, cause):
        assert [] == _tell(teller, before)
        assert [] == _tell(teller, cause, reason="another reason")


@pytest.mark.parametrize(
    ("level", "cause"),
    [
        (_INFO, Cause.DISABLED),
        (_WARNING, Cause.DATABASE),
        (_WARNING, Cause.BACKOFF),
        (_INFO, Cause.WINDOW),
    ],
)
def test_hold_is_told_once_with_its_reason(level: int, cause: Cause) -> None:
    """The start of a hold is one line: loud where something is wrong, and not where it is meant."""
    teller = _introduced()
    assert [
        (level, "Holding a_index in master, and all updates behind it: the reason, in full")
    ] == _tell(teller, cause, reason="the reason, in full")
    assert [] == _tell(teller, cause, 60)
    assert [] == _tell(teller, cause, 120, reason="the same with other numbers")


@pytest.mark.parametrize("space", _SPACES)
@pytest.mark.parametrize("hold", _HOLDS)
def test_end_of_a_hold_is_told_with_why_and_since_when(hold: Cause, space: Cause) -> None:
    """Going on is one line: how long, for what cause and since when it was held."""
    teller = _introduced()
    _tell(teller, hold, 60)
    assert [
        (
            _INFO,
            "Going on with a_index in master after 1h 30m on hold"
            f" ({hold.value}, since 2026-06-01T12:01:00Z)",
        )
    ] == _tell(teller, space, 60 + 5400)
    assert [] == _tell(teller, space, 9999)


def test_change_from_hold_to_hold_is_told_and_both_count() -> None:
    """A hold for another cause is a line, and what is told in the end is the whole time."""
    teller = _introduced()
    assert 1 == len(_tell(teller, Cause.WINDOW, 0))
    assert 1 == len(_tell(teller, Cause.DATABASE, 60))
    ((_, text),) = _tell(teller, Cause.RUN, 180)
    assert "after 3m on hold (database, since 2026-06-01T12:00:00Z)" in text


def test_hold_from_the_start_is_told_after_the_update() -> None:
    """An update that comes while windows are closed makes two lines, in this order."""
    lines = _tell(UpdateLog("master"), Cause.WINDOW)
    assert ["Pacing", "Holding"] == [text.split()[0] for _, text in lines]


def test_hold_goes_on_for_the_next_update() -> None:
    """Where the next update is held for the same cause, only that it came is told."""
    teller = _introduced()
    _tell(teller, Cause.WINDOW)
    ((_, text),) = _tell(teller, Cause.WINDOW, 60, name="b_index")
    assert text.startswith("Pacing b_index")
    ((_, text),) = _tell(teller, Cause.RUN, 120, name="b_index")
    assert text.startswith("Going on with b_index in master after 2m on hold")


def test_next_budget_that_holds_is_told_of() -> None:
    """One that closes while another one holds has a line of its own; a new value has none."""
    teller = _introduced()
    texts = []
    for subject, reason in (
        ("replica_lag closed", "replica_lag 12s >= 10s"),
        ("replica_lag closed", "replica_lag 14s >= 10s"),
        ("pause_file closed", "pause_file"),
    ):
        decision = Decision(Cause.BUDGET, 0.5, reason, False, subject, target_ms=100, items=100)
        lines = teller.lines("a_index", _state(), decision, _NOON_S)
        texts += [text.rpartition(": ")[2] for _, text in lines]
    assert ["replica_lag 12s >= 10s", "pause_file"] == texts


def test_release_is_told_once_and_loudly() -> None:
    """Letting an update go although its windows are closed is a warning, with max_hold."""
    teller = _introduced()
    _tell(teller, Cause.WINDOW)
    lines = _tell(teller, Cause.PACE, 60, reason="duty cycle 1%: rests", released=True)
    assert (
        _WARNING,
        "Letting a_index in master go although its windows are closed: it was held for 7d"
        " (max_hold); duty cycle 1%: rests",
    ) == lines[0]
    assert ["Letting", "Going"] == [text.split()[0] for _, text in lines]
    for cause in _SPACES:
        assert [] == _tell(teller, cause, 120, released=True)


def test_release_is_told_again_after_the_next_hold_and_for_the_next_update() -> None:
    """Each release is told, also where it follows another one."""
    teller = _introduced()
    for name in ("a_index", "a_index", "b_index", "c_index"):
        _tell(teller, Cause.WINDOW, name=name)
        lines = _tell(teller, Cause.RUN, name=name, released=True)
        assert 1 == sum(level == _WARNING for level, _ in lines)


def test_databases_are_told_of_apart() -> None:
    """Each line names the database that it is of."""
    for database in ("master", "state"):
        for _, text in _tell(UpdateLog(database), Cause.WINDOW):
            assert f"a_index in {database}" in text


def test_hold_is_never_told_as_negative() -> None:
    """Where the clock on the wall was set back during a hold, no negative time is told."""
    teller = _introduced()
    _tell(teller, Cause.WINDOW)
    ((_, text),) = _tell(teller, Cause.RUN, -3600)
    assert "after -" not in text


@given(st.lists(st.sampled_from(_CAUSES), max_size=20))
def test_lines_are_one_a_change_for_any_causes(causes: list[Cause]) -> None:
    """There are as many lines as there are changes, with all that only spaces taken as one."""
    teller = _introduced()
    told = [Cause.RUN, *(cause if cause.is_hold else Cause.RUN for cause in causes)]
    changes = sum(before is not after for before, after in pairwise(told))
    assert changes == sum(len(_tell(teller, cause)) for cause in causes)


@pytest.mark.parametrize(
    ("expected", "limits", "rule", "one_shot"),
    [
        (
            "duty cycle adaptive, balanced, target duration 100ms; no rule matches",
            Limits(),
            None,
            False,
        ),
        (
            "sleep 1.5s, target duration 250ms; rule 2 (a_*)",
            Limits(pace=FixedSleep(1500), target_duration_ms=250),
            Rule(2, ("a_*",)),
            False,
        ),
        (
            "duty cycle adaptive, balanced, target duration 100ms, at most 2.5 items/s,"
            " at most 30 items a batch; no rule matches",
            Limits(max_items_per_second=2.5, max_batch_items=30),
            None,
            False,
        ),
        (
            "duty cycle 5%, one-shot: only its start can be chosen,"
            " windows sun 00:00 to 24:00; daily 22:00 to 06:00 UTC; rule 0 (one-shots)",
            Limits(
                pace=DutyCycle(0.05),
                max_items_per_second=2.5,
                windows=(Window((6,), 0, 1440), Window(tuple(range(7)), 1320, 360)),
            ),
            Rule(0, one_shot=True),
            True,
        ),
    ],
    ids=["built-in", "rule", "limits", "one-shot with windows"],
)
def test_update_is_described_by_what_limits_it(
    expected: str, limits: Limits, rule: Rule | None, one_shot: bool
) -> None:
    """What applies is told, with the rule that gave it; what does not apply is left out."""
    assert expected == describe(UpdateState(limits, one_shot, rule=rule))
