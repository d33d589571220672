"""Forecasts that were made, against how it went."""

from collections.abc import Iterable, Sequence
from statistics import median

import attrs

from synapse_bgthrottle.forecast.models import Forecast, PastForecasts
from synapse_bgthrottle.schema import HistoryEntry

# What is kept: of each update the first and the newest ones, and so many at all.
MOST_KEPT = 200
MOST_OF_AN_UPDATE = 4

# A forecast of a few seconds says nothing of one that is any use.
_LEAST_AHEAD_MS = 10_000.0


@attrs.frozen
class Kept:
    """What was once said of one update.

    Attributes:
        server, database, update: which.
        made_ms, earliest_ms, ends_ms, latest_ms: since the epoch.
    """

    server: str
    database: str
    update: str
    made_ms: float
    earliest_ms: float
    ends_ms: float
    latest_ms: float

    @property
    def key(self) -> tuple[str, str, str]:
        """Server, database and update."""
        return self.server, self.database, self.update


def kept_of(forecast: Forecast, server: str) -> tuple[Kept, ...]:
    """What a forecast says, to be kept."""
    return tuple(
        Kept(
            server,
            update.database,
            update.update,
            forecast.made_ms,
            update.earliest_ms,
            update.ends_ms,
            update.latest_ms,
        )
        for update in forecast.updates
        if update.ends_ms is not None
        and update.earliest_ms is not None
        and update.latest_ms is not None
        and update.ends_ms - forecast.made_ms >= _LEAST_AHEAD_MS
    )


def bounded(kept: Iterable[Kept]) -> tuple[Kept, ...]:
    """Of each update the first and the newest, and at all no more than `MOST_KEPT`."""
    by_update: dict[tuple[str, str, str], list[Kept]] = {}
    for each in sorted(kept, key=lambda each: each.made_ms):
        of_it = by_update.setdefault(each.key, [])
        of_it.append(each)
        if len(of_it) > MOST_OF_AN_UPDATE:
            del of_it[1]
    every = (each for of_it in by_update.values() for each in of_it)
    newest = sorted(every, key=lambda each: each.made_ms)
    return tuple(newest[-MOST_KEPT:])


def compared(kept: Sequence[Kept], history: Sequence[HistoryEntry], server: str) -> PastForecasts:
    """Those of updates that have ended, against when they did.

    An end counts for the forecasts that were made before it, and after the end of the run before.
    """
    ended = [
        ((server, entry.database, entry.update), entry.ended_ms)
        for entry in history
        if entry.outcome == "done" and entry.ended_ms is not None
    ]
    errors, within = [], 0
    for each in kept:
        ends = [at_ms for key, at_ms in ended if key == each.key and at_ms > each.made_ms]
        if not ends:
            continue
        ended_ms = min(ends)
        ahead_ms = each.ends_ms - each.made_ms
        errors.append(abs(ended_ms - each.ends_ms) / ahead_ms)
        within += each.earliest_ms <= ended_ms <= each.latest_ms
    if not errors:
        return PastForecasts()
    return PastForecasts(len(errors), median(errors), max(errors), within / len(errors))
