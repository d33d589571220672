"""Moments with batches compared with moments without, on made-up latencies."""

import math
import random

import pytest

from synapse_bgthrottle.core.adaptive.experiment import LARGEST_TRIAL_RATIO, Switchback, Turn

_LOOK_S = 0.25
_DB = "master"


class World:
    """Requests of two kinds, which take `factor` times as long while there is work."""

    def __init__(self, factor: float, ratio: float = 0.5, per_look: int = 5) -> None:
        self.switchback = Switchback()
        self.turns: list[Turn] = []
        self.worked_s = 0.0
        self.factor = factor
        self.ratio = ratio
        self._now_s = 0.0
        self._per_look = per_look
        self._source = random.Random(3)
        self._sums = {"send": (0.0, 0.0), "sync": (0.0, 0.0)}

    @property
    def differences(self) -> list[float]:
        return [turn.result.difference for turn in self.turns if turn.result is not None]

    def run(self, seconds: float) -> None:
        end_s = self._now_s + seconds
        while self._now_s < end_s:
            self.switchback.look(self._now_s, self._sums)
            turn = self.switchback.turn(self._now_s, self.ratio)
            if turn is not None:
                self.turns.append(turn)
                self.switchback.begin_work(self._now_s, self.ratio)
            if not self.switchback.is_rest:
                self.switchback.works(_DB, self._now_s)
                self.worked_s += _LOOK_S
            self._now_s += _LOOK_S
            if not self.switchback.is_rest:
                self.switchback.worked(_DB, self._now_s)
            self._serve()

    def _serve(self) -> None:
        factor = 1 if self.switchback.is_rest else self.factor
        for kind, usual_s in (("send", 0.05), ("sync", 0.01)):
            for _ in range(self._source.randrange(self._per_look + 1)):
                latency_s = usual_s * factor * self._source.lognormvariate(0, 0.3)
                total_s, count = self._sums[kind]
                self._sums[kind] = (total_s + latency_s, count + 1)


@pytest.mark.parametrize("ratio", [0.2, 0.5, 0.9])
@pytest.mark.parametrize("factor", [1.0, 1.1, 2.0, 0.8])
def test_difference_is_found(factor: float, ratio: float) -> None:
    """The mean of many experiments is the logarithm of what work makes of a latency."""
    world = World(factor, ratio)
    world.run(7200)
    differences = world.differences
    assert math.log(factor) == pytest.approx(sum(differences) / len(differences), abs=0.03)


def test_variance_is_that_of_the_differences() -> None:
    """What an experiment claims of its error is about what the experiments show of it."""
    world = World(1.2)
    world.run(3600)
    differences = world.differences
    mean = sum(differences) / len(differences)
    shown = sum((d - mean) ** 2 for d in differences) / len(differences)
    claimed = [turn.result.variance for turn in world.turns if turn.result is not None]
    assert 0.5 < sum(claimed) / len(claimed) / shown < 2


@pytest.mark.parametrize("ratio", [0.01, 0.05, 0.11, 0.3, LARGEST_TRIAL_RATIO, 0.8, 0.95])
def test_share_of_work(ratio: float) -> None:
    """Work and rest have the shares of the time that were asked for."""
    world = World(1.0, ratio)
    world.run(3600)
    assert ratio == pytest.approx(world.worked_s / 3600, rel=0.12)


def test_it_begins_with_a_rest() -> None:
    """Whoever has just come is not met by a batch."""
    switchback = Switchback()
    assert switchback.turn(0.0, 0.5) is None
    assert switchback.is_rest
    assert switchback.turn(0.9, 0.5) is None
    turn = switchback.turn(1.0, 0.5)
    assert turn is not None
    assert turn.result is None


def test_without_requests_there_is_no_result() -> None:
    """Nobody there is no evidence."""
    world = World(1.0, per_look=0)
    world.run(60)
    assert [] == world.differences


def test_a_batch_that_overruns_is_paid_for() -> None:
    """The rest after it is as long as if it had been meant so."""
    switchback = Switchback()
    switchback.turn(0.0, 0.25)
    switchback.turn(1.0, 0.25)
    switchback.begin_work(1.0, 0.25)
    switchback.works(_DB, 1.0)
    assert switchback.turn(9.0, 0.25) is None
    assert switchback.is_ending(9.0)
    switchback.worked(_DB, 11.0)
    switchback.turn(11.0, 0.25)
    assert switchback.is_rest
    assert 11.0 + 10.0 * 3 == switchback.ends_s


def test_an_hour_of_another_database_is_not_waited_for() -> None:
    """Amid an index build phases go on, but what is seen in them does not count."""
    world = World(1.5, ratio=0.3)
    world.run(1.5)
    world.switchback.works("state", 1.5)
    world.run(60)
    before = len(world.turns)
    world.run(300)
    assert 40 < len(world.turns) - before
    assert [] == world.differences


def test_clients_that_became_slow_are_suspicious() -> None:
    """Three seconds of it end a long moment of work, of which nothing is learned then."""
    world = World(1.0, ratio=0.95)
    world.run(121)
    before = len(world.turns)
    world.factor = 2.0
    world.run(10)
    suspicious = next(turn for turn in world.turns[before:] if turn.is_suspicious)
    assert suspicious.result is None


def test_steady_clients_are_seldom_suspicious() -> None:
    """Work that always costs the same is no news."""
    world = World(1.3, ratio=0.95)
    world.run(3600)
    suspicious = sum(turn.is_suspicious for turn in world.turns[5:])
    assert 0.1 > suspicious / len(world.turns)


def test_sums_that_shrink_are_not_counted() -> None:
    """A server's metrics that begin anew make no negative latencies."""
    switchback = Switchback()
    switchback.turn(0.0, 0.5)
    for at_s, sums in (
        (0.25, {"send": (5.0, 10.0)}),
        (0.5, {"send": (1.0, 2.0)}),
        (0.75, {"send": (math.nan, 3.0)}),
        (0.8, {"send": (2.0, 3.0)}),
        (0.9, {}),
    ):
        switchback.look(at_s, sums)
    switchback.look(0.95, {"send": (1.0, 3.01)}, late_s=2.0)
    switchback.turn(1.0, 0.5)
    switchback.begin_work(1.0, 0.5)
    switchback.works(_DB, 1.0)
    switchback.look(1.25, {"send": (1.0, 2.0)})
    switchback.look(1.5, {"send": (1.1, 3.0)})
    switchback.worked(_DB, 2.5)
    switchback.turn(2.5, 0.5)
    switchback.look(2.75, {"send": (1.2, 4.0)})
    switchback.look(3.0, {"send": (1.3, 5.0)})
    turn = switchback.turn(4.0, 0.5)
    assert turn is not None
    assert turn.result is not None
    assert math.isfinite(turn.result.difference)


def test_time_without_an_update_is_no_work() -> None:
    """A moment of work that nobody ended is paid for by what was worked in it, not by hours."""
    switchback = Switchback()
    switchback.turn(0.0, 0.5)
    assert switchback.turn(1.0, 0.5) is not None
    switchback.begin_work(1.0, 0.5)
    switchback.works(_DB, 1.0)
    switchback.worked(_DB, 1.5)
    switchback.turn(300.0, 0.1)
    assert switchback.is_rest
    assert 1.5 * 9 == pytest.approx(switchback.ends_s - switchback.began_s)
