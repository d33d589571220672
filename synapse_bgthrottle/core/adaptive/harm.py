"""How much an update slows clients down, learned from many small experiments. Pure.

The model: at effort x, requests become slower by the factor exp(s x). The slope s is what is
learned, per update: a Bayesian linear regression through the origin, from differences of log
latency between moments with batches and moments without, by assignment (so that a busy moment, in
which batches find no gap, is no evidence for anything). Old evidence fades.

Then the effort that costs clients no more than is tolerated is tolerance / s: with little evidence
it is what the profile starts from; an update that harms nobody is given more and more; one that
harms gets less. It is the harm budget of `docs/design.md`, in the spirit of MS Manners (SOSP '99)
and PCC Vivace (NSDI '18).
"""

import math

import attrs

# Beyond an effort of 1 (all of the time, but in gaps only) gaps matter less and less, and here
# no longer.
MOST_EFFORT = 8.0

# What is believed at the start has an error of this share of it.
_PRIOR_ERROR = 1.0

# The slope is taken for larger than it probably is by this many standard errors: little is known
# to be harmless, and a mistake is paid for by somebody else.
_CAUTION = 0.5

_HALF_LIFE_S = 1800.0

# From one experiment to the next the effort grows by this factor at most.
_MOST_GROWTH = 1.5

# Event-loop lag above this share of its threshold, at a moment with a batch, shortens batches.
_LAG_PRESSURE = 0.4
_SHORTEN = 0.7
_LENGTHEN = 1.02
_LEAST_BATCH_RATIO = 0.1


@attrs.define
class Harm:
    """What was learned of one update.

    Attributes:
        start_effort: the effort before anything is known.
        tolerance_ratio: by how much requests may become slower.
        effort: what costs no more than that.
        tried_effort: what it works with now, while that is compared.
        experiments: how many there were.
        batch_ratio: by what its batches are shortened, because they make the event loop late.
    """

    start_effort: float
    tolerance_ratio: float
    effort: float = attrs.field(init=False)
    tried_effort: float = 0.0
    experiments: int = 0
    batch_ratio: float = 1.0
    _precision: float = 0.0
    _evidence: float = 0.0
    _learned_s: float = -math.inf

    def __attrs_post_init__(self) -> None:
        self.effort = self.start_effort

    @property
    def slope(self) -> float:
        """By what share requests are slower at an effort of 1, as far as is known."""
        prior = self._prior_slope
        precision = 1 / (_PRIOR_ERROR * prior) ** 2
        return (precision * prior + self._evidence) / (precision + self._precision)

    @property
    def error(self) -> float:
        """Standard error of the slope."""
        return float((1 / (_PRIOR_ERROR * self._prior_slope) ** 2 + self._precision) ** -0.5)

    @property
    def is_certain(self) -> bool:
        """Whether more experiments would tell little."""
        return self.error * min(self.effort, 1.0) < self.tolerance_ratio / 3

    @property
    def _prior_slope(self) -> float:
        # So that the start is what caution leaves of it.
        return self.tolerance_ratio / self.start_effort / (1 + _CAUTION * _PRIOR_ERROR)

    def learn(self, now_s: float, effort: float, difference: float, variance: float) -> None:
        """One experiment: at this effort the log latency was higher by `difference`.

        Updates of several databases at work at the same time learn from the same experiments, each
        as if it had been alone: together they share one duty cycle, so that each learns what all
        of them cost.
        """
        passed_s = max(now_s - self._learned_s, 0.0)
        fading = 0.5 ** (passed_s / _HALF_LIFE_S)
        self._learned_s = now_s
        self._precision = self._precision * fading + effort**2 / variance
        self._evidence = self._evidence * fading + effort * difference / variance
        self.experiments += 1
        least = self.tolerance_ratio / MOST_EFFORT
        allowed = self.tolerance_ratio / max(self.slope + _CAUTION * self.error, least)
        self.effort = min(allowed, self.effort * _MOST_GROWTH)

    def learn_lag(self, pressure: float) -> None:
        """At a moment with a batch, this was the pressure of event-loop lag."""
        if pressure > _LAG_PRESSURE:
            self.batch_ratio = max(self.batch_ratio * _SHORTEN, _LEAST_BATCH_RATIO)
        else:
            self.batch_ratio = min(self.batch_ratio * _LENGTHEN, 1.0)
