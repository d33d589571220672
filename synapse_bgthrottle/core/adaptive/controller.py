"""The adaptive pace: from measurements to moments with and without batches. Pure.

The first question is whether any client is active (`client_activity`). If none is, batches follow
each other without rest. Each takes D = min(100 a, 0.04 * quiet time, 1 s), and at least the target:
so a batch's fixed cost a (`batch_cost`) is a hundredth of it. If a client is active, experiments
tell what the update costs clients.

**An experiment** (`experiment`) is a moment of work, in which batches follow each other, and then a
moment without batches. Which moment is which does not depend on the load (a switchback experiment:
Bojinov, Simchi-Levi, Zhao, 2023). With a share u of the time for work,

    W = 1.5 s, H = W (1/u - 1)                  up to u = 0.6; H is 30 s at most, and W then less
    H = 1 s,   W = H u / (1 - u)                above

Caution is in the lengths, never in the contrast. An experiment's variance is q (1/W + 1/H). Until a
slope s is known to z errors, at a contrast x, clients pay z^2 q / (s (x - u)): least at x = 1.

**What it costs** (`impact_model`): a regression says that log latencies are higher by s at full
work, with an error SE that is judged by how much experiments differ. Two of five updates harm
nobody, so that s is less than what experiments show until luck is unlikely. A CUSUM (Page, 1954)
says when s has changed.

**How much of the time** (`effort`), for the tolerance T of the profile:

    budget      B = max(T, 0.1 (s - SE/2) of work back to back)   as much harm as by stock, or T
    debt        D = sum of (s - SE/2) * time worked - B * time     with a memory of 180 s, >= 0
    optimism    z = max(1 - D / 0.5 s, 0)                         -0.5 if B is below 3 %
    share       u = max(B - D / 90 s, 0.3 B) / max(s - z SE, B)
    at most     u = 1 / (1 + (s + SE) / 0.35), and 0.95; 1/3 in doubt and while SE > 0.1
    at least    what does as much as stock Synapse, unless the profile is gentler than stock

So an update counts as harmless until the opposite is proven (optimism in the face of uncertainty,
UCB: Auer, Cesa-Bianchi, Fischer, 2002). Two bounds keep the proof cheap. No moment of work may cost
more than 0.35 s of requests that take twice as long, even if s is an error larger than it seems.
And half a second of debt ends the optimism.

**In which way**: batches of the target's length back to back, or batches of 25 ms that each begin
when no request is in flight. A request that meets a batch on the event loop waits for its end
(Fuhrmann and Cooper, 1985, on queues with vacations), so in gaps an item costs clients about half.
Where nobody is harmed, gaps only cost speed. The way with the greatest v B / max(s - 2 SE, B) is
used, by its speed v in items a second, which counts as that of batches until it was tried for some
seconds. A tenth of the budget is for moments of a quicker way that
seems to harm: it may not do so any more.

**Suspicion**: where the last 3 s of a long moment of work are slower than earlier work by 2.5
standard deviations, the moment ends at once. What is usual, and how much such seconds differ, is
learned slowly, so that harm does not hide behind itself. The CUSUM counts it as 3.5, so that short
experiments follow until it is known whether s has changed.

**Pressure** (`pressure_controller`): what is short while no batch of ours runs is somebody else's
load. It bounds the share, down to `min_duty_cycle`; stock never yields.

**Workers**: if no request comes to this process, the database's answers are compared. Such a
question is about a third of a request, so a request is slower by a third of what questions are.
"""

import math
from collections.abc import Iterable, Mapping, Sequence

import attrs

from synapse_bgthrottle.core.adaptive.client_activity import ClientActivity
from synapse_bgthrottle.core.adaptive.effort import Impact, Way
from synapse_bgthrottle.core.adaptive.experiment import LARGEST_TRIAL_RATIO, Switchback, Turn
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

# A batch in a gap, and how long a gap is waited for. Below the least ratio there is no time for it.
GAP_TARGET_MS = 25.0
LONGEST_GAP_S = 0.5
_LEAST_GAP_RATIO = 0.05

_QUESTION_SHARE = 1 / 3

