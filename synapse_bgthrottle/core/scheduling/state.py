"""What the throttle remembers for each database and each update. It is lost with the process."""

import attrs

from synapse_bgthrottle.core.adaptive.controller import Worker
from synapse_bgthrottle.core.adaptive.effort import Impact
from synapse_bgthrottle.core.config.limits import Adaptive, Limits, Rule
from synapse_bgthrottle.core.config.profiles import PROFILES, Profile
from synapse_bgthrottle.core.levers.lever import Lever, Levers
from synapse_bgthrottle.core.scheduling.batch_cost import LONGEST_BATCH_S, BatchCost
from synapse_bgthrottle.core.scheduling.decision import Cause, Decision
from synapse_bgthrottle.core.scheduling.failures import FailureKind
from synapse_bgthrottle.core.scheduling.idle_time import LockWait, Standstill
from synapse_bgthrottle.core.signals.samples import DatabaseSample
from synapse_bgthrottle.core.signals.signal_set import SignalSet


@attrs.frozen
class Facts:
    """Facts about the server that do not change while it runs."""

    cores: int = 1
    sees_requests: bool = True  # whether clients' requests come to this process
    databases: frozenset[str] = frozenset()
    sqlite_databases: frozenset[str] = frozenset()  # names of those that are SQLite


@attrs.define
class DatabaseState:
    """State of one database, in which one update runs at a time."""

    batch_end_s: float  # end of the last batch, or the first call of `begin` (monotonic)
    signal_set: SignalSet
    longest_batch_s: float = LONGEST_BATCH_S  # how long a fixed cost may make a batch
    batch_s: float | None = None  # the last batch, without waits for locks
    update_name: str = ""  # the update of the last iteration
    has_ended: bool = False  # whether that update has left the queue
    is_open: bool = False  # whether an iteration waits or runs
    failures: int = 0  # failed iterations in a row, counted as Synapse's loop counts them
    has_failed: bool = False  # whether the last batch failed, in a former loop of Synapse too
    failure_kind: FailureKind = FailureKind.OTHER  # why the last failed batch failed

    def begin(self, update_name: str) -> bool:
        """An iteration of this update begins. Return whether it is new at the queue's head."""
        self.is_open = True
        is_new = self.update_name != update_name or self.has_ended
        self.update_name, self.has_ended = update_name, False
        return is_new

    def is_measured(self, head: "UpdateState | None") -> bool:
        """Whether its signals are being measured. If not, their last values are outdated.

        `head` is the update at the head of the queue.
        """
        cause = None if head is None else head.cause
        return self.is_open and cause is not None and not cause.is_unmeasured

    def batch_ended(self, now_s: float, batch_s: float, *, failed: bool) -> None:
        """A batch ended. `batch_s` is the time that it worked."""
        self.is_open = False
        self.batch_end_s, self.batch_s = now_s, batch_s
        self.failures = self.failures + 1 if failed else 0
        self.has_failed = failed


@attrs.define
class HoldClock:
    """Since when holds with a time limit have held an update."""

    # Start of the hold by closed windows and by closed budgets, which `max_hold` limits, and of a
    # one-shot's wait for calm, which has a limit of its own.
    since_s: dict[Cause, float] = attrs.field(factory=dict)
    has_outlasted: bool = False  # windows or budgets reached `max_hold`; it goes on slowly
    is_window_open: bool = True  # whether the update's windows are open

    def for_s(self, cause: Cause, now_s: float) -> float:
        """How many seconds this cause has held the update."""
        return now_s - self.since_s.get(cause, now_s)

    def leave_out(self, cause: Cause, passed_s: float) -> None:
        """Do not count this time as held by this cause."""
        if cause in self.since_s:
            self.since_s[cause] += passed_s


@attrs.define
class BatchClock:
    """The running batch, or the last one."""

    start_s: float | None = None  # start of the running batch, monotonic; None: no batch runs
    lock_wait: LockWait = attrs.field(factory=LockWait)
    standstill: Standstill = attrs.field(factory=Standstill)

    def look(self, sample: DatabaseSample) -> None:
        """A sample of the database was taken while the batch ran."""
        self.lock_wait.look(sample)
        self.standstill.look(sample)

    def idle_s(self, end_s: float) -> float:
        """Seconds of the batch, if it ends at `end_s`, in which it did no work."""
        return self.lock_wait.total_s(end_s) + self.standstill.total_s(end_s)


@attrs.define
class Totals:
    """Sums over the update's batches so far."""

    batches: int = 0
    items: int = 0  # items done; inexact where Synapse does not report them
    batch_s: float = 0.0  # time in batches, without waits for locks
    last_batch_s: float | None = None  # duration of the last batch; None before the first
    waited_s: dict[Cause, float] = attrs.field(factory=dict)  # time between batches, by cause
    failures: int = 0
    last_failure: str = ""  # error of the last one
    last_failure_s: float = 0.0  # its time, since the epoch


@attrs.define
class UpdateState:
    """State of one update of one database."""

    limits: Limits  # merged from all levels, with the overrides in force
    one_shot: bool  # whether it does all its work in one call, by Synapse's flag or by `IN_ONE_GO`
    decision: Decision | None = None
    decided_s: float = 0.0  # time of that decision, monotonic
    decision_since_s: float = 0.0  # since when the same hold lasts, or none does
    holds: HoldClock = attrs.field(factory=HoldClock)
    releases_in_force: frozenset[str] = frozenset()  # ids, when the last batch was allowed
    releases_used: frozenset[str] = frozenset()  # allowed a batch; they count until it ends
    batch: BatchClock = attrs.field(factory=BatchClock)  # the running batch, or the last one
    cost: BatchCost = attrs.field(factory=BatchCost)  # how long its batches take
    quiet_cost: BatchCost = attrs.field(factory=BatchCost)  # the same, without active clients
    duty_ratio: float | None = None  # the duty cycle now; None: the pace has none, or it is unknown
    charged_items: int = 0  # items of the last batch that count for `max_items_per_second`
    charged_s: float = 0.0  # when that batch started
    totals: Totals = attrs.field(factory=Totals)
    impact: Impact = attrs.field(factory=Impact)  # on clients; only with an adaptive pace
    rule: Rule | None = None  # the matching rule; None: the top level
    levers: Levers | None = None  # the levers for this update; None: they have not been read yet
    overrides: tuple[Lever, ...] = ()  # those of them that are merged into `limits`
    chosen_from: Levers | None = None  # the levers of all updates from which `levers` were chosen

    @property
    def cause(self) -> Cause | None:
        """Why it waits or runs; None before the first decision."""
        return None if self.decision is None else self.decision.cause

    @property
    def hold(self) -> Cause | None:
        """The cause that holds the update; None: nothing holds it."""
        return self.cause if self.cause is not None and self.cause.is_hold else None

    @property
    def profile(self) -> Profile:
        """How careful its adaptive pace is."""
        return PROFILES[self.limits.profile]

    @property
    def is_adaptive(self) -> bool:
        """Whether its pace is the adaptive one."""
        return isinstance(self.limits.pace, Adaptive)

    @property
    def worker(self) -> Worker:
        """This update as the adaptive pace sees it."""
        return Worker(self.limits, self.impact)

    def note(self, decision: Decision, now_s: float) -> None:
        """Record a decision that is made now."""
        is_first, before = self.decision is None, self.hold
        self.decision, self.decided_s = decision, now_s
        if is_first or self.hold is not before:
            self.decision_since_s = now_s
