"""After a batch: record its duration, learn from it, and count it. Pure."""

import attrs

from synapse_bgthrottle.core.adaptive.client_activity import ClientActivity
from synapse_bgthrottle.core.scheduling import pacing
from synapse_bgthrottle.core.scheduling.state import DatabaseState, UpdateState
from synapse_bgthrottle.core.signals.samples import BatchSample


@attrs.frozen
class EndedBatch:
    """A batch that has ended.

    Attributes:
        start_s, end_s: when it started and ended, monotonic.
        items: items that it did; None: unknown.
        failed: whether it raised an exception.
    """

    start_s: float
    end_s: float
    items: int | None
    failed: bool

    @property
    def took_s(self) -> float:
        return max(self.end_s - self.start_s, 0.0)


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
    work_s = pacing.work_s(batch.took_s, idle_s, update.limits.target_duration_ms)
    database.batch_ended(batch.end_s, work_s, failed=batch.failed)
    # Idle time is not measured to the millisecond: after a long one, the rest is mostly error.
    teaches = not batch.failed and idle_s <= work_s
    asked_items = _asked_items(update)
    done_items = _done_items(batch, asked_items)
    _charge(update, batch, asked_items)
    update.sizes.bound(failed=batch.failed)
    if teaches:
        _learn_size(update, asked_items, work_s)
        if done_items and not update.one_shot:
            _compare_with_quiet(database, update, activity, batch.end_s, work_s * 1000 / done_items)
    if update.impact.is_measured:
        did = done_items if batch.items is not None or asked_items is not None else None
        update.impact.current.did(did, work_s)
    update.totals.add_batch(done_items, batch.took_s, work_s)


def _asked_items(update: UpdateState) -> int | None:
    """The decided batch size; None: Synapse chose it from the target duration."""
    decision = update.decision  # the limits may have changed since that decision
    return decision.min_batch_items if decision is not None and decision.is_exact else None


def _done_items(batch: EndedBatch, asked_items: int | None) -> int:
    """The items done, as far as known. A failed batch did not do what was requested."""
    if batch.items is None and not batch.failed:
        return asked_items or 0
    return batch.items or 0


def _charge(update: UpdateState, batch: EndedBatch, asked_items: int | None) -> None:
    """Charge the items to `max_items_per_second`. Some handlers do more than requested."""
    if asked_items is None:
        update.pace.charge_nothing()
    else:  # some handlers report less than they did
        update.pace.charge(max(batch.items or 0, asked_items), batch.start_s)


def _learn_size(update: UpdateState, asked_items: int | None, work_s: float) -> None:
    if asked_items is not None:
        update.sizes.learn_items(asked_items, update.pace.charged_items, work_s)
    elif update.decision is not None and update.totals.batches:
        # The first batch's size does not depend on the target.
        update.sizes.learn_target(update.decision.target_ms, work_s)


def _compare_with_quiet(
    database: DatabaseState,
    update: UpdateState,
    activity: ClientActivity,
    now_s: float,
    item_ms: float,
) -> None:
    if activity.is_quiet(now_s, update.profile.quiet_after_s):
        update.pace.learn_quiet_item(item_ms)
    elif update.pace.quiet_item_ms:
        slowdown = item_ms / update.pace.quiet_item_ms
        database.signal_set.observe(BatchSample(at_s=now_s, slowdown=slowdown))
