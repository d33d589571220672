"""The share of the time that an update will spend in batches: a formula. Pure.

    share of the time = time without clients x greatest duty cycle
                        + time with clients x min(1, tolerance / slope)

The tolerance is the profile's. The slope is the share by which requests are slower while batches
take all of the time. It is learned (`learned_slope`); until then it is `UNKNOWN_SLOPE`. With a
fixed pace the share is D / (D + rest). The duration D of a batch follows from its cost
(`batch_cost.Cost`). Hard limits are caps: the bounds of the duty cycle, the longest rest, and items
per second. Holds (windows, pauses, approvals) are not included: see `timeline`.
"""

import attrs

from synapse_bgthrottle.core.config.limits import Adaptive, DutyCycle, FixedSleep, Limits, Settings
from synapse_bgthrottle.core.config.parser import Config
from synapse_bgthrottle.core.config.profiles import PROFILES
from synapse_bgthrottle.core.scheduling.batch_cost import Cost
from synapse_bgthrottle.core.scheduling.next_batch import FLOOR_PACE, rest_s
from synapse_bgthrottle.core.scheduling.state import UpdateState

LIKELY, EARLY, LATE = "likely", "early", "late"
CASES = (LIKELY, EARLY, LATE)


@attrs.frozen
class Range:
    """A likely value and its bounds; `schema.StatedRange` is what the API shows of it."""

    likely: float
    low: float
    high: float

    @classmethod
    def exactly(cls, value: float) -> "Range":
        """A value that is certain."""
        return cls(value, value, value)

    def of(self, case: str) -> float:
        """The value in this case: `early` has the high one, and `late` the low one."""
        return {LIKELY: self.likely, EARLY: self.high}.get(case, self.low)

    def times(self, factor: float) -> "Range":
        """Each of them, multiplied."""
        return Range(self.likely * factor, self.low * factor, self.high * factor)

    def at_most(self, most: float) -> "Range":
        """Each of them, but no more than this."""
        return Range(min(self.likely, most), min(self.low, most), min(self.high, most))


# Most of the measured slopes, on real servers and on the modelled one: from updates that only wait
# for the database to those that keep the event loop busy.
UNKNOWN_SLOPE = Range(0.3, 0.05, 0.8)


@attrs.frozen
class Shares:
    """Shares of the time in batches while nothing holds the update."""

    alone: Range  # while no client is active
    among_clients: Range  # while clients are active
    clients_ratio: float = 1.0  # the share of the time with clients when the latter was measured

    def at(self, clients_ratio: float, case: str) -> float:
        """The share if clients are active for `clients_ratio` of the time."""
        clients_ratio = min(clients_ratio / self.clients_ratio, 1.0)
        alone, among = self.alone.of(case), self.among_clients.of(case)
        return alone + (among - alone) * clients_ratio

    def times(self, likely: float, low: float, high: float = 1.0) -> "Shares":
        """Multiplied: the likely values, the low ones and the high ones."""
        alone, among = (
            Range(each.likely * likely, each.low * low, each.high * high)
            for each in (self.alone, self.among_clients)
        )
        return Shares(alone, among, self.clients_ratio)


def learned_slope(update: UpdateState) -> Range | None:
    """The share by which requests are slower while batches take all of the time; None: unknown."""
    impact, profile = update.impact, update.profile
    tolerance = profile.tolerance_ratio
    if not update.is_adaptive or not impact.experiments or not profile.is_careful:
        return None
    # The same as the adaptive pace computes, so that both agree.
    budget = impact.budget_ratio(tolerance, like_stock=profile.like_stock)
    slope = tolerance / impact.effort(budget, like_stock=profile.like_stock)
    error = impact.current.model.error
    return Range(slope, max(slope - error, 0.0), slope + error)


def shares(
    limits: Limits, cost: Cost | None, slope: Range = UNKNOWN_SLOPE, *, let_go: bool = False
) -> Shares:
    """The formula. `slope` is the share by which requests are slower at full work.

    `cost` is that of its batches; None: unknown. `let_go` is whether a hold has outlasted
    `max_hold`, so that the update goes on slowly.
    """
    batch_s, most = limits.target_duration_ms / 1000, 1.0
    if cost is not None:
        items = cost.items(limits)
        batch_s = cost.batch_s(items)
        most = limits.max_items_per_second / cost.items_per_s(items)
    if let_go:
        most = min(most, _with_rests(FLOOR_PACE, batch_s))
    if not isinstance(limits.pace, Adaptive):
        share = Range.exactly(_with_rests(limits.pace, batch_s)).at_most(most)
        return Shares(share, share)
    alone = _bounded(1.0, limits, batch_s)
    by_slope = (slope.likely, slope.high, slope.low)
    among = Range(*(_bounded(_allowed(limits, each), limits, batch_s) for each in by_slope))
    return Shares(Range.exactly(alone).at_most(most), among.at_most(most))


def settled(limits: Limits) -> Config:
    """A configuration in which every update has these limits."""
    return Config(Settings(**attrs.asdict(limits, recurse=False)))


def _allowed(limits: Limits, slope: float) -> float:
    tolerance = PROFILES[limits.profile].tolerance_ratio
    return 1.0 if slope <= tolerance else tolerance / slope


def _bounded(ratio: float, limits: Limits, batch_s: float) -> float:
    ratio = max(min(ratio, limits.max_duty_ratio), limits.min_duty_ratio)
    return _with_rests(DutyCycle(ratio), batch_s)


def _with_rests(pace: DutyCycle | FixedSleep, batch_s: float) -> float:
    return batch_s / (batch_s + rest_s(pace, batch_s))
