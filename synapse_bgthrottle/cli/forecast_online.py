"""What a server tells of its pending updates, as jobs and as what can be learned. Pure."""

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from synapse_bgthrottle import seen_week
from synapse_bgthrottle.cli import verdicts
from synapse_bgthrottle.config import Config
from synapse_bgthrottle.forecast.forecasting import Observed
from synapse_bgthrottle.forecast.job import Job
from synapse_bgthrottle.forecast.learned import NOT_ENOUGH, LearnedLoad, Past, share_observed
from synapse_bgthrottle.forecast.past import Went
from synapse_bgthrottle.forecast.stated import settings_of
from synapse_bgthrottle.forecast.week import HOURS, WeeklyLoad
from synapse_bgthrottle.limits import Rule

if TYPE_CHECKING:
    from synapse_bgthrottle.client.explanations import Explanation, HistoryEntry, SeenHour
    from synapse_bgthrottle.client.throttle_status import (
        DatabaseStatus,
        PendingUpdate,
        RunningUpdate,
        ThrottleStatus,
    )

# Speed from its sums: the first batches are slow, and are to weigh little.
_FEWEST_BATCHES = 20

# What is done in a batch varies by about its own size, and no speed stays as it is.
_LEAST_SPEED_ERROR = 0.1

_MOSTLY = 0.5

NO_LOAD = (
    "the server has no GET v1/load, which tells what it saw of the week: its module is older than"
    " this command, or a proxy does not pass that path on"
)


def jobs_of(status: "ThrottleStatus") -> Iterator[Job]:
    """Every pending update, by database, in the order in which they will run."""
    for database in status.databases:
        for pending in database.pending or ():
            current = database.current
            is_current = current is not None and current.name == pending.name
            yield _job(status, database, pending, current if is_current else None)


def _job(
    status: "ThrottleStatus",
    database: "DatabaseStatus",
    pending: "PendingUpdate",
    current: "RunningUpdate | None",
) -> Job:
    progress = pending.progress
    if current is not None and current.progress is not None:
        progress = current.progress
    paused_until_ms = [
        lever.ends_ms or 0.0
        for lever in status.levers
        if verdicts.is_pause_of(lever, pending, database)
    ]
    return Job(
        database=database.name,
        update=pending.name,
        items=None if progress is None else progress.left,
        unit="items" if progress is None else progress.unit or "items",
        per_batch_s=None if current is None else _speed(current),
        speed_error=0.0 if current is None else _speed_error(current),
        one_shot=bool(pending.one_shot),
        not_before_s=max(paused_until_ms, default=0.0) / 1000,
    )


def _speed(current: "RunningUpdate") -> float | None:
    """In the unit of its progress, for each second in batches; None: not known yet."""
    progress, left_s = current.progress, current.time_left_s.unthrottled
    if progress is not None and progress.left and left_s:
        return progress.left / left_s
    if current.batches < _FEWEST_BATCHES or current.batch_time_ms <= 0:
        return None
    done = current.items if progress is None or progress.done is None else progress.done
    return done / current.batch_time_ms * 1000 if done else None


def _speed_error(current: "RunningUpdate") -> float:
    return max(1 / math.sqrt(max(current.batches, 1)), _LEAST_SPEED_ERROR)


def config_of(explanations: "Iterable[Explanation]") -> Config:
    """A configuration in which each update has the limits that the server states for it.

    Raises:
        ValueError: they are not understood.
    """
    rules = [
        Rule(
            number,
            patterns=(told.update.replace("[", "[[]"),),
            database=told.database,
            settings=settings_of(told.limits),
        )
        for number, told in enumerate(explanations)
    ]
    return Config(rules=tuple(rules))


def pasts_of(history: "Iterable[HistoryEntry]", now_ms: float) -> list[Past]:
    """How updates went and go."""
    return [
        Past(
            began_s=entry.started_ms / 1000,
            ended_s=(now_ms if entry.ended_ms is None else entry.ended_ms) / 1000,
            batches=entry.batches,
            batch_s=entry.batch_time_ms / 1000,
            waited_s=_seconds(entry.waited_ms),
        )
        for entry in history
        if entry.started_ms is not None
    ]


def past_of(current: "RunningUpdate", now_ms: float) -> Past:
    """How the update under way went so far."""
    return Past(
        began_s=(now_ms if current.since_ms is None else current.since_ms) / 1000,
        ended_s=now_ms / 1000,
        batches=current.batches,
        batch_s=current.batch_time_ms / 1000,
        waited_s=_seconds(current.waited_ms),
    )


def went_of(history: "Iterable[HistoryEntry]") -> list[Went]:
    """The updates that came to their end."""
    return [
        Went(entry.database, entry.update, entry.started_ms, entry.ended_ms)
        for entry in history
        if entry.outcome == "done" and entry.started_ms is not None and entry.ended_ms is not None
    ]


def week_of(load: "Iterable[SeenHour]") -> list[seen_week.SeenHour]:
    """What was seen of the week; all of it is as old as it is."""
    return [
        seen_week.SeenHour(
            hour.hour,
            0,
            hour.watched_s,
            hour.watched_s * hour.present_ratio,
            hour.watched_s * (hour.requests_per_second or 0.0),
        )
        for hour in load
        if 0 <= hour.hour < HOURS
    ]


def learned_note(found: LearnedLoad | None, *, is_told: bool) -> str:
    """What the load of the week rests on; `is_told`: the server tells what it saw."""
    if not is_told:
        return f"load: taken for flat, as {NO_LOAD}"
    if found is None:
        return f"load: {NOT_ENOUGH} to know the week, taken for flat"
    of_which = "of the time with clients" if found.load.is_share else "of requests"
    note = f"load: learned from {found.known} of {HOURS} hours of the week, as shares {of_which}"
    if found.known < HOURS:
        note += "; the others are taken for like the same hour of other days, or those around them"
    return note


def observed_of(past: Past, load: WeeklyLoad) -> Observed | None:
    """What the update under way tells of the pace; None: too little was seen of it."""
    seen = share_observed(past)
    if seen is None:
        return None
    # What is held for long goes in some hours of its own, and will go in the same.
    mostly_goes = past.going_s >= _MOSTLY * (past.ended_s - past.began_s)
    level = load.mean_level(past.began_s, past.ended_s) if mostly_goes else None
    return Observed(seen, level)


def why_held(explanations: "Iterable[Explanation]") -> Iterator[str]:
    """What holds the first update of each database now, and with it all behind it."""
    databases = set()
    for told in explanations:
        if told.database in databases:
            continue
        databases.add(told.database)
        for held in told.held_by:
            yield f"{told.update} is held now, and what is behind it: {held.reason}"


def _seconds(waited_ms: Mapping[str, float]) -> dict[str, float]:
    return {cause: ms / 1000 for cause, ms in waited_ms.items()}
