"""What the HTTP API tells of the update that is under way, and of signals. Pure."""

from collections.abc import Iterator
from typing import Any

import attrs

from synapse_bgthrottle.board_level import Level
from synapse_bgthrottle.decision import Cause, Conditions, Decision
from synapse_bgthrottle.history import HistoryEntry
from synapse_bgthrottle.holds import by_failure
from synapse_bgthrottle.log_lines import describe
from synapse_bgthrottle.observing import is_measured
from synapse_bgthrottle.progress import Progress
from synapse_bgthrottle.state import DatabaseState, UpdateState
from synapse_bgthrottle.time_left import TimeLeft

Json = dict[str, Any]


@attrs.frozen
class Moment:
    """Now, on both clocks: seconds, monotonic and since the epoch."""

    now_s: float
    wall_s: float

    def ms_at(self, at_s: float) -> int:
        """A monotonic time in ms since the epoch."""
        return round((self.wall_s - (self.now_s - at_s)) * 1000)


def update_status(
    entry: HistoryEntry,
    update: UpdateState,
    database: DatabaseState,
    progress: Progress | None,
    time_left: TimeLeft,
    moment: Moment,
) -> Json:
    """The update under way; `entry` is its history, `progress` how far it is (None: unknown)."""
    decision = update.decision
    return {
        "name": entry.update,
        "one_shot": update.one_shot,
        "since_ms": round(entry.started_s * 1000),
        "batches": entry.batches,
        "items": entry.items,
        "batch_time_ms": round(entry.batch_s * 1000),
        "last_batch_ms": None if update.last_batch_s is None else update.last_batch_s * 1000,
        "target_duration_ms": update.limits.target_duration_ms,
        "items_per_second": _rate(entry, moment),
        "waited_ms": {cause: round(s * 1000) for cause, s in entry.waited_s.items()},
        "progress": None if progress is None else progress.to_json(),
        "time_left_s": time_left.to_json(),
        "decision": None
        if decision is None
        else {
            "cause": decision.cause.value,
            "is_hold": decision.cause.is_hold,
            "reason": decision.reason,
            "since_ms": moment.ms_at(update.since_s),
            "next_try_ms": _next_try_ms(decision, database, moment),
        },
        "is_in_batch": update.batch_start_s is not None,
        "batch_since_ms": (
            None if update.batch_start_s is None else moment.ms_at(update.batch_start_s)
        ),
        "lock_wait_since_ms": _lock_wait_since_ms(update, moment),
        "duty_cycle_ratio": update.duty_ratio,
        "limits": describe(update),
        "rule": None if update.rule is None else str(update.rule),
        "index_build": _index_build(database, update),
    }


def signals_status(database: DatabaseState, update: UpdateState, now_s: float) -> Iterator[Json]:
    """Every signal of a database, whether it could be read or not; `update` is at its head."""
    closed = _closed(database, update, now_s)
    for name, level in database.board.levels.items():
        signal = level.signal
        yield {
            "name": name,
            "class": signal.signal_class.value,
            "unit": signal.unit.value,
            "value": level.value,
            "threshold": level.threshold,
            "pressure": level.pressure,
            "age_s": None if level.at_s is None else max(now_s - level.at_s, 0.0),
            "is_stale": level.is_stale(now_s),
            "is_closed": name in closed,
            "problem": _problem(level),
        }


def _closed(database: DatabaseState, update: UpdateState, now_s: float) -> frozenset[str]:
    """The budgets that hold it, if nobody lets it go."""
    if not is_measured(database, update):
        return frozenset()
    budgets = database.board.all_closed(now_s, one_shot=update.one_shot)
    return frozenset(budget.name for budget in budgets)


def _lock_wait_since_ms(update: UpdateState, moment: Moment) -> int | None:
    since_s = update.lock_wait.since_s
    return None if update.batch_start_s is None or since_s is None else moment.ms_at(since_s)


def _rate(entry: HistoryEntry, moment: Moment) -> float | None:
    # Over all of its time, so that it says how long the update takes, with all of its waits.
    took_s = moment.wall_s - entry.started_s
    return entry.items / took_s if entry.items and took_s > 0 else None


def _next_try_ms(decision: Decision, database: DatabaseState, moment: Moment) -> int | None:
    # Not of a hold that comes before it: nothing is tried when the wait ends, then.
    if decision.cause is not Cause.BACKOFF:
        return None
    wait = by_failure(database, Conditions(moment.now_s, moment.wall_s))
    return None if wait is None else moment.ms_at(moment.now_s + wait.wait_s)


def _index_build(database: DatabaseState, update: UpdateState) -> Json | None:
    build = database.board.index_build
    if build is None or update.batch_start_s is None:  # of an update before this one
        return None
    return {"phase": build[0], "progress_ratio": build[1]}


def _problem(level: Level) -> str:
    if level.problem or level.at_s is None or level.value is not None:
        return level.problem
    return "not observable"
