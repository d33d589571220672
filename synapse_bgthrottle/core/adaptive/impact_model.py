"""How much one way of working slows clients down: a regression and a test for change. Pure.

The model is L(with) / L(without) = exp(s): at full work the log latency is higher by the slope s.
Each experiment gives one difference d of mean log latencies, with a variance v by formula. Updates
are of two sorts: with the probability h one harms nobody (s = 0), otherwise s is normal ("spike and
slab", Mitchell and Beauchamp, 1988). But none makes clients quicker, so of the normal distribution
only what is above zero counts. Of a harmful update is known

    precision   P = sum of f / v          f = 0.5 ** (age / HALF_LIFE_S), and the prior as one more
    centre      c = (P0 m0 + sum of f d / v) / P
    spread      r = sqrt(k / P)
    slope       m = c + r phi(c / r) / Phi(c / r)      the mean of what is above zero
    square      q = r ** 2 + c m                       the mean square of that
    honesty     k = mean of e ** 2        e = (d - s) / sqrt(v + 1 / P)

k is 4 of 2.5 at first, and remembers 0.99 for each experiment. Formulas claim errors 1.3 to 1.9
times too small, because requests that meet in a queue are not independent. So the error is judged
by how much experiments really differ. h follows by Bayes from what the experiments are likely to
show in either case. Then for all that is decided

    slope       s = (1 - h) m
    error       SE = sqrt((1 - h) q - s ** 2)

So a difference of one or two errors, which luck often shows, does not yet count as harm. One in the
other direction is luck for certain.

Whether the slope is still the same is a CUSUM (Page, 1954) of the surprises in their own standard
deviations, one up and one down. When it says no, only what came since the change counts: since the
sum was zero, or since a moment of work was suspicious.
"""

import math
from collections.abc import Sequence

import attrs

# e to this is certainty, and less than this is no evidence.
_LARGEST_EXPONENT = 50.0
_LEAST_PRECISION = 1e-6
_LEAST_PROBABILITY = 1e-9

_HALF_LIFE_S = 1800.0

_FIRST_INFLATION = 2.5
_FIRST_WEIGHT = 4.0
_INFLATION_MEMORY = 0.99

# Of the CUSUM, in standard deviations: a change of twice the drift is found soonest. Clipped, or
# one stray experiment would be a change. Without a change, an alarm of 7 is reached once in some
# thousands of experiments, and after one of three standard deviations within five (at 5: within
# four, but once in 500). Harm that begins matters more than harm that ends.
_DRIFT = 0.5
_CLIP = 2.0
_ALARM_UP = 7.0
_ALARM_DOWN = 8.0
_DOUBT = 2.5
# A moment of work that is cut short (`experiment`) counts as so many.
_SUSPICION = 3.5

# What is recalled: e to this power is a slowdown that no server has, and nothing is that even.
_MOST_SLOPE = 50.0
_LEAST_SQUARES = 1e-9


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


@attrs.frozen
class Prior:
    """What is believed before any experiment."""

    # Of an update that harms: centre and error of the normal slope. The error is inflated like any
    # other, and only what is above zero counts. So the slope is 0.75 in the mean: twice as slow.
    slope: float = 0.3
    error: float = 0.5
    harmless: float = 0.4  # how probable it is that it harms nobody: so are two updates of five


