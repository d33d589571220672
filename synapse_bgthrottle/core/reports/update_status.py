"""The status of the current update and of signals, as the HTTP API returns it. Pure."""

from collections.abc import Iterator

import attrs

from synapse_bgthrottle import schema
from synapse_bgthrottle.core.reports.explain import learned, limit_values
from synapse_bgthrottle.core.reports.log_lines import describe
from synapse_bgthrottle.core.scheduling.decision import Cause, Decision
from synapse_bgthrottle.core.scheduling.holds import backoff_left_s
from synapse_bgthrottle.core.scheduling.observer import is_measured
from synapse_bgthrottle.core.scheduling.state import DatabaseState, UpdateState
from synapse_bgthrottle.core.signals.signal_state import SignalState
from synapse_bgthrottle.core.tracking.history import HistoryEntry
from synapse_bgthrottle.core.tracking.progress import Progress
from synapse_bgthrottle.core.tracking.time_left import Estimate


@attrs.frozen
class Moment:
    """The present on both clocks, in seconds: monotonic and since the epoch."""

    now_s: float
    wall_s: float

    def ms_at(self, at_s: float) -> int:
        """Convert a monotonic time to ms since the epoch."""
        return round((self.wall_s - (self.now_s - at_s)) * 1000)


def update_status(
    entry: HistoryEntry,
    update: UpdateState,
    database: DatabaseState,
    progress: Progress | None,
    estimate: Estimate,
    moment: Moment,
) -> schema.RunningUpdate:
    """The current update; `entry` is its history, `progress` its progress (None: unknown)."""
    batch, last_batch_s = update.batch, update.totals.last_batch_s
    return schema.RunningUpdate(
        name=entry.update,
        one_shot=update.one_shot,
        since_ms=round(entry.started_s * 1000),
        batches=entry.batches,
        items=entry.items,
        batch_time_ms=round(entry.batch_s * 1000),
        last_batch_ms=None if last_batch_s is None else last_batch_s * 1000,
        target_duration_ms=update.limits.target_duration_ms,
        items_per_second=estimate.items_per_second or _rate(entry, moment),
        waited_ms=entry.waited_ms,
        progress=None if progress is None else progress.stated(),
        time_left_s=estimate.time_left_s,
        pace=estimate.stated_pace(),
        decision=_decision(update, database, moment),
        is_in_batch=batch.start_s is not None,
        batch_since_ms=None if batch.start_s is None else moment.ms_at(batch.start_s),
        lock_wait_since_ms=_lock_wait_since_ms(update, moment),
        duty_cycle_ratio=update.duty_ratio,
        limits=describe(update),
        limit_values=limit_values(update.limits),
        rule=None if update.rule is None else str(update.rule),
        learned=tuple(learned(update)),
        index_build=_index_build(database, update),
    )


def _decision(
    update: UpdateState, database: DatabaseState, moment: Moment
) -> schema.StatedDecision | None:
    decision = update.decision
    if decision is None:
        return None
    return schema.StatedDecision(
        cause=decision.cause.value,
        is_hold=decision.cause.is_hold,
        reason=decision.reason,
        since_ms=moment.ms_at(update.decision_since_s),
        next_try_ms=_next_try_ms(decision, database, moment),
    )


def signals_status(
    database: DatabaseState, update: UpdateState, now_s: float
) -> Iterator[schema.StatedSignal]:
    """Every signal of a database, readable or not; `update` is at the queue's head."""
    closed = _closed(database, update, now_s)
    for name, level in database.signal_set.states.items():
        signal = level.signal
        yield schema.StatedSignal(
            name=name,
            kind=signal.signal_class.value,
            unit=signal.unit.value,
            value=level.value,
            threshold=level.threshold,
            pressure=level.pressure,
            age_s=None if level.at_s is None else max(now_s - level.at_s, 0.0),
            is_stale=level.is_stale(now_s),
            is_closed=name in closed,
            problem=_problem(level),
        )


def _closed(database: DatabaseState, update: UpdateState, now_s: float) -> frozenset[str]:
    """The budgets that hold the update, without regard to releases."""
    if not is_measured(database, update):
        return frozenset()
    budgets = database.signal_set.all_closed(now_s, one_shot=update.one_shot)
    return frozenset(budget.name for budget in budgets)


def _lock_wait_since_ms(update: UpdateState, moment: Moment) -> int | None:
    since_s = update.batch.lock_wait.since_s
    return None if update.batch.start_s is None or since_s is None else moment.ms_at(since_s)


def _rate(entry: HistoryEntry, moment: Moment) -> float | None:
    # Before a pace is measured, use all its time, including all waits.
    took_s = moment.wall_s - entry.started_s
    return entry.items / took_s if entry.items and took_s > 0 else None


def _next_try_ms(decision: Decision, database: DatabaseState, moment: Moment) -> int | None:
    # With another hold the end of the wait is no next try.
    if decision.cause is not Cause.BACKOFF:
        return None
    left_s = backoff_left_s(database, moment.now_s)
    return moment.ms_at(moment.now_s + left_s) if left_s > 0 else None


def _index_build(database: DatabaseState, update: UpdateState) -> schema.IndexBuild | None:
    build = database.signal_set.index_build
    if build is None or update.batch.start_s is None:  # this is of an earlier update
        return None
    return schema.IndexBuild(phase=build[0], progress_ratio=build[1])


def _problem(level: SignalState) -> str:
    if level.problem or level.at_s is None or level.value is not None:
        return level.problem
    return f"refused by the database: {level.refusal}" if level.refusal else "not observable"
