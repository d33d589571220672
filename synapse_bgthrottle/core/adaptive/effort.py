"""In which way an update works among clients, and how much of the time it may have. Pure.

`controller` has the formulas, and where they come from.
"""

import enum
import math
from collections.abc import Sequence

import attrs

from synapse_bgthrottle.core.adaptive.impact_model import ImpactModel, Prior

# Stock Synapse works for 100 ms and sleeps for 1 s; as its batches overrun, it works for this much
# of the time. Work at the same duty cycle costs clients this share of what work all the time does.
STOCK_RATIO = 0.1

# So many standard errors of optimism: an update counts as harmless until it is proven to harm. (The
# error is large while both are possible.) Who tolerates less than this is a pessimist instead:
# `gentle` would slow clients by 5 to 8 % as an optimist, and by 2 % so.
_OPTIMISM = 1.0
_OPTIMIST_TOLERATES = 0.03
_PESSIMISM = 0.5
# To choose a way takes more optimism, also in debt: some unlucky experiments must not condemn a
# way, which then has no other ones that could show the opposite.
_CHOICE_OPTIMISM = 2.0

# What counts as harm in the account and in the budget: the slope less half a standard error.
_BENEFIT_OF_DOUBT = 0.5

# So much of that beyond the budget ends the optimism: half a second of requests that take twice as
# long, or a minute that is 1 % slower.
_ALLOWANCE_S = 0.5
_ACCOUNT_MEMORY_S = 180.0
_REPAYMENT_S = 90.0
_LEAST_LEFT = 0.3

# The most that one moment of work may cost, in seconds of requests that take twice as long, by what
# the slope is at most (one standard error).
_LONGEST_HARM_S = 0.35
MOST_RATIO = 0.95

# After a surprise, and until the error is below this. What is learned in a second goes with
# u (1 - u), and what that costs clients with u: a third tells nearly as much as a half would, at
# two thirds of the harm.
DOUBT_RATIO = 1 / 3
_DOUBTFUL_ERROR = 0.1

# Where work back to back harms for certain (two errors), work in gaps costs half of that, within a
# quarter (real servers: 0.2 to 0.5; the modelled one: 0.5).
_GAPS_COST = 0.5
_GAPS_ERROR = 0.25
_CERTAIN = 2.0

# Of the budget, for moments of the way that seems worse: it may not be so any more. One is 1.5 s.
_RETRY_SHARE = 0.1
_RETRY_S = 1.5

# How much work the speed is the mean of, and how much of it counts as done at the speed in batches
# at first: in a single moment of work there may be no gap, or a batch that grows first.
_SPEED_MEMORY_S = 60.0
_SPEED_PRIOR_S = 3.0

# Less than this is not recalled.
_LEAST_RECALLED_S = 1e-3


class Way(enum.Enum):
    """A way in which an update works in its moments of work."""

    BACK_TO_BACK = "batches back to back"
    IN_GAPS = "short batches in gaps between requests"


@attrs.define
class WayRecord:
    """What is known of one way."""

    model: ImpactModel = attrs.field(factory=ImpactModel)  # what it costs clients
    turns: int = 0  # how many moments of work it had
    exposure_s: float = 0.0  # time that it worked of late
    unused_s: float = 0.0  # time since it worked last
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

    def expected_speed(self, batch_speed: float) -> float:
        """Items for each second of work, by an optimist: before it was tried, as in batches."""
        prior_s = _SPEED_PRIOR_S * (1 - self._work_s / _SPEED_MEMORY_S)
        return (self._items + prior_s * batch_speed) / (self._work_s + prior_s)

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
        if min(batch_s, work_s) * share >= _LEAST_RECALLED_S:  # or a speed would be one by nothing
            self._items, self._batch_s, self._work_s = (
                each * share for each in (items, batch_s, work_s)
            )

    def did(self, items: float | None, batch_s: float) -> None:
        """A batch has ended; where nobody tells of items, its time stands for them."""
        self._items += batch_s if items is None else items
        self._batch_s += batch_s

    def worked(self, work_s: float) -> None:
        """A moment of work has ended."""
        self.turns += 1
        self.unused_s = 0.0
        self.exposure_s += work_s
        self._work_s += work_s
        if self._work_s > _SPEED_MEMORY_S:
            kept = _SPEED_MEMORY_S / self._work_s
            self._items, self._batch_s = self._items * kept, self._batch_s * kept
            self._work_s = _SPEED_MEMORY_S


