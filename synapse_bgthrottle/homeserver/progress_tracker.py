"""Measures the progress of the current update of each database, from reads of the queue."""

import json
import logging
import math
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

import attrs
from twisted.internet.defer import CancelledError

from synapse_bgthrottle.core.adaptive.weekly_activity import WeeklyActivity
from synapse_bgthrottle.core.config.limits import Limits
from synapse_bgthrottle.core.levers.lever import Lever, LeverKind, Levers
from synapse_bgthrottle.core.reports.status import MOST_PENDING
from synapse_bgthrottle.core.scheduling.failures import complaint_of
from synapse_bgthrottle.core.scheduling.throttle import Throttle
from synapse_bgthrottle.core.tracking.expected_pace import learned_slope
from synapse_bgthrottle.core.tracking.history import HistoryEntry
from synapse_bgthrottle.core.tracking.measured_pace import Look, MeasuredPace
from synapse_bgthrottle.core.tracking.progress import Progress, read_progress
from synapse_bgthrottle.core.tracking.queue import QueueRow
from synapse_bgthrottle.core.tracking.runs import UpdateRuns
from synapse_bgthrottle.core.tracking.table_bounds import Bounds, bounds_sql, read_bounds
from synapse_bgthrottle.core.tracking.time_left import Estimate, Known, estimate, is_held
from synapse_bgthrottle.core.tracking.weekly_load import Seen, learned
from synapse_bgthrottle.homeserver.internals.bounded_calls import questions
from synapse_bgthrottle.homeserver.internals.database import Database
from synapse_bgthrottle.homeserver.internals.server import Homeserver
from synapse_bgthrottle.homeserver.prometheus.update_metrics import Metrics

logger = logging.getLogger(__name__)

# The ends of a table move while the server is in use.
_ASK_BOUNDS_EVERY_S = 600.0
# After a failed or slow query the old ends are kept. The query is repeated sooner then.
_LONGEST_WAIT_S = 2.0
_ASK_BOUNDS_AGAIN_S = 10.0


@attrs.define
class _Tracked:
    """The current update."""

    update: str
    started_s: float  # its start, which tells it from other runs of the same update
    progress: Progress | None = None
    pace: MeasuredPace = attrs.field(factory=MeasuredPace)
    bounds: Bounds | None = None  # last known ends of the table that it walks along
    ask_bounds_s: float = 0.0  # when to query these (again), monotonic
    looks: int = 0  # number of reads begun so far
    limits: Limits | None = None  # the limits under which its pace was measured
    estimate: Estimate = attrs.field(factory=Estimate)

    def is_of(self, entry: HistoryEntry) -> bool:
        return (self.update, self.started_s) == (entry.update, entry.started_s)


