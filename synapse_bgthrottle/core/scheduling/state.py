"""What the throttle remembers, per database and per update. Lost with the process.

What belongs together is one class, and only the methods of that class change it.
"""

import math
from collections.abc import Iterable

import attrs

from synapse_bgthrottle.core.adaptive.controller import Worker
from synapse_bgthrottle.core.adaptive.effort import Impact
from synapse_bgthrottle.core.config.limits import Adaptive, Limits, Rule
from synapse_bgthrottle.core.config.profiles import PROFILES, Profile
from synapse_bgthrottle.core.levers.lever import Levers
from synapse_bgthrottle.core.scheduling.batch_cost import LONGEST_BATCH_S, BatchCost
from synapse_bgthrottle.core.scheduling.decision import Cause, Decision
from synapse_bgthrottle.core.scheduling.effective_limits import EffectiveLimits
from synapse_bgthrottle.core.scheduling.failures import FailureKind
from synapse_bgthrottle.core.scheduling.idle_time import LockWait, Standstill
from synapse_bgthrottle.core.signals.samples import DatabaseSample
from synapse_bgthrottle.core.signals.signal_set import SignalSet


@attrs.frozen
class Facts:
    """What the server is like.

    Attributes:
        cores: of this machine.
        sees_requests: whether clients' requests come to this process.
        databases: names of all.
        sqlite_databases: names of those that are SQLite.
    """

    cores: int = 1
    sees_requests: bool = True
    databases: frozenset[str] = frozenset()
    sqlite_databases: frozenset[str] = frozenset()


@attrs.define
class DatabaseState:
    """What counts for a whole database, where one update runs at a time.

    Attributes:
        batch_end_s: when the last batch ended (or the first was asked for), monotonic.
        signal_set: what the signals say of it.
        longest_batch_s: how long a fixed cost may make a batch.
        batch_s: how long that batch took, without waits for locks; None before the first.
        update_name: the update whose iteration came last.
        has_ended: whether that update has left the queue.
        is_open: whether an iteration waits or runs.
        failures: failed iterations in a row, as Synapse's loop counts them.
        has_failed: whether the last batch did, whatever loop it was of.
        failure_kind: why the last of them failed.
    """

    batch_end_s: float
    signal_set: SignalSet
    longest_batch_s: float = LONGEST_BATCH_S
    batch_s: float | None = None
    update_name: str = ""
    has_ended: bool = False
    is_open: bool = False
    failures: int = 0
    has_failed: bool = False
    failure_kind: FailureKind = FailureKind.OTHER

    def begin(self, update_name: str) -> bool:
        """An iteration of this update begins; answers whether it has come to the queue's head."""
        self.is_open = True
        is_new = self.update_name != update_name or self.has_ended
        self.update_name, self.has_ended = update_name, False
        return is_new

    def batch_ended(self, now_s: float, batch_s: float, *, failed: bool) -> None:
        """A batch ended, which worked for so long."""
        self.is_open = False
        self.batch_end_s, self.batch_s = now_s, batch_s
        self.failures = self.failures + 1 if failed else 0
        self.has_failed = failed

    def failed(self, kind: FailureKind) -> None:
        """This is why the batch that ended failed."""
        self.failure_kind = kind

    def forget_failures(self) -> None:
        """Synapse's next loop counts failures in a row from none."""
        self.failures = 0

    def leave(self) -> None:
        """The iteration was cancelled: the server ends."""
        self.is_open = False

    def update_ended(self, update_name: str) -> None:
        """This update has left the queue: should it come again, it is new."""
        if self.update_name == update_name:  # or else another one has begun
            self.has_ended = True


@attrs.define
class LastDecision:
    """The last decision about an update.

    Attributes:
        decision: None before the first.
        at_s: when that was decided.
        since_s: since when that hold, or the going on without any, lasts.
    """

    decision: Decision | None = None
    at_s: float = 0.0
    since_s: float = 0.0

    @property
    def cause(self) -> Cause | None:
        """Why it waits or runs; None before the first."""
        return None if self.decision is None else self.decision.cause

    @property
    def hold(self) -> Cause | None:
        """What holds the update; None: nothing does."""
        return self.cause if self.cause is not None and self.cause.is_hold else None

    def note(self, decision: Decision, now_s: float) -> None:
        """This is decided now."""
        is_first, before = self.decision is None, self.hold
        self.decision, self.at_s = decision, now_s
        if is_first or self.hold is not before:
            self.since_s = now_s


