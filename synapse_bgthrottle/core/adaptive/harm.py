"""How much one way of working slows clients down: a regression and a test for change. Pure.

The model is L(with) / L(without) = exp(s): at full work the log latency is higher by the slope s.
Each experiment gives one difference d of mean log latencies, with a variance v by formula. Then

    precision   P = sum of f / v          f = 0.5 ** (age / HALF_LIFE_S), and the prior as one more
    slope       s = (P0 s0 + sum of f d / v) / P
    surprise    e = (d - s) / sqrt(v + 1 / P)
    honesty     k = mean of e ** 2        (4 of 2.5 at first; 0.99 for each experiment)
    error       SE = sqrt(k / P)

Formulas claim errors 1.3 to 1.9 times too small, because requests that meet in a queue are not
independent. So the error is judged by how much experiments really differ.

Whether the slope is still the same is a CUSUM (Page, 1954) of the surprises in their own standard
deviations, one up and one down. When it says no, only what came since the change counts.
"""

import enum
import math

import attrs

# Before anything is known: clients may be slower by a third, or by nothing, or by twice that.
PRIOR_SLOPE = 0.3
GAP_MEAN, GAP_SE = 0.3, 0.15

_HALF_LIFE_S = 1800.0

_FIRST_INFLATION = 2.5
_FIRST_WEIGHT = 4.0
_INFLATION_MEMORY = 0.99

# Of the CUSUM, in standard deviations: a change of twice the drift is found soonest. Clipped, or
# one stray experiment would be a change. Harm that begins matters more than harm that ends.
_DRIFT = 0.5
_CLIP = 2.0
_ALARM_UP = 5.0
_ALARM_DOWN = 6.0
_DOUBT = 2.0

# The share of the time in which stock Synapse works: 100 ms of each 1.1 s, and its batches overrun;
# and full work does a little less in the same time, which this makes up for.
STOCK_RATIO = 0.11
STOCK_HARM_RATIO = 0.08

START_RATIO = 0.3
DOUBT_RATIO = 0.3
_FEW = 2
_OPTIMISM = 1.0
_CHOICE_OPTIMISM = 0.5
_FIRST_TURNS = 3
_OTHER_EVERY = 8
_SPEED_MEMORY_S = 60.0
_ACCOUNT_MEMORY_S = 180.0
_PAID_BACK_S = 180.0
_ALLOWANCE_S = 3.0
LEAST_OPT = 0.0
C95, C80 = 5.0, 8.0
_LEAST_LEFT = 0.3


@attrs.define
class _Evidence:
    """Sums over experiments: of precisions, and of differences by precision."""

    precision: float = 0.0
    weighted: float = 0.0

    def add(self, difference: float, variance: float) -> None:
        self.precision += 1 / variance
        self.weighted += difference / variance

    def fade(self, factor: float) -> None:
        self.precision *= factor
        self.weighted *= factor


@attrs.define
class _Cusum:
    """One side of the test, and what was learned since it was last at zero."""

    sign: float
    alarm: float
    sum: float = 0.0
    since: _Evidence = attrs.field(factory=_Evidence)

    def add(self, surprise: float, difference: float, variance: float) -> bool:
        """Whether the slope has changed in this direction."""
        clipped = min(max(self.sign * surprise, -_CLIP), _CLIP)
        self.sum = max(self.sum + clipped - _DRIFT, 0.0)
        if not self.sum:
            self.since = _Evidence()
            return False
        self.since.add(difference, variance)
        return self.sum > self.alarm


@attrs.define
class ImpactModel:
    """What is known of one way in which an update works.

    Attributes:
        experiments: how many there were.
    """

    experiments: int = 0
    prior_slope: float = PRIOR_SLOPE
    prior_error: float = 1.0
    _evidence: _Evidence = attrs.field(factory=_Evidence)
    _up: _Cusum = attrs.field(factory=lambda: _Cusum(1.0, _ALARM_UP))
    _down: _Cusum = attrs.field(factory=lambda: _Cusum(-1.0, _ALARM_DOWN))
    _squares: float = _FIRST_INFLATION * _FIRST_WEIGHT
    _weight: float = _FIRST_WEIGHT
    _learned_s: float = -math.inf

    @property
    def slope(self) -> float:
        """By how much the log latency is higher at full work, as far as is known."""
        prior = self.prior_slope / self.prior_error**2
        return (prior + self._evidence.weighted) / self._precision

    @property
    def error(self) -> float:
        """Standard error of the slope."""
        return math.sqrt(self._inflation / self._precision)

    @property
    def is_in_doubt(self) -> bool:
        """Whether the latest experiments say that it harms more than was known."""
        return self._up.sum > _DOUBT

    @property
    def _precision(self) -> float:
        return 1 / self.prior_error**2 + self._evidence.precision

    @property
    def _inflation(self) -> float:
        return self._squares / self._weight

    def learn(self, now_s: float, difference: float, variance: float) -> None:
        """One experiment: with batches the log latency was higher by `difference`."""
        surprise = (difference - self.slope) / math.sqrt(variance + 1 / self._precision)
        standardised = surprise / math.sqrt(self._inflation)
        self._squares = self._squares * _INFLATION_MEMORY + surprise**2
        self._weight = self._weight * _INFLATION_MEMORY + 1
        passed_s = now_s - self._learned_s if math.isfinite(self._learned_s) else 0.0
        self._learned_s = now_s
        self._evidence.fade(0.5 ** (max(passed_s, 0.0) / _HALF_LIFE_S))
        self._evidence.add(difference, variance)
        self.experiments += 1
        for side in (self._up, self._down):
            if side.add(standardised, difference, variance):
                self._forget_before(side)
                return

    def _forget_before(self, side: _Cusum) -> None:
        self._evidence = side.since
        self._up, self._down = _Cusum(1.0, _ALARM_UP), _Cusum(-1.0, _ALARM_DOWN)


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
        """Items for each second of work (with the waits for gaps); None: unknown."""
        return self._items / self._work_s if self._items and self._work_s else None

    @property
    def batch_speed(self) -> float | None:
        """Items for each second in batches; None: unknown."""
        return self._items / self._batch_s if self._items and self._batch_s else None

    def did(self, items: float, batch_s: float) -> None:
        """A batch has ended."""
        self._items += items
        self._batch_s += batch_s

    def worked(self, work_s: float) -> None:
        """A moment of work has ended."""
        self.turns += 1
        self._work_s += work_s
        if self._work_s > _SPEED_MEMORY_S:
            kept = _SPEED_MEMORY_S / self._work_s
            self._items, self._batch_s = self._items * kept, self._batch_s * kept
            self._work_s = _SPEED_MEMORY_S


