"""The adaptive pace: what is measured, turned into a duty cycle, a target and a patience. Pure.

Three things decide, the most careful one wins:

- Is anybody there? If not, there is no rest (`presence`).
- What does this update cost those who are there? Its effort is what they hardly notice (`harm`),
  compared in phases with and without batches (`comparison`).
- Is the server or the database short of something now? Then the duty cycle falls at once,
  whatever is the cause, down to the least one, and recovers within seconds (`SoftLaw`).

While somebody is there, batches start in gaps between requests. One that keeps the event loop busy
is made shorter: a request that comes in the middle of it waits for the rest (Fuhrmann and Cooper,
1985, on queues with vacations). One that only competes for processors is not, because requests do
not wait for its end, and every batch has a cost of its own (docs/benchmarks.md).
"""

import math
from collections.abc import Iterable, Mapping

import attrs

from synapse_bgthrottle.core.adaptive.comparison import Comparison, Result
from synapse_bgthrottle.core.adaptive.harm import MOST_EFFORT, Harm
from synapse_bgthrottle.core.adaptive.presence import Presence
from synapse_bgthrottle.core.adaptive.pressure_controller import BLIND_RATIO, SoftLaw
from synapse_bgthrottle.core.config.limits import Limits
from synapse_bgthrottle.core.config.profiles import PROFILES, Profile
from synapse_bgthrottle.core.signals.signal_set import Soft
from synapse_bgthrottle.core.units import format_duration_ms, format_ratio

LOOK_EVERY_S = 0.01

# Soft pressures below this are low.
LOW_PRESSURE = 0.5

# Looks further apart than this do not show what was between them.
_CALM_IS_SEEN_S = 2.0

# Twenty looks in a row that did not come: what the last one said is no longer so.
_BLIND_AFTER_S = 5.0

# Batches on SQLite hold the lock of the only writer, and the only thread.
SQLITE_TARGET_MS = 50.0

# Once nobody has been seen for t, somebody comes within the next 0.04 t about once in 25 times.
_TARGET_PER_QUIET = 0.04

# A harmless update may go on at pressures at which another one yields, but not at any.
_MOST_INDULGENCE = 2.0


@attrs.frozen
class Going:
    """How to go on now.

    Attributes:
        ratio: duty cycle between hushes.
        mean_ratio: duty cycle of hushes and work together.
        least_ratio: duty cycle that no waiting for a gap may undercut.
        target_ms: wanted duration of the next batch.
        gate_s: how long to wait for a gap between requests.
        hush_s: how long there is no batch at all, for comparison.
        hushed_s: all hushes so far, where they are no part of rests; 0 where they are.
        one_hush_s: how long a hush is now.
        reason: why, for people.
        result: the experiment that is complete now, to be learned by all that worked in it.
    """

    ratio: float
    mean_ratio: float
    least_ratio: float
    target_ms: float
    gate_s: float
    hush_s: float
    reason: str
    result: Result | None = None
    hushed_s: float = 0.0
    one_hush_s: float = 0.0