# After a longer time without clients experiments begin anew.
_LONG_QUIET_S = 5.0

# While nobody is there: the fixed cost as a share of a batch, and how long a batch is at most, by
# how long nobody has been there and in all. A client who comes waits for half of it.
_QUIET_OVERHEAD = 0.01
_QUIET_SHARE = 0.04
_LONGEST_QUIET_BATCH_S = 1.0


@attrs.frozen
class Worker:
    """An update at work: its limits, and what is known of it."""

    limits: Limits
    impact: Impact

    @property
    def profile(self) -> Profile:
        """How careful it is."""
        return PROFILES[self.limits.profile]

    @property
    def is_careful(self) -> bool:
        """Whether it asks what it costs clients."""
        return self.profile.is_careful


@attrs.frozen
class Going:
    """How to go on now."""

    ratio: float  # share of the time that is for work
    target_ms: float  # wanted duration of the next batch
    reason: str  # why, for people
    # Duty cycle that is kept by a rest after each batch; 1 where experiments keep it.
    rest_ratio: float = 1.0
    gate_s: float = 0.0  # how long to wait for a gap between requests
    # How long there will be no batch at all; negative: for how long there may be some.
    wait_s: float = -math.inf
    rest_s: float = 0.0  # how long that is from its beginning
    is_comparison: bool = False  # whether that is for the comparison's sake alone
    is_experiment: bool = False  # whether this is a part of an experiment
    # How many updates share that: each rests within the moments for the others, so that all
    # together do no more than one alone, and no batch of this one makes moments longer.
    sharers: int = 1


