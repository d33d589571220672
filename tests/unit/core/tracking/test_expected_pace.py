"""The share of the time in batches, by formula."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synapse_bgthrottle.core.config.limits import DutyCycle, FixedSleep, Limits
from synapse_bgthrottle.core.config.profiles import PROFILES
from synapse_bgthrottle.core.scheduling.batch_cost import Cost
from synapse_bgthrottle.core.scheduling.state import UpdateState
from synapse_bgthrottle.core.tracking.expected_pace import (
    EARLY,
    LATE,
    LIKELY,
    UNKNOWN_SLOPE,
    Range,
    Shares,
    learned_slope,
    shares,
)

SLOPE = Range(0.3, 0.2, 0.6)
# A thousand items a second.
COST = Cost(0.0, 0.001)


@pytest.mark.parametrize(
    ("alone", "among", "limits"),
    [
        (1.0, 0.1, Limits()),
        (1.0, 0.4, Limits(profile="fast")),
        (1.0, 1.0, Limits(profile="finish")),
        (0.5, 0.1, Limits(max_duty_ratio=0.5)),
        (1.0, 0.2, Limits(min_duty_ratio=0.2)),
        (0.25, 0.25, Limits(pace=DutyCycle(0.25))),
        # 100 ms, then a second.
        (1 / 11, 1 / 11, Limits(pace=FixedSleep(1000))),
        # 10 items are 10 ms.
        (1 / 101, 1 / 101, Limits(pace=FixedSleep(1000), max_batch_items=10)),
        # 500 items are half a second.
        (1 / 3, 1 / 3, Limits(pace=FixedSleep(1000), min_batch_items=500)),
        # Of 1000 items a second in batches no more than 50.
        (0.05, 0.05, Limits(max_items_per_second=50)),
        # No rest is longer than ten minutes.
        (60 / 660, 60 / 660, Limits(pace=DutyCycle(0.01), target_duration_ms=60_000.0)),
    ],
)
def test_shares(alone: float, among: float, limits: Limits) -> None:
    """All of the time without clients, tolerance by slope among them, and limits as caps."""
    found = shares(limits, COST, SLOPE)
    assert (alone, among) == pytest.approx((found.alone.likely, found.among_clients.likely))


@pytest.mark.parametrize(
    ("batch_s", "cost"),
    [
        # Three fifths of a batch are useful work,
        (1.25, Cost(0.5, 0.0002)),
        # as far as the longest batch lets it be.
        (1.0, Cost(0.5, 0.0002, longest_s=1.0)),
        # Stock Synapse makes batches as short as can be.
        (0.5002, Cost(0.5, 0.0002, longest_s=0.0)),
        (0.1, Cost(0.02, 0.0002)),
    ],
)
def test_batches_with_a_fixed_cost(batch_s: float, cost: Cost) -> None:
    """Where the fixed cost dominates, batches are longer than their target, and so is the share."""
    found = shares(Limits(pace=FixedSleep(1000)), cost)
    assert batch_s / (batch_s + 1) == pytest.approx(found.among_clients.likely)


def test_a_range_of_slopes() -> None:
    """The dearest slope makes the least share, and what costs nothing goes on all of the time."""
    found = shares(Limits(), COST, SLOPE)
    assert Range(0.1, 0.05, 0.15) == pytest.approx(found.among_clients)
    assert Range.exactly(1.0) == shares(Limits(), None, Range.exactly(0.0)).among_clients
    assert 0.55 == pytest.approx(found.at(0.5, LIKELY))


def test_measured_among_clients_who_pause() -> None:
    """What was measured with clients there for most of the time counts for just that."""
    found = Shares(Range.exactly(1.0), Range.exactly(0.2), clients_ratio=0.8)
    assert [1.0, 0.6, 0.2, 0.2] == pytest.approx(
        [found.at(clients, LIKELY) for clients in (0.0, 0.4, 0.8, 1.0)]
    )


def test_a_hold_that_is_over() -> None:
    """What `max_hold` lets go has a hundredth of the time."""
    found = shares(Limits(), COST, SLOPE, let_go=True)
    assert (0.01, 0.01) == pytest.approx((found.alone.likely, found.among_clients.likely))


def test_budgets() -> None:
    """A budget takes its share of the likely and the worst; at best it stays open."""
    whole = Shares(Range(0.8, 0.6, 0.9), Range(0.4, 0.2, 0.6))
    found = whole.times(1.0, 0.5)
    assert (Range(0.8, 0.3, 0.9), Range(0.4, 0.1, 0.6)) == (found.alone, found.among_clients)


@given(
    st.sampled_from(sorted(PROFILES)),
    st.floats(0, 3),
    st.floats(0, 3),
    st.floats(0, 1),
    st.floats(1e-3, 1e6),
)
def test_dearer_is_never_quicker(
    profile: str, one: float, other: float, clients: float, per_batch_s: float
) -> None:
    """A greater slope, or more clients, never makes a greater share; all are 0 to 1."""
    low, high = sorted((one, other))
    limits, cost = Limits(profile=profile), Cost(0.0, 1 / per_batch_s)
    cheap, dear = (shares(limits, cost, Range.exactly(slope)) for slope in (low, high))
    for case in (LIKELY, EARLY, LATE):
        assert 0 <= dear.at(clients, case) <= cheap.at(clients, case) + 1e-12 <= 1 + 2e-12
        assert dear.at(1.0, case) <= dear.at(clients, case) + 1e-12


def state(**more: Any) -> UpdateState:
    return UpdateState(Limits(**more), False)


def test_the_learned_slope() -> None:
    """It is what the law works by; without an experiment, or a tolerance, there is none."""
    assert learned_slope(state()) is None
    update = state()
    for number in range(50):
        update.impact.current.model.learn(10.0 * number, 0.25, 0.001)
    found = learned_slope(update)
    assert found is not None
    assert 0.25 == pytest.approx(found.likely, rel=0.2)
    assert 0 <= found.low < found.likely < found.high < math.inf
    assert learned_slope(state(pace=DutyCycle(0.5))) is None
    assert learned_slope(state(profile="finish")) is None


def test_what_is_expected_of_nothing_known() -> None:
    """It is stated, from an update that hardly hurts to one that hurts much."""
    found = shares(Limits(), None).among_clients
    assert 0.1 == pytest.approx(found.likely)
    assert 0.6 == pytest.approx(found.high)
    assert PROFILES["balanced"].tolerance_ratio / UNKNOWN_SLOPE.high == pytest.approx(found.low)
