"""A server's queue as jobs, and one update of it. Pure."""

import math
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import TYPE_CHECKING

import attrs

from synapse_bgthrottle.cli import verdicts
from synapse_bgthrottle.core.config.problems import did_you_mean
from synapse_bgthrottle.core.levers.lever import LeverKind
from synapse_bgthrottle.forecast.models import Job
from synapse_bgthrottle.forecast.results import Forecast

if TYPE_CHECKING:
    from synapse_bgthrottle.schema import (
        DatabaseStatus,
        PendingUpdate,
        RunningUpdate,
        ThrottleStatus,
    )

# Speed from its sums: the first batches are slow, and are to weigh little.
_FEWEST_BATCHES = 20

# What is done in a batch varies by about its own size, and no speed stays as it is.
_LEAST_SPEED_ERROR = 0.1


def jobs_of(status: "ThrottleStatus") -> Iterator[Job]:
    """Every pending update, by database, in the order in which they will run."""
    for database in status.databases:
        for pending in database.pending or ():
            current = database.current
            is_current = current is not None and current.name == pending.name
            yield _job(status, database, pending, current if is_current else None)


def up_to(jobs: Iterable[Job], update: str) -> list[Job]:
    """Those of this name, and in each queue all in front of them.

    Raises:
        ValueError: none is named so.
    """
    found: list[Job] = []
    names: list[str] = []
    for _, group in groupby(jobs, key=lambda job: job.database):
        queue = list(group)
        names += (job.update for job in queue)
        place = next((n for n, job in enumerate(queue) if job.update == update), None)
        if place is not None:
            found += queue[: place + 1]
    if not found:
        raise ValueError(f"{update} is not pending now{did_you_mean(update, names)}")
    return found


def only(forecast: Forecast, update: str) -> Forecast:
    """Of a forecast of it and what is in front of it: its own, and what it does not get past."""
    own = tuple(each for each in forecast.updates if each.update == update)
    blocking: dict[str, str] = {}
    for each in forecast.updates:
        if each.update != update and each.why:
            blocking.setdefault(each.database, f"{each.update}, in front of it: {each.why}")
    return attrs.evolve(forecast, updates=own, notes=(*blocking.values(), *forecast.notes))


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
        if verdicts.is_about(lever, LeverKind.PAUSE.value, pending, database)
    ]
    released_until_s = [
        (lever.ends_ms or 0.0) / 1000 if lever.used_ms is None else math.inf
        for lever in status.levers
        if verdicts.is_about(lever, LeverKind.RELEASE.value, pending, database)
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
        released_until_s=max(released_until_s, default=0.0),
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
