"""What the throttle remembers, per database and per update. Lost with the process."""

import math

import attrs

from synapse_bgthrottle.board import Board
from synapse_bgthrottle.decision import Cause, Decision
from synapse_bgthrottle.failures import FailureKind
from synapse_bgthrottle.harm import Harm
from synapse_bgthrottle.idle_time import LockWait, Standstill
from synapse_bgthrottle.levers import Lever, Levers
from synapse_bgthrottle.limits import Adaptive, Limits, Rule
from synapse_bgthrottle.pacing import LARGEST_SCALE, BatchSizer
from synapse_bgthrottle.profiles import PROFILES, Profile
from synapse_bgthrottle.signals.samples import DatabaseSample

# Where requests cannot be seen, there are no gaps to be found: less to start from.
_BLIND_START = 0.5


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
        batch_s: how long it took, without waits for locks; None before the first.
        hushed_s: how much of the time before its end was hushes, of all comparisons.
        has_ended: whether the update whose iteration came last has left the queue.
        failures: failed iterations in a row, as Synapse's loop counts them.
        has_failed: whether the last batch did, whatever loop it was of.
        failure_kind: why the last of them failed.
        update_name: the update whose iteration came last.
        board: what the signals say of it.
        is_open: whether an iteration waits or runs.
    """

    batch_end_s: float
    board: Board
    batch_s: float | None = None
    hushed_s: float = 0.0
    has_ended: bool = False
    failures: int = 0
    has_failed: bool = False
    failure_kind: FailureKind = FailureKind.OTHER
    update_name: str = ""
    is_open: bool = False


@attrs.define
class UpdateState:
    """What counts for one update of one database.

    Attributes:
        limits: the merged limits.
        rule: the rule that gave them; None: the top level.
        one_shot: whether it runs in one go, flagged so by Synapse or known to.
        sees_requests: whether requests can be seen, so that there are gaps to be found.
        sizer: exact batch sizes, where the limits need them.
        target_scale: what to multiply the target duration by where they do not.
        target_ceiling: upper bound of that, after failures.
        charged_items: what the last batch counts for the items per second; 0 where it had no limit.
        charged_s: when that batch started.
        held_since_s: since when it is held, by cause; only those that `max_hold` ends.
        is_window_open: whether its windows are open.
        calm_since_s: since when pressures are waited for, of a one-shot; None: they are not.
        released: whether one of them held it for longer than `max_hold`.
        let_go_by: the releases (their ids) that were in force when it was last let go.
        went_by: those of them that it had a batch by.
        decision: the last one.
        decided_s: when that was decided.
        since_s: since when that hold, or the going on without any, lasts.
        levers: what was done by hand about it; None: that is to be read yet.
        levers_seen: what they were chosen from.
        overrides: those of them that `limits` has in it.
        quiet_item_ms: what an item costs while nobody else is there.
        duty_ratio: the duty cycle that its pace allows now; None: it has none, or is not known.
        batch_start_s: when the batch that now runs started; None: none runs.
        lock_wait: what that batch, or else the last one, waited for somebody's lock.
        standstill: for how long its database stood still.
        batches, items, batch_s: what ran so far, without waits for locks. `items` is inexact where
            Synapse does not tell.
        last_batch_s: how long the last batch took; None before the first.
        failures: how many of them failed.
        last_failure: the message of the last failure.
        last_failure_wall_s: when that was, in seconds since the epoch.
        waited_s: seconds waited so far, by cause.
    """

    limits: Limits
    rule: Rule | None
    one_shot: bool
    sees_requests: bool = True
    sizer: BatchSizer = attrs.field(factory=BatchSizer)
    target_scale: float = 1.0
    target_ceiling: float = LARGEST_SCALE
    charged_items: int = 0
    charged_s: float = -math.inf
    held_since_s: dict[Cause, float] = attrs.field(factory=dict)
    is_window_open: bool = True
    calm_since_s: float | None = None
    released: bool = False
    let_go_by: frozenset[str] = frozenset()
    went_by: frozenset[str] = frozenset()
    decision: Decision | None = None
    decided_s: float = 0.0
    since_s: float = 0.0
    levers: Levers | None = None
    levers_seen: Levers | None = None
    overrides: tuple[Lever, ...] = ()
    quiet_item_ms: float | None = None
    duty_ratio: float | None = None
    batch_start_s: float | None = None
    lock_wait: LockWait = attrs.field(factory=lambda: LockWait(0.0))
    standstill: Standstill = attrs.field(factory=lambda: Standstill(0.0))
    batches: int = 0
    items: int = 0
    batch_s: float = 0.0
    last_batch_s: float | None = None
    failures: int = 0
    last_failure: str = ""
    last_failure_wall_s: float = 0.0
    waited_s: dict[Cause, float] = attrs.field(factory=dict)
    _harm: dict[str, Harm] = attrs.field(factory=dict, init=False)

    @property
    def harm(self) -> Harm:
        """What it is known to cost clients; only learned with an adaptive pace.

        How much they may be asked to bear is the profile's, so each profile learns for itself.
        """
        name, profile = self.limits.profile, self.profile
        if name not in self._harm:
            start_ratio = profile.start_duty_ratio * (1 if self.sees_requests else _BLIND_START)
            self._harm[name] = Harm(start_ratio, profile.tolerance_ratio)
        return self._harm[name]

    def look(self, sample: DatabaseSample) -> None:
        """Its database was looked at while its batch ran."""
        self.lock_wait.look(sample)
        self.standstill.look(sample)

    def idle_s(self, end_s: float) -> float:
        """Of its batch, that ended then: what was no work of its own."""
        return self.lock_wait.total_s(end_s) + self.standstill.total_s(end_s)

    def note(self, decision: Decision, now_s: float) -> None:
        """This was decided for it."""
        before, self.decision, self.decided_s = self.decision, decision, now_s
        holds = decision.cause if decision.cause.is_hold else None
        held = before.cause if before is not None and before.cause.is_hold else None
        if before is None or holds is not held:
            self.since_s = now_s

    @property
    def profile(self) -> Profile:
        """How careful its adaptive pace is."""
        return PROFILES[self.limits.profile]

    @property
    def is_exact(self) -> bool:
        """Whether the size of its batches is set here, not by Synapse from the target."""
        return self.limits.is_exact and not self.one_shot

    @property
    def is_adaptive(self) -> bool:
        """Whether its pace depends on what is measured."""
        return isinstance(self.limits.pace, Adaptive)