@attrs.define
class HoldClock:
    """Since when an update is held by what does not hold it for ever.

    Attributes:
        since_s: since when by closed windows and by closed budgets, which `max_hold` ends.
        has_outlasted: whether one of them has held it for `max_hold`, so that it goes on slowly.
        is_window_open: whether its windows are open.
        pressures_since_s: since when a one-shot waits for low pressures; None: it does not.
    """

    since_s: dict[Cause, float] = attrs.field(factory=dict)
    has_outlasted: bool = False
    is_window_open: bool = True
    pressures_since_s: float | None = None

    def for_s(self, cause: Cause, now_s: float) -> float:
        """For how long this has held it."""
        return now_s - self.since_s.get(cause, now_s)

    def begin_anew(self) -> None:
        """The update has come to the head of the queue, perhaps again."""
        self.since_s.clear()
        self.has_outlasted = False
        self.pressures_since_s = None

    def see(self, *, is_window_open: bool, is_budget_open: bool) -> None:
        """What is open holds the update anew the next time that it closes."""
        self.is_window_open = is_window_open
        if is_window_open:
            self.since_s.pop(Cause.WINDOW, None)
        if is_budget_open:
            self.since_s.pop(Cause.BUDGET, None)
        if not self.since_s:
            self.has_outlasted = False

    def hold(self, cause: Cause, now_s: float) -> None:
        """This holds it, perhaps already for a while."""
        self.since_s.setdefault(cause, now_s)

    def outlast(self, cause: Cause, now_s: float) -> None:
        """This has held it for `max_hold`, and does so no longer."""
        self.hold(cause, now_s)
        self.has_outlasted = True

    def let_go_by_hand(self) -> None:
        """Somebody released it, so that it does not go on slowly."""
        self.has_outlasted = False

    def leave_out(self, cause: Cause, passed_s: float) -> None:
        """This time does not count as held by this cause."""
        if cause in self.since_s:
            self.since_s[cause] += passed_s

    def wait_for_pressures(self, now_s: float) -> None:
        """A one-shot waits for low pressures, perhaps already for a while."""
        if self.pressures_since_s is None:
            self.pressures_since_s = now_s

    def leave_out_of_pressures(self, passed_s: float) -> None:
        """This time does not count as a wait for low pressures."""
        if self.pressures_since_s is not None:
            self.pressures_since_s += passed_s

    def end_wait_for_pressures(self) -> None:
        """The wait for low pressures is over, or begins anew later."""
        self.pressures_since_s = None


@attrs.define
class ReleaseUse:
    """By which releases an update went on: one that it had a batch by lasts until it is done.

    Attributes:
        in_force: ids of those that were in force when it was last let go.
        used: ids of those that it had a batch by.
    """

    in_force: frozenset[str] = frozenset()
    used: frozenset[str] = frozenset()

    def begin_anew(self) -> None:
        """The update has come to the head of the queue, perhaps again."""
        self.in_force = self.used = frozenset()

    def note(self, lever_ids: Iterable[str]) -> None:
        """These are in force while it is let go."""
        self.in_force = frozenset(lever_ids)

    def start(self) -> None:
        """Its batch starts: by them."""
        self.used |= self.in_force


@attrs.define
class BatchClock:
    """The batch that runs, or else the last one.

    Attributes:
        start_s: when the batch that runs started; None: none runs.
        lock_wait: what it waited for somebody's lock.
        standstill: for how long its database stood still.
    """

    start_s: float | None = None
    lock_wait: LockWait = attrs.field(factory=lambda: LockWait(0.0))
    standstill: Standstill = attrs.field(factory=lambda: Standstill(0.0))

    def start(self, now_s: float) -> None:
        """A batch starts."""
        self.start_s = now_s
        self.lock_wait, self.standstill = LockWait(now_s), Standstill(now_s)

    def look(self, sample: DatabaseSample) -> None:
        """Its database was looked at while it ran."""
        self.lock_wait.look(sample)
        self.standstill.look(sample)

    def idle_s(self, end_s: float) -> float:
        """What of it, if it ends then, was no work of its own."""
        return self.lock_wait.total_s(end_s) + self.standstill.total_s(end_s)

    def end(self, now_s: float) -> float:
        """It ends; answers when it started."""
        start_s = now_s if self.start_s is None else self.start_s
        self.start_s = None
        return start_s


@attrs.define
class PaceMemory:
    """What an update's pace is, and goes by.

    Attributes:
        duty_ratio: the duty cycle that it allows now; None: it has none, or is not known.
        charged_items: what the last batch counts for the items per second.
    """

    duty_ratio: float | None = None
    charged_items: int = 0
    _charged_s: float = 0.0

    def allow(self, duty_ratio: float | None) -> None:
        """The pace allows this duty cycle now."""
        self.duty_ratio = duty_ratio

    def charge(self, items: int, start_s: float) -> None:
        """The last batch started then, and counts so many items."""
        self.charged_items, self._charged_s = items, start_s

    def free_from_s(self, items_per_second: float) -> float | None:
        """From when this limit lets the next batch start; None: it does not count."""
        if not self.charged_items or math.isinf(items_per_second):
            return None
        return self._charged_s + self.charged_items / items_per_second