@attrs.define
class ImpactModel:
    """What is known of one way in which an update works."""

    # By how much the log latency is higher at full work, as far as is known.
    slope: float = attrs.field(init=False)
    error: float = attrs.field(init=False)  # its standard error
    harmless: float = attrs.field(init=False)  # how probable it is that it harms nobody
    experiments: int = 0  # how many there were
    _prior: Prior = Prior()
    _evidence: _Evidence = attrs.field(factory=_Evidence)
    _up: _Cusum = attrs.field(factory=lambda: _Cusum(1.0, _ALARM_UP))
    _down: _Cusum = attrs.field(factory=lambda: _Cusum(-1.0, _ALARM_DOWN))
    _squares: float = _FIRST_INFLATION * _FIRST_WEIGHT
    _weight: float = _FIRST_WEIGHT
    _learned_s: float = -math.inf

    def __attrs_post_init__(self) -> None:
        self._estimate()

    @property
    def is_in_doubt(self) -> bool:
        """Whether the latest experiments say that it harms more than was known."""
        return self._up.sum > _DOUBT

    @property
    def _precision(self) -> float:
        return 1 / self._prior.error**2 + self._evidence.precision

    @property
    def _inflation(self) -> float:
        return self._squares / self._weight

    def believe(self, prior: Prior) -> None:
        """Another belief before any experiment."""
        if prior != self._prior:
            self._prior = prior
            self._estimate()

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
                self._evidence = side.since  # what came before the change counts no more
                self._up, self._down = _Cusum(1.0, _ALARM_UP), _Cusum(-1.0, _ALARM_DOWN)
                break
        self._estimate()

    def suspect(self) -> None:
        """Work had to be cut short, because clients were much slower than in earlier work.

        That moment was chosen by what it showed, so it is no fair sample of the slope. But if the
        slope has changed, then by now.
        """
        self._up.sum = min(self._up.sum + _SUSPICION, self._up.alarm)
        self._up.since = _Evidence()

    def kept(self) -> list[float]:
        """What is worth keeping for the next start, as `recall` takes it."""
        evidence = self._evidence
        spread = [self._squares, self._weight]
        return [self.experiments, evidence.precision, evidence.weighted, *spread]

    def recall(self, kept: Sequence[float], share: float) -> None:
        """This was known at the last start; it counts for this share of what it did.

        Raises:
            ValueError: it was kept in another way.
        """
        experiments, precision, weighted, squares, weight = kept
        if min(experiments, precision, squares) < 0 or weight < 1:
            raise ValueError("a sum is out of range")
        is_slope = abs(weighted) <= _MOST_SLOPE * (1 + precision)
        if not is_slope or not _LEAST_SQUARES <= squares <= weight * _MOST_SLOPE**2:
            raise ValueError("no server is slowed by so much, or that evenly")
        self.experiments = round(experiments * share)
        self._evidence = _Evidence(precision * share, weighted * share)
        self._squares += (squares - self._squares) * share
        self._weight += (weight - self._weight) * share
        self._estimate()

    def _estimate(self) -> None:
        """Only now, because slope and error are asked for many times between two experiments."""
        prior, evidence, inflation = self._prior, self._evidence, self._inflation
        centre = (prior.slope / prior.error**2 + evidence.weighted) / self._precision
        square, prior_square = inflation / self._precision, inflation * prior.error**2
        above_zero = _above_zero(centre, square)
        self.harmless = prior.harmless
        if evidence.precision > _LEAST_PRECISION:
            shown, narrow = evidence.weighted / evidence.precision, inflation / evidence.precision
            wide = narrow + prior_square
            exponent = (shown**2 / narrow - (shown - prior.slope) ** 2 / wide) / 2
            # That it harms, by that it does not; experiments are never as sure as formulas.
            odds = math.exp(min(exponent, _LARGEST_EXPONENT)) * math.sqrt(narrow / wide)
            odds *= above_zero / _above_zero(prior.slope, prior_square)
            self.harmless = prior.harmless / (prior.harmless + (1 - prior.harmless) * odds)
        density = math.exp(-min(centre**2 / (2 * square), _LARGEST_EXPONENT))
        density /= math.sqrt(2 * math.pi * square)
        harmful = max(centre + square * density / above_zero, 0.0)
        self.slope = (1 - self.harmless) * harmful
        mean_square = (1 - self.harmless) * (square + centre * harmful)
        self.error = math.sqrt(max(mean_square - self.slope**2, 0.0))


def _above_zero(centre: float, square: float) -> float:
    """The probability that a normal variable is above zero; never quite zero."""
    return max(math.erfc(-centre / math.sqrt(2 * square)) / 2, _LEAST_PROBABILITY)
