"""Compares earlier forecasts with what happened."""

from collections.abc import Iterable, Sequence
from statistics import median

import attrs

from synapse_bgthrottle.forecast.models import Forecast, PastForecasts
from synapse_bgthrottle.schema import HistoryEntry

# Kept are the first and the newest forecasts of each update, and at most this many in total.
MOST_KEPT = 200
MOST_OF_AN_UPDATE = 4

# A forecast of a few seconds tells nothing about longer ones.
_LEAST_AHEAD_MS = 10_000.0


@attrs.frozen
class Kept:
    """An earlier forecast for one update; times are ms since the epoch."""

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
    """The parts of a forecast that are kept."""
    made_ms, kept = forecast.made_ms, []
    for update in forecast.updates:
        earliest_ms, ends_ms, latest_ms = update.earliest_ms, update.ends_ms, update.latest_ms
        if earliest_ms is None or ends_ms is None or latest_ms is None:
            continue
        if ends_ms - made_ms >= _LEAST_AHEAD_MS:
            names = server, update.database, update.update
            kept.append(Kept(*names, made_ms, earliest_ms, ends_ms, latest_ms))
    return tuple(kept)


def bounded(kept: Iterable[Kept]) -> tuple[Kept, ...]:
    """The first and the newest of each update, and at most `MOST_KEPT` in total."""
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
    """Compare the forecasts of updates that have ended with their real end.

    A run's end counts for the forecasts made before it, and after the end of the previous run.
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
