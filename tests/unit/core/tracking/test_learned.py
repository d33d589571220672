"""What was learned of an update, from one start to the next."""

import pytest
from hypothesis import given
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
    assert 0.02 == pytest.approx(record.model.slope, abs=0.01)
    assert 100 / 1.5 == pytest.approx(record.speed)
    assert "40 experiments" in impact.describe()


def test_old_knowledge_counts_less() -> None:
    """After a week half of it, so that errors are larger, and batches begin smaller."""
    learned = _learned()
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


@given(
    st.dictionaries(
        st.sampled_from(["COST", *(way.name for way in Way)]),
        st.lists(st.floats(-1e18, 1e18) | st.integers(-1, 100), max_size=20),
    )
)
def test_what_nobody_wrote_is_refused_or_harmless(values: dict[str, list[float]]) -> None:
    """Whatever a row says, sizes and efforts can be asked for."""
    try:
        cost, impact = Learned(*_KEY, 0.0, values).recalled(0.0)
    except ValueError:
        return
    assert 1 <= cost.next_items(Limits(), 0.1)
    assert 0 < impact.effort(0.03, like_stock=True) <= 1
    BatchCost.describe(cost)
