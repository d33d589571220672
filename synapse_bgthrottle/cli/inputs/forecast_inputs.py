"""What a forecast rests on: a server's answers, its queue as jobs, and forecasts that are kept."""

import json
import math
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import groupby
from pathlib import Path

import attrs

from synapse_bgthrottle.cli import verdicts
from synapse_bgthrottle.cli.inputs.files import user_file
from synapse_bgthrottle.codec import MismatchError, decode
from synapse_bgthrottle.core.config.limits import Rule
from synapse_bgthrottle.core.config.parser import Config
from synapse_bgthrottle.core.config.problems import did_you_mean
from synapse_bgthrottle.core.levers.lever import LeverKind
from synapse_bgthrottle.core.reports.explain import settings_of
from synapse_bgthrottle.core.scheduling.batch_cost import (
    LONGEST_BATCH_S,
    LONGEST_SQLITE_BATCH_S,
    Cost,
)
from synapse_bgthrottle.core.tracking.expected_pace import Range, Shares
from synapse_bgthrottle.core.tracking.timeline import Job
from synapse_bgthrottle.core.tracking.weekly_load import HOURS, Seen, WeeklyLoad
from synapse_bgthrottle.forecast.accuracy import Kept, bounded
from synapse_bgthrottle.forecast.models import Forecast
from synapse_bgthrottle.schema import (
    DatabaseStatus,
    Explanation,
    PendingUpdate,
    Progress,
    RunningUpdate,
    StatedRange,
    ThrottleStatus,
)

# Where the server states no pace: its first batches are slow, and are to weigh little.
_FEWEST_BATCHES = 20

_LARGEST_FILE = 256 * 1024

NO_LOAD = (
    "the server has no GET v1/load, which says what it saw of the week: its module is older than"
    " this command, or a proxy does not pass that path on"
)


def config_of(explanations: Iterable[Explanation]) -> Config:
    """The limits that the server states for each update; ValueError: not understood."""
    rules = []
    for number, stated in enumerate(explanations):
        if stated.limit_values is None:
            raise ValueError("its module is older than this command, and states them in texts only")
        settings = settings_of(stated.limit_values)
        pattern = stated.update.replace("[", "[[]")
        rules.append(Rule(number, patterns=(pattern,), database=stated.database, settings=settings))
    return Config(rules=tuple(rules))


def seen_now(status: ThrottleStatus) -> Seen | None:
    """How busy clients are now, by the update under way; None: not stated."""
    for database in status.databases:
        pace = None if database.current is None else database.current.pace
        if pace is not None and pace.clients_ratio is not None and status.now_ms is not None:
            return Seen(pace.clients_ratio, status.now_ms / 1000)
    return None


def learned_note(load: WeeklyLoad, *, is_stated: bool) -> str:
    """What the load of the week rests on; `is_stated`: the server states what it saw."""
    if not is_stated:
        return f"load: clients are assumed to be as now, because {NO_LOAD}"
    if not load.known_hours:
        return "load: no hour of the week was seen yet, so clients are assumed to be as now"
    others = "; the others are assumed to be like that hour of other days, or the hours beside it"
    is_whole = load.known_hours == HOURS
    return f"load: learned from {load.known_hours} of {HOURS} hours of the week" + (
        "" if is_whole else others
    )


def why_held(explanations: Iterable[Explanation]) -> Iterator[str]:
    """What holds the first update of each database now, and with it all behind it."""
    for _, queue in groupby(explanations, key=lambda stated: stated.database):
        first = next(queue)
        for held in first.held_by:
            yield f"{first.update} is held now, and what is behind it: {held.reason}"


def jobs_of(status: ThrottleStatus) -> Iterator[Job]:
    """Every pending update, by database, in the order in which they will run."""
    for database in status.databases:
        for pending in database.pending or ():
            current = database.current
            is_current = current is not None and current.name == pending.name
            yield _job(status, database, pending, current if is_current else None)


