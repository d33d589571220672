"""What batches cost, and the sizes that follow."""

import math
import random
from collections.abc import Callable, Iterable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synapse_bgthrottle.core.config.limits import Limits
from synapse_bgthrottle.core.scheduling.batch_cost import (
    LONGEST_BATCH_S,
    LONGEST_SQLITE_BATCH_S,
    BatchCost,
)

_TARGET_S = 0.1


def _run(
    costs_s: Iterable[tuple[float, float]],
    limits: Limits | None = None,
    longest_s: float = LONGEST_BATCH_S,
    noise: Callable[[], float] = lambda: 1.0,
) -> tuple[BatchCost, list[tuple[int, float]]]:
    """A batch for each fixed cost and cost of an item: its size, and how long it took."""
    cost, batches = BatchCost(), []
    for fixed_s, item_s in costs_s:
        items = cost.next_items(limits or Limits(), _TARGET_S, longest_s)
        took_s = fixed_s + items * item_s * noise()
        cost.record(items, took_s)
        batches.append((items, took_s))
    return cost, batches


def _speed(batches: Iterable[tuple[int, float]]) -> float:
    items, times_s = zip(*batches, strict=True)
    return float(sum(items) / sum(times_s))


def _uneven(spread: float) -> Callable[[], float]:
    """Batches of items that differ, each by chance; the same course each time."""
    chance = random.Random(1)
    return lambda: chance.lognormvariate(-(spread**2) / 2, spread)


@pytest.mark.parametrize(
    ("expected", "limits"),
    [
        (1, Limits()),
        (30, Limits(default_batch_items=30)),
        (30, Limits(default_batch_items=100, max_batch_items=30)),
        (20, Limits(default_batch_items=100, max_items_per_second=20.0)),
        (50, Limits(default_batch_items=100, max_items_per_second=20.0, min_batch_items=50)),
        (1, Limits(max_items_per_second=0.001)),
    ],
)
def test_first_batch_has_the_default_size_within_the_limits(expected: int, limits: Limits) -> None:
    """Nothing is known before the first batch, which is therefore as small as can be."""
    assert expected == BatchCost().next_items(limits, _TARGET_S)


def test_cheap_update_is_at_stocks_first_size_with_its_third_batch() -> None:
    """Batches grow tenfold, so that small ones last no longer together than one on target."""
    _, batches = _run([(0.001, 1e-5)] * 8)
    assert [1, 10, 100, 1000] == [items for items, _ in batches[:4]]
    assert _TARGET_S > sum(took_s for _, took_s in batches[:4])
    assert _TARGET_S == pytest.approx(batches[-1][1], rel=0.05)


@pytest.mark.parametrize("item_s", [1e-5, 1e-4, 0.001, 0.007, 0.05])
@pytest.mark.parametrize("spread", [0.0, 0.5])
def test_batch_takes_its_target_where_items_cost(item_s: float, spread: float) -> None:
    """However uneven items are, batches come to take the target on the average."""
    _, batches = _run([(0.001, item_s)] * 300, noise=_uneven(spread))
    mean_s = sum(took_s for _, took_s in batches[-250:]) / 250
    assert _TARGET_S == pytest.approx(mean_s, rel=0.5 if spread else 0.05, abs=item_s)


@pytest.mark.parametrize("longest_s", [LONGEST_BATCH_S, LONGEST_SQLITE_BATCH_S])
def test_fixed_cost_is_found_and_made_worth_it(longest_s: float) -> None:
    """With 0.5 s a batch and 0.2 ms an item, a batch is long, and mostly useful work."""
    cost, batches = _run([(0.5, 0.0002)] * 60, longest_s=longest_s, noise=_uneven(0.02))
    assert 0.5 == pytest.approx(cost.fixed_s, rel=0.15)
    assert 0.0002 == pytest.approx(cost.item_s, rel=0.25)
    assert 0.9 * 0.5 / 0.0002 / longest_s <= _speed(batches[8:])
    assert max(took_s for _, took_s in batches) <= 1.05 * longest_s


@pytest.mark.parametrize(("fixed_s", "shortest_s"), [(0.0, 1.5), (1.5, 1.5)])
def test_no_trial_is_longer_than_a_trial_may_be(fixed_s: float, shortest_s: float) -> None:
    """A batch of one item that takes 1.5 s stays alone: nobody knows what two would take."""
    _, batches = _run([(fixed_s, shortest_s - fixed_s)] * 10, longest_s=LONGEST_SQLITE_BATCH_S)
    assert [(1, 1.5)] * 10 == batches


def test_item_of_half_a_second_is_told_from_a_fixed_cost() -> None:
    """Two items are tried once in a while, and take twice as long: so it is the items."""
    cost, batches = _run([(0.0, 0.5)] * 100)
    assert 0.01 > cost.fixed_s
    assert 8 > sum(items > 1 for items, _ in batches)
    assert 2 == max(items for items, _ in batches)


