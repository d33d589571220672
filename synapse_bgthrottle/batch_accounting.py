"""What a batch that has ended leaves: the rest to pay, what it teaches, and counts. Pure."""

from synapse_bgthrottle import pacing
from synapse_bgthrottle.presence import Presence
from synapse_bgthrottle.signals.samples import BatchSample
from synapse_bgthrottle.state import DatabaseState, UpdateState

# Of the time per item while nobody is there, for each batch then.
_QUIET_ITEM_SHARE = 0.2


def settle(
    database: DatabaseState,
    update: UpdateState,
    presence: Presence,
    now_s: float,
    items: int | None,
    *,
    failed: bool,
) -> None:
    """A batch of this update ended now.

    Args:
        database: where.
        update: whose.
        presence: whether anybody was there.
        now_s: the time.
        items: what it did; None: that is not known.
        failed: whether it raised.
    """
    start_s = now_s if update.batch_start_s is None else update.batch_start_s
    took_s = max(now_s - start_s, 0.0)
    idle_s = update.idle_s(now_s)
    update.batch_start_s = None
    database.is_open = False
    work_s = pacing.work_s(took_s, idle_s, update.limits.target_duration_ms)
    database.batch_end_s, database.batch_s = now_s, work_s
    database.failures = database.failures + 1 if failed else 0
    database.has_failed = failed
    update.target_ceiling = pacing.target_ceiling(update.target_ceiling, failed=failed)
    update.charged_items = 0
    # How long it was is not seen to the ms: what is left may be mostly error.
    teaches = not failed and idle_s <= work_s
    decision = update.decision  # the limits may be others than when the batch was decided
    if decision is not None and decision.is_exact:
        asked_items = decision.min_batch_items
        # Some handlers do more than they are asked to, and some say less than they did.
        update.charged_s, update.charged_items = start_s, max(items or 0, asked_items)
        if teaches:
            update.sizer.record(asked_items, update.charged_items, work_s * 1000)
        if not failed:
            items = asked_items if items is None else items
    elif decision is not None and update.batches and teaches:
        # Not from the first batch, whose size has nothing to do with the target.
        update.target_scale = pacing.target_scale(decision.target_ms, work_s * 1000)
    if items and teaches and not update.one_shot:
        _compare_with_quiet(database, update, presence, now_s, work_s * 1000 / items)
    update.last_batch_s = took_s
    update.batches += 1
    update.items += items or 0
    update.batch_s += work_s


def _compare_with_quiet(
    database: DatabaseState, update: UpdateState, presence: Presence, now_s: float, item_ms: float
) -> None:
    quiet_after_s = update.profile.quiet_after_s
    if presence.is_quiet(now_s, quiet_after_s):
        known = item_ms if update.quiet_item_ms is None else update.quiet_item_ms
        update.quiet_item_ms = known + _QUIET_ITEM_SHARE * (item_ms - known)
    elif update.quiet_item_ms:
        slowdown = item_ms / update.quiet_item_ms
        database.board.observe(BatchSample(at_s=now_s, slowdown=slowdown))
