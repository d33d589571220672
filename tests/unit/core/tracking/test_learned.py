"""What was learned of an update, from one start to the next."""

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from synapse_bgthrottle.core.adaptive.effort import Impact, Way
from synapse_bgthrottle.core.config.limits import Limits
from synapse_bgthrottle.core.scheduling.batch_cost import BatchCost
from synapse_bgthrottle.core.scheduling.state import UpdateState
from synapse_bgthrottle.core.tracking.learned import Learned

_WEEK_S = 7 * 86_400.0
_KEY = ("master", "event_search")


def _learned(experiments: int = 40, difference: float = 0.02) -> Learned:
    """Of an update with a fixed cost of 0.5 s, and so many experiments."""
    state = UpdateState(Limits(), one_shot=False)
    for items in (1, 2, 10, 100, 1000, 2000):
        state.cost.record(items, 0.5 + 0.0002 * items)
    record = state.impact.ways[Way.BACK_TO_BACK]
    for number in range(experiments):
        record.model.learn(float(number), difference, 0.01)
        record.did(100, 1.0)
        record.worked(1.5)
    return Learned.of(_KEY, state, 0.0)


def test_next_start_knows_what_the_last_one_did() -> None:
    """At once: sizes, costs, slope, error and speed are the same, and so is what is said."""
    cost, impact = _learned().recalled(0.0)
    assert 0.5 == pytest.approx(cost.fixed_s, rel=0.2)
    assert 2000 <= cost.next_items(Limits(), 0.1)
    record = impact.ways[Way.BACK_TO_BACK]
    assert 0.01 == pytest.approx(record.model.slope, abs=0.005)
    assert 100 / 1.5 == pytest.approx(record.speed)
    assert "40 experiments" in impact.describe()


def test_old_knowledge_counts_less() -> None:
    """After a week half of it, so that errors are larger, and batches begin smaller."""
    learned = _learned(difference=0.5)
    (cost, impact), (old_cost, old_impact) = learned.recalled(0.0), learned.recalled(_WEEK_S)
    assert 20 == old_impact.experiments
    fresh, old = (each.ways[Way.BACK_TO_BACK].model.error for each in (impact, old_impact))
    assert 1.2 * fresh < old
    assert cost.last_items // 2 == old_cost.last_items


def test_very_old_knowledge_is_as_none() -> None:
    """After a year an update is as good as unknown."""
    cost, impact = _learned().recalled(52 * _WEEK_S)
    assert 10 >= cost.next_items(Limits(), 0.1)
    new = Impact().ways[Way.BACK_TO_BACK].model
    assert 0 == impact.experiments
    assert new.error == pytest.approx(impact.ways[Way.BACK_TO_BACK].model.error, rel=0.01)


def test_clock_that_was_put_back_makes_it_no_stronger() -> None:
    """What was learned in the future counts as learned now."""
    learned = _learned()
    assert learned.recalled(0.0)[0] == learned.recalled(-_WEEK_S)[0]


def test_knowledge_of_a_clock_that_was_wrong() -> None:
    """What was learned in 1970, on a server that did not know the time, is as none."""
    cost, impact = _learned().recalled(56 * 52 * _WEEK_S)
    assert BatchCost() == cost
    assert Limits().default_batch_items == cost.next_items(Limits(), 0.1)
    assert Impact().effort(0.03, like_stock=True) == pytest.approx(
        impact.effort(0.03, like_stock=True)
    )


_SUM = st.sampled_from([0, 1e-320, 1e-9, 0.5, 1, 2.0, 100, 1e6, 1e15]) | st.floats(-1, 1e15)


def _sums(count: int) -> st.SearchStrategy[list[float]]:
    return st.lists(_SUM, max_size=20) | st.lists(_SUM, min_size=count, max_size=count)


@given(
    st.fixed_dictionaries({}, optional={"COST": _sums(14), **{way.name: _sums(9) for way in Way}}),
    st.sampled_from([0.0, 0.5, 300.0, 3000.0]),
)
@example({"COST": [100, 9, *[1e-320] * 12]}, 0.0)
@example({"COST": [100, 9, *[1.0] * 12], "IN_GAPS": [1, 1, 1, 1, 9, 0, 1e15, 10, 4]}, 300.0)
@example({"BACK_TO_BACK": [1, 1, 1e-320, 1e-320, 9, 1, 1, 0, 4]}, 0.0)
def test_what_nobody_wrote_is_refused_or_harmless(
    values: dict[str, list[float]], age_weeks: float
) -> None:
    """Whatever a row says, sizes and efforts can be asked for, and more be learned."""
    try:
        cost, impact = Learned(*_KEY, 0.0, values).recalled(age_weeks * _WEEK_S)
    except ValueError:
        return
    for _ in range(2):
        items = cost.next_items(Limits(), 0.1)
        assert 1 <= items <= 1_000_000
        assert cost.describe()
        assert math.isfinite(cost.expected_s(10))
        assert impact.describe()
        for has_gaps in (True, False):
            impact.choose(impact.budget_ratio(0.03, like_stock=True), has_gaps=has_gaps)
            assert 0 < impact.effort(0.03, like_stock=has_gaps) <= 1
        cost.record(items, 0.1)
        impact.turned(1.0, 1.0)
        impact.current.model.learn(10.0, 0.1, 0.01)
