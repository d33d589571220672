"""The adaptive pace: gaps, quiet, and what happens where requests cannot be seen."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synapse_bgthrottle import adaptive
from synapse_bgthrottle.config import parse
from synapse_bgthrottle.decision import Cause, Decision
from synapse_bgthrottle.limits import Adaptive, DutyCycle, Settings
from synapse_bgthrottle.throttle import Conditions, Throttle

KEY = ("master", "work")


def throttle(raw: Any = None) -> Throttle:
    made = Throttle(parse({"duty_cycle": "adaptive", **(raw or {})}), Settings())
    made.begin(*KEY, False, 0.0)
    return made


def decide(made: Throttle, now_s: float, active: int | None) -> Decision:
    return made.decide(*KEY, Conditions(now_s, 0.0, active_requests=active))


def batch(made: Throttle, begin_s: float, end_s: float) -> None:
    made.start(*KEY, begin_s)
    made.finish(*KEY, end_s, None, failed=False)


@pytest.mark.parametrize(
    ("expected", "active", "since_s"),
    [
        (adaptive.BLIND_PACE, None, 0.0),
        (adaptive.BLIND_PACE, None, 1e9),
        (adaptive.BUSY_PACE, 3, 0.0),
        (adaptive.BUSY_PACE, 0, 4.9),
        (adaptive.QUIET_PACE, 0, 5.0),
        (adaptive.QUIET_PACE, 0, float("inf")),
    ],
)
def test_pace(expected: DutyCycle, active: int | None, since_s: float) -> None:
    """Busy while requests come and for 5 s after, then quiet; blind where they cannot be seen."""
    assert expected == adaptive.pace(active, since_s)


def test_the_word() -> None:
    """`adaptive` is a duty cycle, at the top level and in a rule."""
    config = parse({"duty_cycle": "adaptive", "rules": [{"update": "a", "duty_cycle": "adaptive"}]})
    assert Adaptive() == config.settings.pace == config.rules[0].settings.pace


def test_nobody_there() -> None:
    """Without requests there is no rest, and batches have their whole target."""
    made = throttle()
    batch(made, 0.0, 0.1)
    decision = decide(made, 0.1, active=0)
    assert (Cause.RUN, 0.0, 100) == (decision.cause, decision.wait_s, decision.target_ms)


def test_quick_requests() -> None:
    """Requests that come and go between two looks are seen by their number."""
    made = throttle()
    batch(made, 0.0, 0.1)
    quiet = made.decide(*KEY, Conditions(10.0, 0.0, active_requests=0))
    busy = made.decide(*KEY, Conditions(10.0, 0.0, active_requests=0, requests_received=7))
    later = made.decide(*KEY, Conditions(14.9, 0.0, active_requests=0, requests_received=7))
    again = made.decide(*KEY, Conditions(15.0, 0.0, active_requests=0, requests_received=7))
    assert [100, 25, 25, 100] == [d.target_ms for d in (quiet, busy, later, again)]


def test_a_gap_is_waited_for() -> None:
    """While a request is in flight the batch waits, and looks again every few milliseconds."""
    made = throttle()
    batch(made, 0.0, 0.025)
    rested_s = 0.025 + 0.025 * (1 / adaptive.BUSY_PACE.ratio - 1)
    assert Cause.PACE is decide(made, 0.03, active=2).cause
    waiting = decide(made, rested_s + 0.001, active=2)
    assert (Cause.GAP, 0.005) == (waiting.cause, waiting.wait_s)
    assert "2 are active" in waiting.reason
    gap = decide(made, rested_s + 0.006, active=0)
    assert (Cause.RUN, 25) == (gap.cause, gap.target_ms)


def test_progress_without_a_gap() -> None:
    """After two seconds without a gap the batch runs all the same."""
    made = throttle()
    batch(made, 0.0, 0.025)
    rested_s = 0.025 / adaptive.BUSY_PACE.ratio
    assert Cause.GAP is decide(made, rested_s + 1.99, active=5).cause
    assert Cause.RUN is decide(made, rested_s + 2.01, active=5).cause


def test_blind() -> None:
    """Where requests cannot be seen, a tenth of the time is spent in batches of the target."""
    made = throttle()
    batch(made, 0.0, 0.1)
    decision = decide(made, 0.1, active=None)
    assert (Cause.PACE, 100) == (decision.cause, decision.target_ms)
    assert 0.9 == pytest.approx(decision.wait_s)


def test_exact_sizes_are_smaller_while_busy() -> None:
    """With a hard limit too, batches are short while requests come."""
    made = throttle({"max_batch_size": 10**6})
    assert 100 == decide(made, 1.0, active=0).min_batch_items
    batch(made, 1.0, 1.1)
    assert 100 == pytest.approx(decide(made, 1.1, active=0).min_batch_items, abs=1)
    assert 25 == pytest.approx(decide(made, 1.1, active=1).min_batch_items, abs=1)


@given(
    target_ms=st.floats(1, 1e6),
    active=st.none() | st.integers(0, 100),
    since_s=st.floats(0, 1e6),
)
def test_target_never_grows_for_any_load(
    target_ms: float, active: int | None, since_s: float
) -> None:
    """The target is the configured one or less, never 0."""
    assert 0 < adaptive.target_ms(target_ms, adaptive.pace(active, since_s)) <= target_ms


@given(st.lists(st.tuples(st.integers(0, 3), st.floats(0.001, 0.5)), max_size=60))
def test_progress_for_any_load(course: list[tuple[int, float]]) -> None:
    """Whatever requests there are, a batch starts within its rest and two seconds."""
    made = throttle()
    now_s, ready_s = 0.0, 2.2
    for active, took_s in course:
        while decide(made, now_s, active).cause is not Cause.RUN:
            now_s += 0.005
            assert now_s <= ready_s
        batch(made, now_s, now_s + took_s)
        now_s += took_s
        ready_s = now_s + took_s * (1 / adaptive.BUSY_PACE.ratio - 1) + 2.0 + 0.01
