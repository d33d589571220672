"""The adaptive pace: what is measured, turned into moments of work and of hush. Pure."""

import math
from collections.abc import Iterable, Mapping

import attrs

from synapse_bgthrottle.core.adaptive.comparison import Switchback, Turn
from synapse_bgthrottle.core.adaptive.harm import Impact, Way
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

# A batch in a gap.
GAP_TARGET_MS = 25.0
_LONGEST_GAP_S = 0.5

# A pressure that was smoothed has mostly gone so long after the batch that made it.
_SETTLED_S = 0.5

# Where only the database's answers are compared: they are about a third of a request.
_QUESTION_SHARE = 3.0

# After a longer time without clients phases begin anew.
_LONG_QUIET_S = 5.0


@attrs.frozen
class Going:
    """How to go on now.

    Attributes:
        ratio: duty cycle, for people.
        target_ms: wanted duration of the next batch.
        reason: why, for people.
        rest_ratio: duty cycle that is kept by a rest after each batch; 1: by hushes.
        gate_s: how long to wait for a gap between requests.
        hush_s: how long there is no batch at all.
        is_comparison: whether that is for the comparison's sake alone.
        long_rest_ratio: of a batch that outlasts its moment.
    """

    ratio: float
    target_ms: float
    reason: str
    rest_ratio: float = 1.0
    gate_s: float = 0.0
    hush_s: float = -math.inf
    is_comparison: bool = False


@attrs.define
class Pacer:
    """What all databases of one server share: its clients, and how much of the time is work.

    Attributes:
        presence: whether anybody is there.
        switchback: moments with and without batches.
        law: the duty cycle that soft pressures allow.
        soft: what the soft signals said last.
    """

    presence: Presence = attrs.field(factory=Presence)
    switchback: Switchback = attrs.field(factory=Switchback)
    law: SoftLaw = attrs.field(factory=SoftLaw)
    soft: Soft = attrs.field(factory=lambda: Soft(None))
    sees_requests: bool = True
    _calm_since_s: float | None = None
    _looked_s: float = -math.inf
    _quiet_since_s: float | None = None
    _ratio: float = 1.0
    is_at_work: bool = False
    _last_short: int = 0

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
        least_ratio: float,
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
            self.switchback.look(now_s, responses, late_s)
        # Amid our own batches, or while nobody is there, it is us who make the pressure.
        is_clean = self.switchback.is_clean(now_s - self.switchback.look_s)
        if is_clean and not self.presence.is_quiet(now_s, quiet_after_s):
            self.law.step(soft, least_ratio, max(self._ratio, least_ratio))

    def go(
        self,
        limits: Limits,
        target_ms: float,
        impact: Impact,
        workers: Iterable[Impact],
        now_s: float,
    ) -> Going:
        """How to go on with this update.

        Args:
            limits: of the update.
            target_ms: duration of its batches at most.
            impact: what is known of it.
            workers: of all that work now.
            now_s: the time.
        """
        self.is_at_work = False
        profile = PROFILES[limits.profile]
        if math.isinf(profile.tolerance_ratio):
            return _all_out("as fast as budgets allow", limits, target_ms)
        quiet_s = self.presence.quiet_for_s(now_s)
        if self.presence.is_quiet(now_s, profile.quiet_after_s):
            if self._quiet_since_s is None:
                self._quiet_since_s = now_s
            seen = "no client seen so far"
            if math.isfinite(quiet_s):
                seen = f"no client for {format_duration_ms(quiet_s * 1000)}"
            return _all_out(seen, limits, target_ms)
        if self._quiet_since_s is not None:
            passed_s = now_s - self._quiet_since_s
            self._quiet_since_s = None
            if passed_s > _LONG_QUIET_S:
                self.switchback.restart(now_s)
            else:
                self.switchback.stand_still(passed_s)
        if self.soft.pressure is None or now_s - self._looked_s > _BLIND_AFTER_S:
            ratio = _bounded(BLIND_RATIO, limits)
            return _at(ratio, target_ms, f"nothing can be measured: {_percent(ratio)}")
        return self._among_clients(limits, profile, target_ms, impact, workers, now_s)

    def _among_clients(
        self,
        limits: Limits,
        profile: Profile,
        target_ms: float,
        impact: Impact,
        workers: Iterable[Impact],
        now_s: float,
    ) -> Going:
        tolerance = profile.tolerance_ratio * (1 if self.sees_requests else _QUESTION_SHARE)
        budget = impact.budget_ratio(tolerance, like_stock=profile.like_stock)
        ratio = _bounded(impact.effort(impact.way, budget, like_stock=profile.like_stock), limits)
        ratio = _bounded(min(ratio, self.law.ratio), limits)
        turn = self.switchback.turn(now_s, ratio)
        if turn is not None:
            for worker in workers:
                worker.turned(turn.work_s, turn.hush_s)
                if turn.result is not None:
                    worker.now.model.learn(now_s, turn.result.difference, turn.result.variance)
            budget = impact.budget_ratio(tolerance, like_stock=profile.like_stock)
            way = impact.choose(budget, has_gaps=self.sees_requests)
            for worker in workers:
                worker.way = way
            if self.switchback.is_suspicious:
                self._last_short = 2
            ratio = _bounded(
                min(impact.effort(way, budget, like_stock=profile.like_stock), self.law.ratio),
                limits,
            )
            if self._last_short:
                self._last_short -= 1
                ratio = min(ratio, 0.5)
            self.switchback.is_suspicious = False
            self.switchback.begin_work(now_s, ratio)
        self._ratio = ratio
        self.is_at_work = True
        hush_s = self.switchback.began_s - now_s
        if self.switchback.is_hush:
            hush_s = max(self.switchback.ends_s - now_s, 0.0)
        elif self.switchback.is_ending(now_s):
            hush_s = LOOK_EVERY_S
        in_gaps = impact.way is Way.IN_GAPS and ratio > 0.05
        return Going(
            ratio,
            min(GAP_TARGET_MS, target_ms) if in_gaps else min(target_ms, profile.busy_target_ms),
            f"clients are here, updates may use {format_ratio(ratio)} of the time",
            gate_s=_LONGEST_GAP_S if in_gaps else 0.0,
            hush_s=hush_s,
            is_comparison=ratio > 0.6,
        )


def highest(softs: Iterable[Soft]) -> Soft:
    """What the soft signals of several databases say together."""
    known = [soft for soft in softs if soft.pressure is not None]
    if not known:
        return Soft(None)
    worst = max(known, key=lambda soft: soft.pressure or 0.0)
    return attrs.evolve(
        worst,
        stale=max(soft.stale for soft in known),
        momentary=max(soft.momentary for soft in known),
    )


def _all_out(reason: str, limits: Limits, target_ms: float) -> Going:
    ratio = _bounded(1.0, limits)
    return _at(ratio, target_ms, f"{reason}: {_percent(ratio)}")


def _at(ratio: float, target_ms: float, reason: str) -> Going:
    return Going(ratio, target_ms, reason, rest_ratio=ratio)


def _bounded(ratio: float, limits: Limits) -> float:
    return max(min(ratio, limits.max_duty_ratio), limits.min_duty_ratio)


def _percent(ratio: float) -> str:
    return f"duty cycle {format_ratio(ratio)}"
