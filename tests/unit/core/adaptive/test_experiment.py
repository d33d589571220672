"""Moments with batches against moments without, on made-up latencies."""

import math
import random

import pytest

from synapse_bgthrottle.core.adaptive.comparison import Comparison, Result

_LOOK_S = 0.25
_WORK_S, _HUSH_S = Comparison().spans_s(1.0, is_certain=False)


class World:
    """Requests of two kinds, which take `factor` times as long while there is work."""

    def __init__(self, factor: float, per_look: int = 5) -> None:
        self.comparison = Comparison()
        self.results: list[Result] = []
        self.hush_looks = 0
        self._factor = factor
        self._per_look = per_look
        self._source = random.Random(3)
        self._sums = {"send": (0.0, 0.0), "sync": (0.0, 0.0)}

    def run(self, seconds: float, begin_s: float = 0.0) -> None:
        for number in range(int(seconds / _LOOK_S)):
            now_s = begin_s + number * _LOOK_S
            self.comparison.look(now_s, self._sums)
            result = self.comparison.turn(now_s, _WORK_S, _HUSH_S)
            if result is not None:
                self.results.append(result)
            self.hush_looks += self.comparison.is_hush
            self._pass()

    def _pass(self) -> None:
        factor = 1 if self.comparison.is_hush else self._factor
        for kind, usual_s in (("send", 0.05), ("sync", 0.01)):
            for _ in range(self._source.randrange(self._per_look + 1)):
                latency_s = usual_s * factor * self._source.lognormvariate(0, 0.3)
                total_s, count = self._sums[kind]
                self._sums[kind] = (total_s + latency_s, count + 1)


@pytest.mark.parametrize("factor", [1.0, 1.1, 2.0, 0.8])
def test_difference_is_found(factor: float) -> None:
    """The mean of many experiments is the logarithm of what work makes of a latency."""
    world = World(factor)
    world.run(1800)
    differences = [result.difference for result in world.results]
    assert math.log(factor) == pytest.approx(sum(differences) / len(differences), abs=0.03)


def test_variance_is_that_of_the_differences() -> None:
    """What an experiment claims of its error is about what the experiments show of it."""
    world = World(1.2)
    world.run(1800)
    differences = [result.difference for result in world.results]
    mean = sum(differences) / len(differences)
    shown = sum((d - mean) ** 2 for d in differences) / len(differences)
    claimed = sum(result.variance for result in world.results) / len(world.results)
    assert 0.5 < claimed / shown < 2


def test_a_hush_is_a_third_of_the_time() -> None:
    """As long as experiments are needed."""
    world = World(1.0)
    world.run(300)
    assert _HUSH_S / (_HUSH_S + _WORK_S) == pytest.approx(world.hush_looks / 1200, abs=0.03)


@pytest.mark.parametrize(
    ("expected", "effort"), [((1, 2), 0.0), ((1, 2), 0.1), ((1.5, 1.5), 0.5), ((2, 1), 1.0)]
)
def test_small_effort_is_concentrated(expected: tuple[float, float], effort: float) -> None:
    """In a third of the time at least, and two thirds at most."""
    assert expected == Comparison().spans_s(effort, is_certain=False)
    assert (19, 1) == Comparison().spans_s(effort, is_certain=True)


def test_without_requests_there_is_no_result() -> None:
    """Nobody there is no evidence."""
    world = World(1.0, per_look=0)
    world.run(60)
    assert [] == world.results


def test_after_a_pause_it_begins_anew_with_work() -> None:
    """Half of an experiment from before a quiet time does not count."""
    world = World(1.0)
    phases = []
    for begin_s, seconds in ((0.0, 2.5), (1000.0, 1.0)):
        world.run(seconds, begin_s)
        phases.append(world.comparison.is_hush)
    assert [True, False] == phases
    assert [] == world.results


def test_sums_that_shrink_are_not_counted() -> None:
    """A server's metrics that begin anew make no negative latencies."""
    comparison = Comparison()
    comparison.turn(0.0, _WORK_S, _HUSH_S)
    comparison.look(0.25, {"send": (5.0, 10.0)})
    comparison.look(0.5, {"send": (1.0, 2.0)})
    comparison.look(0.75, {"send": (math.nan, 3.0)})
    comparison.look(0.8, {"send": (2.0, 3.0)})
    comparison.look(0.9, {"send": (1.0, 3.01)}, late_s=2.0)
    comparison.look(1.0, {})
    comparison.turn(_WORK_S, _WORK_S, _HUSH_S)
    comparison.look(_WORK_S + 0.25, {"send": (1.0, 2.0)})
    comparison.look(_WORK_S + 0.5, {"send": (1.1, 3.0)})
    result = comparison.turn(_WORK_S + _HUSH_S, _WORK_S, _HUSH_S)
    assert result is None or math.isfinite(result.difference)
