"""In which way an update works among clients, and how much of the time it may have. Pure.

`controller` has the formulas, and where they come from.
"""

import enum
import math
from collections.abc import Sequence

import attrs

from synapse_bgthrottle.core.adaptive.impact_model import PRIOR_ERROR, PRIOR_SLOPE, ImpactModel

# Stock Synapse works for 100 ms and sleeps for 1 s; as its batches overrun, it works for this much
# of the time. Who works as much in gaps does as much as stock (measured).
STOCK_RATIO = 0.11

# What stock costs clients, as a share of what work back to back does. Less than its duty cycle:
# the slope is measured inside the server, and clients also wait for it to read their requests.
_STOCK_HARM_RATIO = 0.08

# So many standard errors of optimism, for as long as finding out has cost less than the allowance:
# 3 s of requests that take twice as long, or a minute that is 5 % slower.
_OPTIMISM = 0.8
_ALLOWANCE_S = 3.0
_ACCOUNT_MEMORY_S = 180.0
_LEAST_LEFT = 0.3

# The most of the time: before two experiments, in doubt, before 14 of them; then by how many times
# the budget clients may be slower at full work, one standard error included.
FIRST_RATIO = 0.3
DOUBT_RATIO = 0.3
UNPROVEN_RATIO = 0.6
_PROVEN_RATIOS = ((2.5, 0.95), (5.0, 0.9), (8.0, 0.8))
_FEW = 2
_SOME = 14

# Nothing is believed to cost less than this share of the budget.
_LEAST_SLOPE = 1 / 8

# Where work back to back harms for certain (two errors), work in gaps costs 0.3 of it, within 0.15
# (real servers: 0.13 to 0.5).
_GAPS_COST = 0.3
_GAPS_ERROR = 0.15
_CERTAIN = 2.0

# Gaps come first, because they cost least; then the better one, and every so often the other one.
_FIRST_TURNS = 3
_CHOICE_OPTIMISM = 1.5
_OTHER_EVERY = 8
_OTHER_RARELY = 16
_KNOWN_TURNS = 4

# How much work the speed is the mean of.
_SPEED_MEMORY_S = 60.0


class Way(enum.Enum):
    """A way in which an update works in its moments of work."""

    BACK_TO_BACK = "batches back to back"
    IN_GAPS = "short batches in gaps between requests"


@attrs.define
class WayRecord:
    """What is known of one way.

    Attributes:
        model: what it costs clients.
        turns: how many moments of work it had.
        exposure_s: time that it worked of late.
    """

    model: ImpactModel = attrs.field(factory=ImpactModel)
    turns: int = 0
    exposure_s: float = 0.0
    _items: float = 0.0
    _batch_s: float = 0.0
    _work_s: float = 0.0

    @property
    def speed(self) -> float | None:
        """Items for each second of work, with the waits for gaps; None: it was not tried."""
        return self._items / self._work_s if self._work_s else None

    @property
    def batch_speed(self) -> float | None:
        """Items for each second in batches; None: unknown."""
        return self._items / self._batch_s if self._items and self._batch_s else None

    def kept(self) -> list[float]:
        """What is worth keeping for the next start, as `recall` takes it."""
        return [self.turns, self._items, self._batch_s, self._work_s, *self.model.kept()]

    def recall(self, kept: Sequence[float], share: float) -> None:
        """This was known at the last start; it counts for this share of what it did.

        Raises:
            ValueError: it was kept in another way.
        """
        turns, items, batch_s, work_s, *model = kept
        if min(turns, items, batch_s, work_s) < 0:
            raise ValueError("a sum is out of range")
        self.model.recall(model, share)
        self.turns = round(turns * share)
        self._items, self._batch_s, self._work_s = items * share, batch_s * share, work_s * share

    def did(self, items: float | None, batch_s: float) -> None:
        """A batch has ended; where nobody tells of items, its time stands for them."""
        self._items += batch_s if items is None else items
        self._batch_s += batch_s

    def worked(self, work_s: float) -> None:
        """A moment of work has ended."""
        self.turns += 1
        self.exposure_s += work_s
        self._work_s += work_s
        if self._work_s > _SPEED_MEMORY_S:
            kept = _SPEED_MEMORY_S / self._work_s
            self._items, self._batch_s = self._items * kept, self._batch_s * kept
            self._work_s = _SPEED_MEMORY_S


