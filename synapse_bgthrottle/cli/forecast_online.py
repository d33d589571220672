"""What a server tells of its limits, and of how updates went, for a forecast. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from synapse_bgthrottle.core.adaptive import weekly_activity
from synapse_bgthrottle.core.config.limits import Adaptive, Rule, Settings
from synapse_bgthrottle.core.config.parser import Config
from synapse_bgthrottle.core.reports.explain import settings_of
from synapse_bgthrottle.core.scheduling.throttle import Throttle
from synapse_bgthrottle.forecast.accuracy import Went
from synapse_bgthrottle.forecast.forecast import Observed
from synapse_bgthrottle.forecast.from_history import NOT_ENOUGH, LearnedLoad, Past, share_observed
from synapse_bgthrottle.forecast.weekly_load import HOURS, WeeklyLoad

if TYPE_CHECKING:
    from synapse_bgthrottle.schema import (
        Explanation,
        HistoryEntry,
        LimitValues,
        RunningUpdate,
        SeenHour,
        ThrottleStatus,
    )

_MOSTLY = 0.5

NO_LOAD = (
    "the server has no GET v1/load, which tells what it saw of the week: its module is older than"
    " this command, or a proxy does not pass that path on"
)


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
            settings=settings_of(_values(told)),
        )
        for number, told in enumerate(explanations)
    ]
    return Config(rules=tuple(rules))


def _values(told: "Explanation") -> "LimitValues":
    if told.limit_values is None:
        raise ValueError("its module is older than this command, and states them in texts only")
    return told.limit_values


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


def week_of(load: "Iterable[SeenHour]") -> list[weekly_activity.SeenHour]:
    """What was seen of the week; all of it is as old as it is."""
    return [
        weekly_activity.SeenHour(
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


def observed_now(
    status: "ThrottleStatus", config: Config, load: WeeklyLoad, now_ms: float
) -> Observed | None:
    """How the adaptive update under way goes; None: none does, or too little was seen of it."""
    for database in status.databases:
        current = database.current
        if current is None or current.one_shot:
            continue
        limits = Throttle(config, Settings()).limits_of(current.name, database.name, False)[1]
        if isinstance(limits.pace, Adaptive):
            return observed_of(past_of(current, now_ms), load)
    return None


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