def up_to(jobs: Iterable[Job], update: str) -> list[Job]:
    """Those of this name, and in each queue all in front of them; ValueError: none is named so."""
    found, seen = [], set()
    for _, group in groupby(jobs, key=lambda job: job.database):
        queue = list(group)
        names = [job.update for job in queue]
        seen.update(names)
        if update in names:
            found += queue[: names.index(update) + 1]
    if not found:
        raise ValueError(f"{update} is not pending now{did_you_mean(update, seen)}")
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
    status: ThrottleStatus,
    database: DatabaseStatus,
    pending: PendingUpdate,
    current: RunningUpdate | None,
) -> Job:
    progress = (current and current.progress) or pending.progress or Progress()
    paused_until_ms, released_until_ms = (
        [
            math.inf if lever.used_ms is not None else lever.ends_ms or 0.0
            for lever in status.levers
            if verdicts.is_about(lever, kind.value, pending, database)
        ]
        for kind in (LeverKind.PAUSE, LeverKind.RELEASE)
    )
    pace = None if current is None else current.pace
    job = Job(
        database=database.name,
        update=pending.name,
        items=progress.left,
        unit=progress.unit or "items",
        per_batch_s=None if current is None else _speed(current),
        # No speed stays as it is, and few batches say little.
        speed_error=0.0 if current is None else max(max(current.batches, 1) ** -0.5, 0.1),
        one_shot=bool(pending.one_shot),
        not_before_s=max(paused_until_ms, default=0.0) / 1000,
        released_until_s=max(released_until_ms, default=0.0) / 1000,
    )
    if pace is None or job.one_shot:
        return job
    longest_s = LONGEST_SQLITE_BATCH_S if database.engine == "sqlite" else LONGEST_BATCH_S
    # What its time left rests on, so that the forecast says the same.
    return attrs.evolve(
        job,
        items=pace.left,
        per_batch_s=pace.per_batch_second,
        speed_error=pace.speed_error,
        shares=Shares(
            _range(pace.without_clients),
            _range(pace.with_clients),
            max(pace.with_clients_ratio, 0.01),
        ),
        slope=None if pace.slope is None else _range(pace.slope),
        cost=Cost(pace.fixed_s, pace.item_s, longest_s) if pace.item_s else None,
    )


def _range(stated: StatedRange) -> Range:
    return Range(stated.likely, stated.low, stated.high)


def _speed(current: RunningUpdate) -> float | None:
    """In the unit of its progress, for each second in batches; None: not known yet."""
    progress, left_s = current.progress or Progress(), current.time_left_s.unthrottled
    if progress.left and left_s:
        return progress.left / left_s
    if current.batches < _FEWEST_BATCHES or current.batch_time_ms <= 0:
        return None
    done = current.items if progress.done is None else progress.done
    return done / current.batch_time_ms * 1000 if done else None


def kept_file(environment: Mapping[str, str]) -> Path:
    """`~/.local/state/bgthrottle/forecasts.json`, or below XDG_STATE_HOME."""
    return user_file(environment, "XDG_STATE_HOME", "~/.local/state", "forecasts.json")


def read_kept(file: Path) -> tuple[Kept, ...]:
    """What is kept; a file that is missing or damaged has nothing."""
    try:
        with file.open("rb") as opened:
            raw = json.loads(opened.read(_LARGEST_FILE))
    except (OSError, ValueError, RecursionError):
        return ()
    kept = []
    for item in raw if isinstance(raw, list) else ():
        with suppress(MismatchError):
            kept.append(decode(Kept, item))
    return bounded(kept)


def keep(file: Path, new: Sequence[Kept]) -> None:
    """Keep these too, for the user alone; OSError: the file cannot be written."""
    if not new:
        return
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    text = json.dumps([attrs.asdict(each) for each in bounded((*read_kept(file), *new))])
    # A whole file or none, and never one that others may read: mkstemp makes it 0600.
    descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=".forecasts")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
            opened.write(text)
        os.replace(name, file)
    except BaseException:
        os.unlink(name)
        raise