def test_handler_that_does_all_in_one_go_is_not_asked_for_ever_more() -> None:
    """Where no size matters, none is out of all reason."""
    _, batches = _run([(0.05, 0.0)] * 60)
    assert 1_000_000 == max(items for items, _ in batches)


@pytest.mark.parametrize("item_s", [1e-5, 1e-4, 0.001])
def test_tenfold_cost_is_corrected_by_the_third_batch(item_s: float) -> None:
    """After items become ten times as dear, the third batch is within twice the target."""
    _, batches = _run([(0.0, item_s)] * 20 + [(0.0, item_s * 10)] * 6)
    after_s = [took_s for _, took_s in batches[20:]]
    assert 1 == pytest.approx(after_s[0], rel=0.05)  # nothing can be known of the step before
    assert all(took_s <= 2 * _TARGET_S for took_s in after_s[2:])
    assert _TARGET_S == pytest.approx(after_s[-1], rel=0.2)


def test_fixed_cost_that_comes_later_is_found_too() -> None:
    """Batches that get smaller and no shorter show it: a table has lost its index."""
    _, batches = _run([(0.001, 0.0002)] * 30 + [(0.5, 0.0002)] * 30, noise=_uneven(0.05))
    assert 2000 < _speed(batches[45:])


def test_tenth_of_the_cost_is_used_within_six_batches() -> None:
    """After items become ten times as cheap, batches grow to the target, by doubling at most."""
    _, batches = _run([(0.0, 0.001)] * 20 + [(0.0, 0.0001)] * 6)
    sizes = [items for items, _ in batches[19:]]
    assert all(after <= 2 * before for before, after in pairwise(sizes))
    assert _TARGET_S == pytest.approx(batches[-1][1], rel=0.1)


def test_batch_that_took_ages_makes_the_next_one_small() -> None:
    """One item is the least, whatever a batch took."""
    cost = BatchCost()
    cost.record(100, 3600.0)
    assert 1 == cost.next_items(Limits(), _TARGET_S)
    assert 7 == cost.next_items(Limits(min_batch_items=7), _TARGET_S)


def test_asking_for_the_size_changes_nothing() -> None:
    """The size may be asked any number of times while a batch waits."""
    cost = BatchCost()
    cost.record(100, 0.037)
    assert 1 == len({cost.next_items(Limits(), _TARGET_S) for _ in range(5)})


@given(
    st.lists(st.floats(0, 10**4) | st.floats(0, 0.001), max_size=25),
    st.builds(
        Limits,
        max_items_per_second=st.floats(0.001, 10**6) | st.just(math.inf),
        default_batch_items=st.integers(1, 10**6),
        min_batch_items=st.integers(1, 1000) | st.just(1),
        max_batch_items=st.integers(1000, 10**6) | st.just(math.inf),
    ),
    st.floats(0.001, 3600),
)
def test_size_keeps_its_limits_for_any_history(
    times_s: list[float], limits: Limits, target_s: float
) -> None:
    """Never below 1 or the minimum, above the maximum or the rate, and it grows step by step."""
    cost = BatchCost()
    for number, took_s in enumerate([*times_s, 0.0]):
        before = cost.last_items
        items = cost.next_items(limits, target_s)
        assert isinstance(items, int)
        assert 1 <= limits.min_batch_items <= items <= limits.max_batch_items
        assert items <= max(limits.max_items_per_second * 1, limits.min_batch_items)
        if before:
            assert items <= max((10 if number < 8 else 2) * before, limits.min_batch_items)
        cost.record(items, took_s)
        assert cost.last_items == items
        assert 0 <= cost.fixed_s <= cost.fixed_at_most_s


@given(st.lists(st.floats(0, 10**4), max_size=12), st.integers(1, 50))
def test_maximum_holds_over_minimum_for_any_history(times_s: list[float], maximum: int) -> None:
    """Even with limits that contradict each other no batch is above the maximum."""
    cost = BatchCost()
    limits = Limits(max_batch_items=maximum, min_batch_items=100)
    for took_s in times_s:
        assert maximum == cost.next_items(limits, _TARGET_S)
        cost.record(maximum, took_s)


def test_a_small_batch_may_take_what_a_batch_costs() -> None:
    """Among batches of 1000 items in 100 ms, ten items may take 10 ms more than their share."""
    cost = BatchCost()
    for items in (10, 100, 1000, 1000, 1000):
        cost.record(items, 0.01 + items * 0.00009)
    assert 0.1 == pytest.approx(cost.expected_s(1000), rel=0.02)
    assert 0.01 <= cost.expected_s(10) <= 0.05