@attrs.define
class Pacer:
    """What all databases of one server share: its clients, and how much of the time is work.

    Attributes:
        presence: whether anybody is there.
        comparison: the phases with and without batches.
        law: the duty cycle that soft pressures allow.
        soft: what the soft signals said last.
    """

    presence: Presence = attrs.field(factory=Presence)
    comparison: Comparison = attrs.field(factory=Comparison)
    law: SoftLaw = attrs.field(factory=SoftLaw)
    soft: Soft = attrs.field(factory=lambda: Soft(None))
    _calm_since_s: float | None = None
    _looked_s: float = -math.inf

    def calm_for_s(self, now_s: float) -> float:
        """For how long soft pressures have been seen to be low; what nobody looked at is not."""
        if self._calm_since_s is None or now_s - self._looked_s > _CALM_IS_SEEN_S:
            return 0.0
        return now_s - self._calm_since_s

    def look(
        self,
        now_s: float,
        responses: Mapping[str, tuple[float, float]] | None,
        late_s: float,
        soft: Soft,
        *,
        indulgence: float,
        least_ratio: float,
        most_ratio: float,
        quiet_after_s: float,
    ) -> None:
        """A look at this process, four times a second."""
        self.soft = soft
        if now_s - self._looked_s > _CALM_IS_SEEN_S:
            self._calm_since_s = None
        self._looked_s = now_s
        if (soft.pressure or 0.0) >= LOW_PRESSURE:
            self._calm_since_s = None
        elif self._calm_since_s is None:
            self._calm_since_s = now_s
        if responses is not None:
            self.comparison.look(now_s, responses, late_s)
        # While nobody is there it is our own batches that make the pressure: nothing to learn.
        if not self.presence.is_quiet(now_s, quiet_after_s):
            bounded = min(max(indulgence, 1.0), _MOST_INDULGENCE)
            self.law.step(soft, bounded, least_ratio, most_ratio)

    def go(
        self,
        limits: Limits,
        target_ms: float,
        harm: Harm,
        now_s: float,
        sharers: int,
        batch_s: float,
    ) -> Going:
        """How to go on with this update.

        Args:
            limits: of the update.
            target_ms: duration of its batches at most.
            harm: what is known of it.
            now_s: the time.
            sharers: how many updates share what there is.
            batch_s: how long its last batch took.
        """
        profile = PROFILES[limits.profile]
        if math.isinf(profile.tolerance_ratio):
            return _all_out("as fast as budgets allow", limits, target_ms)
        quiet_s = self.presence.quiet_for_s(now_s)
        if self.presence.is_quiet(now_s, profile.quiet_after_s):
            busy_ms = profile.busy_target_ms * harm.batch_ratio
            careful_ms = max(quiet_s * _TARGET_PER_QUIET * 1000, busy_ms)
            seen = "no client seen so far"
            if math.isfinite(quiet_s):
                seen = f"no client for {format_duration_ms(quiet_s * 1000)}"
            return _all_out(seen, limits, min(careful_ms, target_ms))
        if self.soft.pressure is None or now_s - self._looked_s > _BLIND_AFTER_S:
            ratio = _bounded(BLIND_RATIO, limits)
            return _at(ratio, target_ms, f"nothing can be measured: {_percent(ratio)}")
        return self._among_clients(limits, profile, target_ms, harm, now_s, sharers, batch_s)

    def _among_clients(
        self,
        limits: Limits,
        profile: Profile,
        target_ms: float,
        harm: Harm,
        now_s: float,
        sharers: int,
        batch_s: float,
    ) -> Going:
        allowed = min(harm.effort, 1.0)
        ratio, why = allowed, f"clients are {_percentage(harm.slope * allowed)} slower by it"
        if self.law.ratio < allowed:
            ratio, why = self.law.ratio, f"{self.soft.name} is at {self.soft.pressure:.2f}"
            if self.soft.stale and (self.soft.pressure or 0.0) < 1:
                why = f"{self.soft.stale} is not read any more"
        ratio = _bounded(ratio, limits)
        work_s, hush_s = self.comparison.spans_s(
            min(allowed, self.law.ratio), is_certain=harm.is_certain
        )
        # With less than one batch for each moment, moments are made of the batches themselves; not
        # where those of several databases overlap.
        is_long = sharers == 1 and batch_s >= self.comparison.least_s
        is_long = is_long and batch_s / ratio > work_s + hush_s
        # What hushes take is given back in between; it is in the rests of long batches.
        has_hushes = not (is_long or self.comparison.is_prolonged(now_s))
        share = (work_s + hush_s) / work_s if has_hushes else 1.0
        at_work = min(ratio * share, 1.0)
        if not self.comparison.is_hush:  # in a hush it is what was tried before that counts
            harm.tried_effort = 1.0 if is_long else at_work
            if ratio == 1:
                harm.tried_effort = harm.effort
        result = self.comparison.turn(now_s, work_s, hush_s, until_batch=is_long)
        freedom = math.log(max(harm.effort, 1.0)) / math.log(MOST_EFFORT)
        busy_ms = min(profile.busy_target_ms, target_ms) * harm.batch_ratio
        return Going(
            at_work / sharers,
            ratio / sharers,
            min(limits.min_duty_ratio * share / sharers, 1.0),
            busy_ms * (target_ms / busy_ms) ** freedom,
            profile.longest_gate_s * (1 - freedom),
            max(self.comparison.ends_s - now_s, 0.0) if self.comparison.is_hush else 0.0,
            f"clients are there, {why}: {_percent(ratio)}",
            result,
            0.0 if is_long else self.comparison.hushed_s(now_s),
            hush_s,
        )


def highest(softs: Iterable[Soft]) -> Soft:
    """What the soft signals of several databases say together."""
    known = [soft for soft in softs if soft.pressure is not None]
    if not known:
        return Soft(None)
    worst = max(known, key=lambda soft: soft.pressure or 0.0)
    return attrs.evolve(worst, stale=max(soft.stale for soft in known))


def _all_out(reason: str, limits: Limits, target_ms: float) -> Going:
    ratio = _bounded(1.0, limits)
    return _at(ratio, target_ms, f"{reason}: {_percent(ratio)}")


def _at(ratio: float, target_ms: float, reason: str) -> Going:
    return Going(ratio, ratio, ratio, target_ms, 0.0, 0.0, reason)


def _percentage(ratio: float) -> str:
    return format_ratio(round(max(ratio, 0.0), 3))


def _bounded(ratio: float, limits: Limits) -> float:
    return max(min(ratio, limits.max_duty_ratio), limits.min_duty_ratio)


def _percent(ratio: float) -> str:
    return f"duty cycle {format_ratio(ratio)}"