@attrs.define
class Pacer:
    """What all databases of one server share: its clients, and how much of the time is work."""

    activity: ClientActivity = attrs.field(factory=ClientActivity)  # whether anybody is there
    switchback: Switchback = attrs.field(factory=Switchback)  # moments with and without batches
    law: SoftLaw = attrs.field(factory=SoftLaw)  # the duty cycle that soft pressures allow
    soft: Soft = attrs.field(factory=lambda: Soft(None))  # what the soft signals said last
    sees_requests: bool = True  # whether clients' requests come to this process
    _calm_since_s: float | None = None
    _looked_s: float = -math.inf
    _quiet_since_s: float | None = None

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
        at_work: Sequence[Worker],
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
        quiet_after_s = min((worker.profile.quiet_after_s for worker in at_work), default=0.0)
        is_ours = not self.switchback.is_clean(now_s - self.switchback.look_s)
        if not (is_ours or self.activity.is_quiet(now_s, quiet_after_s)):
            least = min((worker.limits.min_duty_ratio for worker in at_work), default=0.0)
            used = max((self._allowed(worker) for worker in at_work), default=1.0)
            self.law.step(soft, least, used)

    def go(
        self,
        worker: Worker,
        at_work: Sequence[Worker],
        target_ms: float,
        now_s: float,
        fixed_s: float = 0.0,
    ) -> Going:
        """How to go on with this update.

        Args:
            worker: the update.
            at_work: all updates that work now, this one among them.
            target_ms: duration of its batches at most.
            now_s: the time.
            fixed_s: what each of its batches costs, whatever its size.
        """
        limits, profile = worker.limits, worker.profile
        if not worker.is_careful:
            return _all_out("as fast as budgets allow", limits, target_ms)
        if self.activity.is_quiet(now_s, profile.quiet_after_s):
            if self._quiet_since_s is None:
                self._quiet_since_s = now_s
            quiet_s = self.activity.quiet_for_s(now_s)
            seen = "no client seen so far"
            if math.isfinite(quiet_s):
                seen = f"no client for {format_duration_ms(quiet_s * 1000)}"
            quiet_s = min(quiet_s, self.activity.watched_for_s(now_s))
            most_s = min(_QUIET_SHARE * quiet_s, _LONGEST_QUIET_BATCH_S)
            wanted_ms = 1000 * min(fixed_s / _QUIET_OVERHEAD, most_s)
            return _all_out(seen, limits, max(target_ms, wanted_ms))
        self._end_quiet(now_s)
        if self.soft.pressure is None or now_s - self._looked_s > _BLIND_AFTER_S:
            ratio = _bounded(BLIND_RATIO, limits)
            why = f"nothing can be measured, updates may use {format_ratio(ratio)} of the time"
            return Going(ratio, target_ms, why, rest_ratio=ratio)
        return self._among_clients(worker, at_work, target_ms, now_s)

    def _end_quiet(self, now_s: float) -> None:
        if self._quiet_since_s is None:
            return
        passed_s, self._quiet_since_s = now_s - self._quiet_since_s, None
        if passed_s > _LONG_QUIET_S:
            self.switchback.restart()
        else:
            self.switchback.stand_still(passed_s)

    def _among_clients(
        self, worker: Worker, at_work: Sequence[Worker], target_ms: float, now_s: float
    ) -> Going:
        turn = self.switchback.turn(now_s, self._ratio(at_work))
        if turn is not None:
            self._learn(turn, at_work, now_s)
            way = worker.impact.choose(self._budget(worker), has_gaps=self.sees_requests)
            for other in at_work:
                other.impact.way = way
            self.switchback.begin_work(now_s, self._ratio(at_work))
        ratio, switchback = self._ratio(at_work), self.switchback
        wait_s = switchback.began_s - now_s
        if switchback.is_rest:
            wait_s = max(switchback.ends_s - now_s, 0.0)
        elif switchback.is_ending(now_s):
            wait_s = LOOK_EVERY_S
        in_gaps = worker.impact.way is Way.IN_GAPS and ratio > _LEAST_GAP_RATIO
        return Going(
            ratio,
            min(GAP_TARGET_MS if in_gaps else worker.profile.busy_target_ms, target_ms),
            self._reason(ratio),
            gate_s=LONGEST_GAP_S if in_gaps else 0.0,
            wait_s=wait_s,
            rest_s=switchback.ends_s - switchback.began_s,
            is_comparison=ratio > LARGEST_TRIAL_RATIO,
            is_experiment=True,
            rest_ratio=1 / len(at_work),
            sharers=len(at_work),
        )

    def _learn(self, turn: Turn, at_work: Sequence[Worker], now_s: float) -> None:
        """All that worked learn what all of them cost together, whoever asked first."""
        share = 1.0 if self.sees_requests else _QUESTION_SHARE
        for worker in at_work:
            worker.impact.turned(turn.work_s, turn.rest_s)
            if turn.is_suspicious:
                worker.impact.current.model.suspect()
            if turn.result is not None:
                model = worker.impact.current.model
                difference, variance = turn.result.difference, turn.result.variance
                model.learn(now_s, difference * share, variance * share**2)

    def _budget(self, worker: Worker) -> float:
        profile = worker.profile
        return worker.impact.budget_ratio(profile.tolerance_ratio, like_stock=profile.like_stock)

    def _allowed(self, worker: Worker) -> float:
        if not worker.is_careful:
            return worker.limits.max_duty_ratio
        budget = self._budget(worker)
        effort = worker.impact.effort(budget, like_stock=worker.profile.like_stock)
        return _bounded(effort, worker.limits)

    def _ratio(self, at_work: Sequence[Worker]) -> float:
        """The share of the time that all of them may use: they work in the same moments."""
        return min(
            _bounded(min(self._allowed(worker), self.law.ratio), worker.limits)
            for worker in at_work
            if worker.is_careful
        )

    def _reason(self, ratio: float) -> str:
        may = f"updates may use {format_ratio(round(ratio, 3))} of the time"
        if self.law.ratio > ratio:
            return f"clients are here, {may}"
        pressure = self.soft.pressure or 0.0
        if self.soft.stale and pressure < 1:
            return f"{self.soft.stale} is not read any more, {may}"
        if pressure < LOW_PRESSURE:
            return f"speeding up again, {may}"
        return f"{self.soft.name} is at {pressure:.2f} times its limit, {may}"


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
    why = f"{reason}, updates may use {format_ratio(ratio)} of the time"
    return Going(ratio, target_ms, why, rest_ratio=ratio)


def _bounded(ratio: float, limits: Limits) -> float:
    return max(min(ratio, limits.max_duty_ratio), limits.min_duty_ratio)