@attrs.define
class Impact:
    """What an update costs clients, and what it may have of the time for that."""

    # What is known, by way.
    ways: dict[Way, WayRecord] = attrs.field(factory=lambda: {way: WayRecord() for way in Way})
    way: Way = Way.BACK_TO_BACK  # in which it works in this moment
    is_measured: bool = False  # whether its batches are part of experiments now
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
            f"{self.way.value} make clients' requests {max(least, 0.0):.0%} to"
            f" {max(most, 0.0):.0%} slower ({many} experiment{'s' * (many > 1)})"
        )

    @property
    def current(self) -> WayRecord:
        """Of the way in which it works in this moment."""
        return self.ways[self.way]

    def budget_ratio(self, tolerance_ratio: float, *, like_stock: bool) -> float:
        """By how much clients may be slower: so much, or as much as by stock Synapse."""
        if not like_stock:
            return tolerance_ratio
        return max(tolerance_ratio, STOCK_RATIO * _harm(self.ways[Way.BACK_TO_BACK].model))

    def effort(self, budget_ratio: float, *, like_stock: bool) -> float:
        """The share of the time that costs clients so much, by what is known."""
        model = self.current.model
        debt_s = self.debt_s(budget_ratio)
        left = max(budget_ratio - debt_s / _REPAYMENT_S, _LEAST_LEFT * budget_ratio)
        slope = max(model.slope - self._optimism(budget_ratio) * model.error, budget_ratio)
        ratio = min(left / slope, _most(model))
        return max(ratio, self._like_stock()) if like_stock else ratio

    def debt_s(self, budget_ratio: float) -> float:
        """What clients were slowed by beyond the budget of late: at least 0."""
        spent_s = sum(_harm(record.model) * record.exposure_s for record in self.ways.values())
        return max(spent_s - budget_ratio * self._elapsed_s, 0.0)

    def turned(self, work_s: float, rest_s: float) -> None:
        """A moment of work and its rest are over."""
        passed_s = work_s + rest_s
        fading = math.exp(-passed_s / _ACCOUNT_MEMORY_S)
        for record in self.ways.values():
            record.exposure_s *= fading
            record.unused_s += passed_s
        self._elapsed_s = self._elapsed_s * fading + passed_s
        if work_s:
            self.current.worked(work_s)

    def choose(self, budget_ratio: float, *, has_gaps: bool) -> Way:
        """The way of the next moment of work."""
        if not has_gaps:
            return Way.BACK_TO_BACK
        self._believe_of_gaps()
        best, other = sorted(Way, key=lambda way: -self._worth(way, budget_ratio))
        # It may be that the quicker way harms nobody any more.
        is_quicker = self._speed(other) > self._worth(best, budget_ratio)
        saved_s = _RETRY_SHARE * budget_ratio * self.ways[other].unused_s
        is_cheap = max(self.ways[other].model.slope, 0.0) * _RETRY_S < saved_s
        return other if is_quicker and is_cheap else best

    def _believe_of_gaps(self) -> None:
        full, gaps = self.ways[Way.BACK_TO_BACK].model, self.ways[Way.IN_GAPS].model
        prior = Prior(harmless=full.harmless)
        if full.slope > _CERTAIN * full.error:
            error = math.hypot(_GAPS_ERROR * full.slope, _GAPS_COST * full.error)
            prior = attrs.evolve(prior, slope=_GAPS_COST * full.slope, error=error)
        gaps.believe(prior)

    def _worth(self, way: Way, budget_ratio: float) -> float:
        """Items a second within the budget, by an optimist."""
        model = self.ways[way].model
        slope = model.slope - _CHOICE_OPTIMISM * model.error
        return self._speed(way) * budget_ratio / max(slope, budget_ratio)

    def _optimism(self, budget_ratio: float) -> float:
        if budget_ratio < _OPTIMIST_TOLERATES:
            return -_PESSIMISM
        return _OPTIMISM * max(1 - self.debt_s(budget_ratio) / _ALLOWANCE_S, 0.0)

    def _speed(self, way: Way) -> float:
        return self.ways[way].expected_speed(self._batch_speed())

    def _batch_speed(self) -> float:
        known = (record.batch_speed for record in self.ways.values())
        return max((speed for speed in known if speed is not None), default=1.0)

    def _like_stock(self) -> float:
        """The share of the time in which it does as much as by stock Synapse."""
        speed = self.current.speed
        if not speed:
            return STOCK_RATIO
        return min(STOCK_RATIO * self._batch_speed() / speed, 2 * STOCK_RATIO)


def _harm(model: ImpactModel) -> float:
    """What counts as proven: nothing before the first experiment."""
    return max(model.slope - _BENEFIT_OF_DOUBT * model.error, 0.0) if model.experiments else 0.0


def _most(model: ImpactModel) -> float:
    """The most of the time: a moment of work is W = u / (1 - u) s, and costs (s + SE) W."""
    pessimistic = max(model.slope, 0.0) + model.error
    ratio = 1 / (1 + pessimistic / _LONGEST_HARM_S)
    is_doubtful = model.is_in_doubt or model.error > _DOUBTFUL_ERROR
    return min(ratio, DOUBT_RATIO if is_doubtful else MOST_RATIO)
