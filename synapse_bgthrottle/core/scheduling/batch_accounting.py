"""After a batch: record its duration, learn from it, and count it. Pure."""

from synapse_bgthrottle.core.adaptive.client_activity import ClientActivity
from synapse_bgthrottle.core.scheduling.state import DatabaseState, UpdateState
from synapse_bgthrottle.core.signals.samples import BatchSample


def settle(
    database: DatabaseState,
    update: UpdateState,
    activity: ClientActivity,
    end_s: float,
    items: int | None,
    failed: bool,
) -> None:
    """Account for a batch that ended at `end_s` (monotonic) and did `items` (None: unknown)."""
    start_s, update.batch.start_s = update.batch.start_s, None
    took_s = 0.0 if start_s is None else max(end_s - start_s, 0.0)
    idle_s = update.batch.idle_s(end_s)
    worked_s = work_s(took_s, idle_s, update.limits.target_duration_ms)
    database.batch_ended(end_s, worked_s, failed=failed)
    # The limits may be others than when the batch was decided.
    asked_items = update.decision.items if update.decision is not None else 0
    # Some handlers do more than they are asked to, and some say less than they did.
    charged_items = 0 if update.one_shot else max(items or 0, asked_items)
    update.pace.charge(charged_items, end_s if start_s is None else start_s)
    # Idle time is not measured to the millisecond: after a long one, the rest is mostly error.
    teaches = not failed and start_s is not None and idle_s <= worked_s
    if teaches and asked_items and not update.one_shot:
        update.cost.record(asked_items, worked_s)
        _compare_with_quiet(database, update, activity, end_s, worked_s)
    if update.impact.is_measured:
        unknown = None if update.one_shot else asked_items * (not failed)
        update.impact.current.did(unknown if items is None else items, worked_s)
    update.totals.add_batch(items or 0, took_s, worked_s)


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