@attrs.define
class Totals:
    """What ran so far.

    Attributes:
        batches: how many.
        items: of these, inexact where Synapse does not tell.
        batch_s: the time in them, without waits for locks.
        last_batch_s: how long the last batch took; None before the first.
        waited_s: the time between them, by cause.
    """

    batches: int = 0
    items: int = 0
    batch_s: float = 0.0
    last_batch_s: float | None = None
    waited_s: dict[Cause, float] = attrs.field(factory=dict)

    def copied(self) -> "Totals":
        """The same, which counts no further."""
        return attrs.evolve(self, waited_s=dict(self.waited_s))

    def add_batch(self, items: int, took_s: float, work_s: float) -> None:
        """A batch ended, which took and worked for so long."""
        self.batches += 1
        self.items += items
        self.batch_s += work_s
        self.last_batch_s = took_s

    def add_wait(self, cause: Cause, wait_s: float) -> None:
        """An iteration waited this long for this cause."""
        self.waited_s[cause] = self.waited_s.get(cause, 0.0) + wait_s


@attrs.define
class FailureCount:
    """The batches that failed.

    Attributes:
        count: how many.
        last_message: why the last one did.
        last_wall_s: when that was, in seconds since the epoch.
    """

    count: int = 0
    last_message: str = ""
    last_wall_s: float = 0.0

    def add(self, message: str, wall_s: float) -> None:
        """A batch failed."""
        self.count += 1
        self.last_message, self.last_wall_s = message, wall_s


@attrs.define
class UpdateState:
    """What counts for one update of one database.

    Attributes:
        effective: its limits with the overrides in force in them.
        one_shot: whether it runs in one go, flagged so by Synapse or known to.
        decided: the last decision.
        holds: since when it is held.
        releases: by which releases it went on.
        batch: the batch that runs, or else the last one.
        cost: what its batches cost.
        quiet_cost: what those cost that ran while nobody was there.
        pace: what its pace is, and goes by.
        totals: what ran so far.
        failures: what failed of it.
        impact: what it costs clients; only learned with an adaptive pace.
    """

    effective: EffectiveLimits
    one_shot: bool
    decided: LastDecision = attrs.field(factory=LastDecision)
    holds: HoldClock = attrs.field(factory=HoldClock)
    releases: ReleaseUse = attrs.field(factory=ReleaseUse)
    batch: BatchClock = attrs.field(factory=BatchClock)
    cost: BatchCost = attrs.field(factory=BatchCost)
    quiet_cost: BatchCost = attrs.field(factory=BatchCost)
    pace: PaceMemory = attrs.field(factory=PaceMemory)
    totals: Totals = attrs.field(factory=Totals)
    failures: FailureCount = attrs.field(factory=FailureCount)
    impact: Impact = attrs.field(factory=Impact)

    @property
    def limits(self) -> Limits:
        """The merged limits, with the overrides in force in them."""
        return self.effective.limits

    @property
    def rule(self) -> Rule | None:
        """The rule that gave them; None: the top level."""
        return self.effective.rule

    @property
    def levers(self) -> Levers | None:
        """What was done by hand about it; None: that is to be read yet."""
        return self.effective.levers

    @property
    def decision(self) -> Decision | None:
        """The last decision; None before the first."""
        return self.decided.decision

    @property
    def profile(self) -> Profile:
        """How careful its adaptive pace is."""
        return PROFILES[self.limits.profile]

    @property
    def is_adaptive(self) -> bool:
        """Whether its pace depends on what is measured."""
        return isinstance(self.limits.pace, Adaptive)

    @property
    def worker(self) -> Worker:
        """What the adaptive pace asks of it."""
        return Worker(self.limits, self.impact)

    def copied(self) -> "UpdateState":
        """The same, whose limits may be taken of another moment without a change of this one."""
        return attrs.evolve(self, effective=attrs.evolve(self.effective))

    def begin_anew(self) -> None:
        """It has come to the head of the queue, perhaps again."""
        self.holds.begin_anew()
        self.releases.begin_anew()

    def start_batch(self, now_s: float) -> None:
        """The batch that was decided starts."""
        self.batch.start(now_s)
        self.holds.end_wait_for_pressures()
        self.releases.start()
