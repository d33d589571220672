"""The order of arms and the arrivals of loads in a benchmark."""

from collections import Counter
from itertools import pairwise

import pytest

from benchmarks.latency.order import orders
from testbed.data.loads import LOADS, Load, arrivals


@pytest.mark.parametrize(("count", "rounds", "times"), [(4, 4, 1), (8, 8, 1), (5, 10, 2)])
def test_each_arm_follows_each_other_equally_often(count: int, rounds: int, times: int) -> None:
    """What a block leaves behind is nobody's in particular."""
    arms = [f"arm {number}" for number in range(count)]
    found = orders(arms, rounds, seed=3)
    follows = Counter(pair for order in found for pair in pairwise(order))
    assert {times} == set(follows.values())
    assert count * (count - 1) == len(follows)


@pytest.mark.parametrize("count", [1, 2, 3, 13])
def test_each_round_has_all_arms(count: int) -> None:
    """However many rounds there are, each has every arm once."""
    arms = [f"arm {number}" for number in range(count)]
    found = orders(arms, 30, seed=1)
    assert 30 == len(found)
    assert [sorted(arms)] * 30 == [sorted(order) for order in found]


def test_arrivals_of_a_round_are_the_same() -> None:
    """The same seed is the same requests; another one is others."""
    load = LOADS["34"]
    assert arrivals(load, 4.0, seed=1) == arrivals(load, 4.0, seed=1)
    assert arrivals(load, 4.0, seed=1) != arrivals(load, 4.0, seed=2)


def test_arrivals_are_as_many_as_asked() -> None:
    """Rates are kept on average, by kind, and requests are in order."""
    due = arrivals(Load({"send": 10.0, "sync": 40.0}), 200.0, seed=1)
    counts = Counter(kind for _, kind in due)
    assert pytest.approx(2000, rel=0.1) == counts["send"]
    assert pytest.approx(8000, rel=0.1) == counts["sync"]
    assert sorted(due) == due


def test_burst_comes_in_the_middle() -> None:
    """A block of the burst has a step up and a step down."""
    load = LOADS["burst"]
    assert load.busy_s is not None
    begin_s, end_s = load.busy_s
    offsets = [offset_s for offset_s, _ in arrivals(load, load.block_s, seed=1)]
    assert 0 < begin_s <= min(offsets) <= max(offsets) <= end_s < load.block_s


def test_idle_is_idle() -> None:
    """Nobody is there; or nobody but clients in a long-polling /sync."""
    assert [] == arrivals(LOADS["idle"], 6.0, seed=1) == arrivals(LOADS["polls"], 6.0, seed=1)
    assert 0 == LOADS["idle"].pollers
    assert 0 < LOADS["polls"].pollers


@pytest.mark.parametrize("name", ["15", "34"])
def test_loads_by_their_rate(name: str) -> None:
    """A load that is called by a number has so many requests a second, and long polls."""
    assert float(name) == sum(LOADS[name].rates_per_s.values())
    assert 0 < LOADS[name].pollers