@attrs.define
class Impact:
    """What an update costs clients, and what it may have of the time for that.

    Attributes:
        ways: what is known, by way.
        way: in which it works in this moment.
        is_measured: whether its batches are part of experiments now.
    """

    ways: dict[Way, WayRecord] = attrs.field(factory=lambda: {way: WayRecord() for way in Way})
    way: Way = Way.BACK_TO_BACK
    is_measured: bool = False
    _turns: int = 0
    _elapsed_s: float = 0.0

    @property
    def experiments(self) -> int:
        """How many there were, of all ways."""
        return sum(record.model.experiments for record in self.ways.values())

    def describe(self) -> str:
        """What is known, for people."""
        model, many = self.current.model, self.experiments
        least, most = (math.expm1(model.slope + side * model.error) for side in (-2, 2))
        return (
            f"slows clients by {max(least, 0.0):.0%} to {max(most, 0.0):.0%} at full work"
            f" ({many} experiment{'s' * (many > 1)}; {self.way.value})"
        )

    @property
    def current(self) -> WayRecord:
        """Of the way in which it works in this moment."""
        return self.ways[self.way]

    def budget_ratio(self, tolerance_ratio: float, *, like_stock: bool) -> float:
        """By how much clients may be slower: so much, or as much as by stock Synapse."""
        if not like_stock:
            return tolerance_ratio
        model = self.ways[Way.BACK_TO_BACK].model
        return max(tolerance_ratio, _STOCK_HARM_RATIO * (model.slope - model.error))

    def effort(self, budget_ratio: float, *, like_stock: bool) -> float:
        """The share of the time that costs clients so much, by what is known."""
        model = self.current.model
        debt_s = self.debt_s(budget_ratio)
        left = max(budget_ratio - debt_s / _ACCOUNT_MEMORY_S, _LEAST_LEFT * budget_ratio)
        optimism = _OPTIMISM * max(1 - debt_s / _ALLOWANCE_S, 0.0)
        slope = max(model.slope - optimism * model.error, _LEAST_SLOPE * budget_ratio)
        ratio = min(left / slope, _most(model, budget_ratio))
        return max(ratio, self._like_stock()) if like_stock else ratio

    def debt_s(self, budget_ratio: float) -> float:
        """What clients were slowed by beyond the budget of late: at least 0."""
        spent_s = sum(max(r.model.slope, 0.0) * r.exposure_s for r in self.ways.values())
        return max(spent_s - budget_ratio * self._elapsed_s, 0.0)

    def turned(self, work_s: float, hush_s: float) -> None:
        """A moment of work and its hush are over."""
        passed_s = work_s + hush_s
        fading = math.exp(-passed_s / _ACCOUNT_MEMORY_S)
        for record in self.ways.values():
            record.exposure_s *= fading
        self._elapsed_s = self._elapsed_s * fading + passed_s
        if work_s:
            self.current.worked(work_s)

    def choose(self, budget_ratio: float, *, has_gaps: bool) -> Way:
        """The way of the next moment of work."""
        self._turns += 1
        if not has_gaps:
            return Way.BACK_TO_BACK
        self._believe_of_gaps()
        if self.ways[Way.IN_GAPS].turns < _FIRST_TURNS:
            return Way.IN_GAPS
        best, other = sorted(Way, key=lambda way: -self._worth(way, budget_ratio))
        is_known = self.ways[other].turns > _KNOWN_TURNS
        return other if self._turns % (_OTHER_RARELY if is_known else _OTHER_EVERY) == 0 else best

    def _believe_of_gaps(self) -> None:
        full, gaps = self.ways[Way.BACK_TO_BACK].model, self.ways[Way.IN_GAPS].model
        gaps.prior_slope, gaps.prior_error = PRIOR_SLOPE, PRIOR_ERROR
        if full.slope > _CERTAIN * full.error:
            gaps.prior_slope = _GAPS_COST * full.slope
            gaps.prior_error = math.hypot(_GAPS_ERROR * full.slope, _GAPS_COST * full.error)

    def _worth(self, way: Way, budget_ratio: float) -> float:
        """Items a second within the budget, by an optimist."""
        model, speed = self.ways[way].model, self.ways[way].speed
        slope = model.slope - _CHOICE_OPTIMISM * model.error
        share = min(1.0, budget_ratio / max(slope, _LEAST_SLOPE * budget_ratio))
        return (self._batch_speed() if speed is None else speed) * share

    def _batch_speed(self) -> float:
        known = (record.batch_speed for record in self.ways.values())
        return max((speed for speed in known if speed is not None), default=1.0)

    def _like_stock(self) -> float:
        """The share of the time in which it does as much as by stock Synapse."""
        speed = self.current.speed
        if not speed:
            return STOCK_RATIO
        return min(STOCK_RATIO * self._batch_speed() / speed, 2 * STOCK_RATIO)


def _most(model: ImpactModel, budget_ratio: float) -> float:
    if model.is_in_doubt:
        return DOUBT_RATIO
    if model.experiments < _FEW:
        return FIRST_RATIO
    pessimistic = max(model.slope, 0.0) + model.error
    proven = _PROVEN_RATIOS if model.experiments >= _SOME else ()
    for factor, ratio in proven:
        if pessimistic < factor * budget_ratio:
            return ratio
    return UNPROVEN_RATIO
