"""After a batch: record its duration, learn from it, and count it. Pure."""

import attrs

from synapse_bgthrottle.core.adaptive.client_activity import ClientActivity
from synapse_bgthrottle.core.scheduling.state import DatabaseState, UpdateState
from synapse_bgthrottle.core.signals.samples import BatchSample


@attrs.frozen
class EndedBatch:
    """A batch that has ended.

    Attributes:
        start_s, end_s: when it started (None: unknown) and ended, monotonic.
        items: items that it did; None: unknown.
        failed: whether it raised an exception.
    """

    start_s: float | None
    end_s: float
    items: int | None
    failed: bool

    @property
    def took_s(self) -> float:
        return 0.0 if self.start_s is None else max(self.end_s - self.start_s, 0.0)


def settle(
    database: DatabaseState, update: UpdateState, activity: ClientActivity, batch: EndedBatch
) -> None:
    """Account for a batch that has ended.

    Args:
        database: the update's database.
        update: the update.
        activity: knows whether clients were active.
        batch: the batch.
    """
    idle_s = update.batch.idle_s(batch.end_s)
    worked_s = work_s(batch.took_s, idle_s, update.limits.target_duration_ms)
    database.batch_ended(batch.end_s, worked_s, failed=batch.failed)
    # The limits may be others than when the batch was decided.
    asked_items = update.decision.items if update.decision is not None else 0
    # Some handlers do more than they are asked to, and some say less than they did.
    charged_items = 0 if update.one_shot else max(batch.items or 0, asked_items)
    update.pace.charge(charged_items, batch.end_s if batch.start_s is None else batch.start_s)
    # Idle time is not measured to the millisecond: after a long one, the rest is mostly error.
    teaches = not batch.failed and batch.start_s is not None and idle_s <= worked_s
    if teaches and asked_items and not update.one_shot:
        update.cost.record(asked_items, worked_s)
        _compare_with_quiet(database, update, activity, batch.end_s, worked_s)
    if update.impact.is_measured:
        unknown = None if update.one_shot else asked_items * (not batch.failed)
        update.impact.current.did(unknown if batch.items is None else batch.items, worked_s)
    update.totals.add_batch(batch.items or 0, batch.took_s, worked_s)


def work_s(took_s: float, idle_s: float, target_ms: float) -> float:
    """What of a batch is paid for with a rest: not its wait for somebody's lock, nor a standstill.

    One that waited counts as one on target at least, because it is not seen exactly how long it
    did.
    """
    return max(took_s - idle_s, min(took_s, target_ms / 1000))


def _compare_with_quiet(
    database: DatabaseState,
    update: UpdateState,
    activity: ClientActivity,
    now_s: float,
    worked_s: float,
) -> None:
    items, quiet = update.cost.last_items, update.quiet_cost
    if activity.is_quiet(now_s, update.profile.quiet_after_s):
        quiet.record(items, worked_s)
    elif quiet.batches:
        slowdown = worked_s / quiet.expected_s(items)
        database.signal_set.observe(BatchSample(at_s=now_s, slowdown=slowdown))
