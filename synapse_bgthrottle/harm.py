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

# Beyond an effort of 1 (all of the time, but in gaps only) gaps matter less and less, and here,
# where all of the time costs half of what is tolerated, no longer.
MOST_EFFORT = 2.0

# What is believed at the start has an error of this share of it.
_PRIOR_ERROR = 1.0

# The slope is taken for larger than it probably is by this many standard errors: little is known
# to be harmless, and a mistake is paid for by somebody else.
_CAUTION = 0.5

_HALF_LIFE_S = 1800.0

# Experiments that are worse than expected, and than tolerated, add up: by how many standard errors
# each is worse, less the slack. Beyond the alarm the update has changed. Slack and alarm are those
# of a CUSUM chart (Page, 1954): by chance alone that happens once in hundreds of experiments, and
# after about six if clients have become twice as slow.
_SLACK = 0.4
_ALARM = 6.0

# From one experiment to the next the effort grows by this factor at most.
_MOST_GROWTH = 1.5

# Event-loop lag above this share of its threshold, at a moment with a batch, shortens batches.
# Requests make it late too: counted is what is more than in hushes, by a share of the moments.
_LAG_PRESSURE = 0.4
_SHORTEN = 0.7
_MORE_LATE = 0.05
_MOST_LATE = 0.5
_LATE_MEMORY = 0.01
_LEAST_BATCH_RATIO = 0.1


@attrs.define
class Harm:
    """What was learned of one update.

    Attributes:
        start_effort: the effort before anything is known.
        tolerance_ratio: by how much requests may become slower.
        effort: what costs no more than that.
        experiments: how many there were.
        batch_ratio: by what its batches are shortened, because they make the event loop late.
    """

    start_effort: float
    tolerance_ratio: float
    effort: float = attrs.field(init=False)
    experiments: int = 0
    batch_ratio: float = 1.0
    _precision: float = 0.0
    _evidence: float = 0.0
    _learned_s: float = -math.inf
    _late_share: float = 0.0
    _surprise: float = 0.0
    _worse_precision: float = 0.0
    _worse_evidence: float = 0.0

    def __attrs_post_init__(self) -> None:
        self.effort = self.start_effort

    @property
    def slope(self) -> float:
        """By what share requests are slower at an effort of 1, as far as is known."""
        return self._slope_by(self._precision, self._evidence)

    @property
    def error(self) -> float:
        """Standard error of the slope."""
        return float((1 / (_PRIOR_ERROR * self._prior_slope) ** 2 + self._precision) ** -0.5)

    @property
    def in_doubt(self) -> bool:
        """Whether the last experiments were worse than expected, so that more should follow."""
        return self._surprise > 0

    @property
    def _prior_slope(self) -> float:
        # So that the start is what caution leaves of it.
        return self.tolerance_ratio / self.start_effort / (1 + _CAUTION * _PRIOR_ERROR)

    def learn(self, now_s: float, effort: float, difference: float, variance: float) -> None:
        """One experiment: at this effort the log latency was higher by `difference`."""
        passed_s = max(now_s - self._learned_s, 0.0)
        fading = 0.5 ** (passed_s / _HALF_LIFE_S)
        self._learned_s = now_s
        precision, evidence = effort**2 / variance, effort * difference / variance
        if self._is_surprised(effort, difference, variance):
            # It is another update than it was: what was learned before is worth nothing, unless
            # it says worse.
            since = self._worse_precision, self._worse_evidence
            if self._slope_by(*since) > self.slope:
                self._precision, self._evidence = since
        self._precision = self._precision * fading + precision
        self._evidence = self._evidence * fading + evidence
        self._worse_precision += precision
        self._worse_evidence += evidence
        if self._surprise == 0:
            self._worse_precision = self._worse_evidence = 0.0
        self.experiments += 1
        least = self.tolerance_ratio / MOST_EFFORT
        allowed = self.tolerance_ratio / max(self.slope + _CAUTION * self.error, least)
        self.effort = min(allowed, self.effort * _MOST_GROWTH)

    def _slope_by(self, precision: float, evidence: float) -> float:
        prior = self._prior_slope
        prior_precision = 1 / (_PRIOR_ERROR * prior) ** 2
        return (prior_precision * prior + evidence) / (prior_precision + precision)

    def _is_surprised(self, effort: float, difference: float, variance: float) -> bool:
        expected = max(self.slope * effort, self.tolerance_ratio)
        error = math.hypot(math.sqrt(variance), self.error * effort)
        self._surprise = max(self._surprise + (difference - expected) / error - _SLACK, 0.0)
        if self._surprise <= _ALARM:
            return False
        self._surprise = 0.0
        return True

    def learn_lag(self, pressure: float, *, at_work: bool) -> None:
        """This was the pressure of event-loop lag, at a moment with a batch or in a hush."""
        late = pressure > _LAG_PRESSURE
        if not at_work:
            self._late_share += _LATE_MEMORY * (late - self._late_share)
            return
        # It stays as it is where this share of the moments with a batch is late.
        usual = min(self._late_share + _MORE_LATE, _MOST_LATE)
        factor = _SHORTEN if late else _SHORTEN ** (-usual / (1 - usual))
        self.batch_ratio = min(max(self.batch_ratio * factor, _LEAST_BATCH_RATIO), 1.0)