@attrs.define(slots=False, eq=False)
class ProgressTracker:
    """Follows the current update of each database."""

    _host: Homeserver
    _throttle: Throttle
    _runs: UpdateRuns
    _metrics: Metrics
    _week: WeeklyActivity
    _tracked: dict[str, _Tracked] = attrs.field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        self._questions = questions(self._host)

    async def look(self, database: Database, rows: Sequence[QueueRow]) -> None:
        """Measure the progress from the queue that was just read."""
        try:
            await self._follow(database, rows)
        finally:
            tracked = self._tracked.get(database.name)
            progress = None if tracked is None else tracked.progress
            time_left_s = self.estimate(database.name).time_left_s
            self._metrics.looked(database, rows, progress, time_left_s)

    def progress(self, database_name: str, rows: Sequence[QueueRow]) -> dict[str, Progress]:
        """Progress by update name; an update that is not in it is unknown.

        If very many have begun, it has only the first, because the status lists no more.
        """
        found = {}
        begun = (row for row in rows if row.progress_json != "{}")
        for row in islice(begun, MOST_PENDING):
            progress = read_progress(row.name, _decoded(row.progress_json), None, None)
            if progress is not None:
                found[row.name] = progress
        tracked = self._tracked.get(database_name)
        if tracked is not None:
            found.pop(tracked.update, None)
            if tracked.progress is not None:
                found[tracked.update] = tracked.progress
        return found

    def estimate(self, database_name: str) -> Estimate:
        """The time left of the current update."""
        tracked = self._tracked.get(database_name)
        return Estimate() if tracked is None else tracked.estimate

    async def _follow(self, database: Database, rows: Sequence[QueueRow]) -> None:
        entry = self._runs.so_far(database.name)
        row = next((row for row in rows if entry is not None and row.name == entry.update), None)
        if entry is None or row is None:
            self._tracked.pop(database.name, None)
            return
        tracked = self._tracked.get(database.name)
        if tracked is None or not tracked.is_of(entry):
            tracked = self._tracked[database.name] = _Tracked(entry.update, entry.started_s)
        if entry.first_progress in (None, "{}") and row.progress_json != "{}":
            self._runs.first_seen(database.name, row.progress_json)
        tracked.looks = look = tracked.looks + 1
        await self._ask_bounds(database, tracked)
        entry = self._runs.so_far(database.name)
        if tracked.looks != look or entry is None or not tracked.is_of(entry):
            return  # a newer read has come first, or the update has ended
        first = entry.first_progress or row.progress_json
        tracked.progress = read_progress(
            entry.update, _decoded(row.progress_json), _decoded(first), tracked.bounds
        )
        self._measure(database.name, tracked, entry)

    def _measure(self, database_name: str, tracked: _Tracked, entry: HistoryEntry) -> None:
        """Measure its pace and time left."""
        wall_s, week = self._host.wall_s(), self._week
        update = self._throttle.as_of(entry.key, wall_s)
        if update.one_shot:
            return
        longest_s = self._throttle.databases[database_name].longest_batch_s
        if update.limits != tracked.limits:  # measurements under other limits do not count
            tracked.limits, tracked.pace = update.limits, MeasuredPace()
        left = None if tracked.progress is None else tracked.progress.left
        tracked.pace.observe(
            Look(
                self._host.now_s(),
                left,
                update.totals.batch_s,
                self._runs.running[database_name].held_s(update),
                update.totals.items,
                week.watched_s,
                week.present_s,
                update.totals.batches,
            )
        )
        clients = tracked.pace.clients_ratio
        now = None if clients is None else Seen(clients, wall_s)
        levers = (self._throttle.levers or Levers()).about(entry.update, database_name)
        per_item = tracked.pace.per_item()
        if left is not None and per_item is not None:
            self._runs.measured(database_name, per_item)
        tracked.estimate = estimate(
            tracked.pace,
            Known(
                limits=update.limits,
                entry=entry,
                cost=update.cost.cost(longest_s),
                slope=learned_slope(update),
                load=learned(list(week.hours.values()), now),
                wall_s=wall_s,
                not_before_s=_ends_s(levers.in_force(wall_s, LeverKind.PAUSE)),
                released_until_s=_ends_s(levers.in_force(wall_s, LeverKind.RELEASE)),
                held=is_held(update.decision),
            ),
        )

    async def _ask_bounds(self, database: Database, tracked: _Tracked) -> None:
        """Query the ends of the update's table, if it is time to."""
        sql, now_s = bounds_sql(tracked.update), self._host.now_s()
        if sql is None or now_s < tracked.ask_bounds_s:
            return
        tracked.ask_bounds_s = now_s + _ASK_BOUNDS_AGAIN_S
        ask, name = database.ask_row, database.name
        try:
            row = await self._questions.within(_LONGEST_WAIT_S, name, ask, sql)
        except CancelledError:
            raise
        except Exception as error:  # the read continues without the ends
            logger.debug("Could not read the ends for %s: %s", tracked.update, complaint_of(error))
            return
        tracked.bounds = read_bounds(row)
        tracked.ask_bounds_s = now_s + _ASK_BOUNDS_EVERY_S


def _ends_s(levers: Iterable[Lever]) -> float:
    """When the last lever ends; a release in use never ends by time."""
    ends_s = (each.ends_s if each.used_s is None else math.inf for each in levers)
    return max(ends_s, default=0.0)


def _decoded(progress_json: str) -> Any:
    try:
        return json.loads(progress_json)
    except (ValueError, RecursionError):
        return None