@attrs.define
class Impact:
    """What an update costs clients, and how much of the time it may have for that.

    Attributes:
        ways: what is known, by way.
        way: in which it works in this moment.
    """

    ways: dict[Way, WayRecord] = attrs.field(factory=lambda: {way: WayRecord() for way in Way})
    way: Way = Way.BACK_TO_BACK
    _turns: int = 0
    _elapsed_s: float = 0.0

    @property
    def experiments(self) -> int:
        return sum(record.model.experiments for record in self.ways.values())

    @property
    def now(self) -> WayRecord:
        """Of the way in which it works in this moment."""
        return self.ways[self.way]

    def budget_ratio(self, tolerance_ratio: float, *, like_stock: bool) -> float:
        """By how much clients may be slower: so much, or as much as by stock Synapse."""
        if not like_stock:
            return tolerance_ratio
        model = self.ways[Way.BACK_TO_BACK].model
        return max(tolerance_ratio, STOCK_HARM_RATIO * (model.slope - model.error))

    def effort(self, way: Way, budget_ratio: float, *, like_stock: bool) -> float:
        """The duty cycle that costs clients so much, by what is known."""
        model = self.ways[way].model
        debt_s = max(self._debt_s(budget_ratio), 0.0)
        left_ratio = max(budget_ratio - debt_s / _PAID_BACK_S, _LEAST_LEFT * budget_ratio)
        optimism = _OPTIMISM * max(1 - debt_s / _ALLOWANCE_S, LEAST_OPT)
        slope = max(model.slope - optimism * model.error, budget_ratio / 8)
        ratio = min(left_ratio / slope, self._most(model, budget_ratio))
        return max(ratio, self._least(way)) if like_stock else ratio

    def _debt_s(self, budget_ratio: float) -> float:
        spent_s = sum(max(r.model.slope, 0.0) * r.exposure_s for r in self.ways.values())
        return spent_s - budget_ratio * self._elapsed_s

    def _least(self, way: Way) -> float:
        """The duty cycle at which it does as much as by stock Synapse."""
        speed = self.ways[way].speed
        known = [r.batch_speed for r in self.ways.values() if r.batch_speed is not None]
        if speed is None or not known:
            return STOCK_RATIO
        return min(STOCK_RATIO * max(known) / speed, 2 * STOCK_RATIO)

    def _most(self, model: ImpactModel, budget_ratio: float) -> float:
        if model.is_in_doubt:
            return DOUBT_RATIO
        if model.experiments < _FEW:
            return START_RATIO
        pessimistic = max(model.slope, 0.0) + model.error
        if pessimistic < 2.5 * budget_ratio:
            return 0.95
        if pessimistic < C95 * budget_ratio:
            return 0.9
        if pessimistic < C80 * budget_ratio:
            return 0.8
        return 0.6

    def choose(self, budget_ratio: float, *, has_gaps: bool) -> Way:
        """The way of the next moment of work."""
        self._turns += 1
        full, gaps = (self.ways[way].model for way in Way)
        gaps.prior_slope, gaps.prior_error = PRIOR_SLOPE, 1.0
        if full.slope > 2 * full.error:
            gaps.prior_slope = GAP_MEAN * full.slope
            gaps.prior_error = math.hypot(GAP_SE * full.slope, GAP_MEAN * full.error)
        if not has_gaps:
            return Way.BACK_TO_BACK
        first, other = Way.IN_GAPS, Way.BACK_TO_BACK
        if self.ways[first].turns < _FIRST_TURNS:
            return first
        best = max(Way, key=lambda way: self._worth(way, budget_ratio))
        other = next(way for way in Way if way is not best)
        every = _OTHER_EVERY
        if self.ways[other].turns > 4:
            every *= 2
        return other if self._turns % every == 0 else best

    def _worth(self, way: Way, budget_ratio: float) -> float:
        record = self.ways[way]
        speed = record.speed
        if speed is None:
            known = [r.batch_speed for r in self.ways.values() if r.batch_speed is not None]
            speed = known[0] if known else 1.0
        optimistic = record.model.slope - _CHOICE_OPTIMISM * record.model.error
        return speed * min(0.95, budget_ratio / max(optimistic, budget_ratio / 8))

    def turned(self, work_s: float, hush_s: float) -> None:
        """A moment of work and its hush are over."""
        passed_s = work_s + hush_s
        fading = math.exp(-passed_s / _ACCOUNT_MEMORY_S)
        for record in self.ways.values():
            record.exposure_s *= fading
        self._elapsed_s = self._elapsed_s * fading + passed_s
        self.now.exposure_s += work_s
        if work_s:
            self.now.worked(work_s)
