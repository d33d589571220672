"""What the throttle remembers, per database and per update. Lost with the process."""

import math

import attrs

from synapse_bgthrottle.decision import Cause, Decision
from synapse_bgthrottle.limits import Adaptive, Limits, Rule
from synapse_bgthrottle.pacing import BatchSizer


@attrs.define
class DatabaseState:
    """What counts for a whole database, where one update runs at a time.

    Attributes:
        batch_end_s: when the last batch ended (or the first was asked for), monotonic.
        batch_s: how long it took; None before the first.
        failures: failed iterations in a row.
        update_name: the update whose iteration came last.
        active_s: when a request was last seen; only for an adaptive pace.
        looked_s: when requests were last looked for.
        requests_received: how many had come in by then.
    """

    batch_end_s: float
    batch_s: float | None = None
    failures: int = 0
    update_name: str = ""
    active_s: float = -math.inf
    looked_s: float = -math.inf
    requests_received: int = 0


@attrs.define
class UpdateState:
    """What counts for one update of one database.

    Attributes:
        limits: the merged limits.
        rule: the rule that gave them; None: the top level.
        one_shot: whether it runs in one go, flagged so by Synapse or known to.
        sizer: exact batch sizes, where the limits need them.
        target_scale: what to multiply the target duration by where they do not.
        next_start_s: not before this may the next batch start, to keep the items per second.
        held_since_s: since when closed windows hold it.
        released: whether closed windows held it for longer than `max_hold`.
        decision: the last one.
        batch_start_s: when the batch that now runs started; None: none runs.
        batches, items, batch_s: what ran so far. `items` is inexact where Synapse does not tell.
        waited_s: seconds waited so far, by cause.
    """

    limits: Limits
    rule: Rule | None
    one_shot: bool
    sizer: BatchSizer = attrs.field(factory=BatchSizer)
    target_scale: float = 1.0
    next_start_s: float = -math.inf
    held_since_s: float | None = None
    released: bool = False
    decision: Decision | None = None
    batch_start_s: float | None = None
    batches: int = 0
    items: int = 0
    batch_s: float = 0.0
    waited_s: dict[Cause, float] = attrs.field(factory=dict)

    @property
    def is_exact(self) -> bool:
        """Whether the size of its batches is set here, not by Synapse from the target."""
        return self.limits.is_exact and not self.one_shot

    @property
    def is_adaptive(self) -> bool:
        """Whether its pace depends on the requests in flight."""
        return isinstance(self.limits.pace, Adaptive)
