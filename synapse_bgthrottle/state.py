"""What the throttle remembers, per database and per update. Lost with the process."""

import math

import attrs

from synapse_bgthrottle.board import Board
from synapse_bgthrottle.decision import Cause, Decision
from synapse_bgthrottle.harm import Harm
from synapse_bgthrottle.limits import Adaptive, Limits, Rule
from synapse_bgthrottle.pacing import BatchSizer
from synapse_bgthrottle.profiles import PROFILES, Profile

# Where requests cannot be seen, there are no gaps to be found: less to start from.
_BLIND_START = 0.25


@attrs.define
class DatabaseState:
    """What counts for a whole database, where one update runs at a time.

    Attributes:
        batch_end_s: when the last batch ended (or the first was asked for), monotonic.
        batch_s: how long it took; None before the first.
        failures: failed iterations in a row.
        update_name: the update whose iteration came last.
        board: what the signals say of it.
        is_open: whether an iteration waits or runs.
    """

    batch_end_s: float
    board: Board
    batch_s: float | None = None
    failures: int = 0
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
        next_start_s: not before this may the next batch start, to keep the items per second.
        held_since_s: since when it is held, by cause; only those that `max_hold` ends.
        released: whether one of them held it for longer than `max_hold`.
        decision: the last one.
        harm: what it is known to cost clients; only learned with an adaptive pace.
        quiet_item_ms: what an item costs while nobody else is there.
        batch_start_s: when the batch that now runs started; None: none runs.
        batches, items, batch_s: what ran so far. `items` is inexact where Synapse does not tell.
        waited_s: seconds waited so far, by cause.
    """

    limits: Limits
    rule: Rule | None
    one_shot: bool
    sees_requests: bool = True
    sizer: BatchSizer = attrs.field(factory=BatchSizer)
    target_scale: float = 1.0
    next_start_s: float = -math.inf
    held_since_s: dict[Cause, float] = attrs.field(factory=dict)
    released: bool = False
    decision: Decision | None = None
    quiet_item_ms: float | None = None
    batch_start_s: float | None = None
    batches: int = 0
    items: int = 0
    batch_s: float = 0.0
    waited_s: dict[Cause, float] = attrs.field(factory=dict)
    harm: Harm = attrs.field(init=False)

    @harm.default
    def _nothing_known(self) -> Harm:
        start_ratio = self.profile.busy_duty_ratio * (1 if self.sees_requests else _BLIND_START)
        return Harm(start_ratio, self.profile.tolerance_ratio)

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
