"""How far the update under way is in each database, from looks at the queue."""

import json
import logging
import math
from collections.abc import Sequence
from typing import Any

import attrs
from twisted.internet.defer import CancelledError

from synapse_bgthrottle.core.scheduling.throttle import Throttle
from synapse_bgthrottle.core.tracking.history import HistoryEntry
from synapse_bgthrottle.core.tracking.progress import Progress, read_progress
from synapse_bgthrottle.core.tracking.queue import QueueRow
from synapse_bgthrottle.core.tracking.runs import Courses
from synapse_bgthrottle.core.tracking.table_bounds import Bounds, bounds_sql, read_bounds
from synapse_bgthrottle.core.tracking.time_left import NOT_KNOWN, Pace, TimeLeft
from synapse_bgthrottle.homeserver.internals.database import Database, complaint_of
from synapse_bgthrottle.homeserver.internals.server import Homeserver
from synapse_bgthrottle.homeserver.prometheus.update_metrics import Metrics
from synapse_bgthrottle.homeserver.sampling.asker import Questions

logger = logging.getLogger(__name__)

# The ends of a table move as the server is used.
_ASK_BOUNDS_EVERY_S = 600.0
# What takes longer, or fails, leaves them as they were; how soon they are asked for again then.
_LONGEST_WAIT_S = 2.0
_ASK_BOUNDS_AGAIN_S = 10.0


@attrs.define
class _Seen:
    """The update under way.

    Attributes:
        update: its name.
        started_s: since when; another run of the same update starts at another time.
        progress: how far it is; None: unknown.
        bounds: of the table that it walks along, as they were last told.
        ask_bounds_s: when these are to be asked for (again), monotonic.
        looks: how many have begun.
    """

    update: str
    started_s: float
    progress: Progress | None = None
    pace: Pace = attrs.field(factory=Pace)
    bounds: Bounds | None = None
    ask_bounds_s: float = -math.inf
    looks: int = 0

    def is_of(self, entry: HistoryEntry) -> bool:
        return (self.update, self.started_s) == (entry.update, entry.started_s)


class ProgressWatch:
    """Follows the update under way in each database."""

    def __init__(
        self, host: Homeserver, throttle: Throttle, courses: Courses, metrics: Metrics
    ) -> None:
        self._host = host
        self._throttle = throttle
        self._courses = courses
        self._metrics = metrics
        self._questions = Questions(host)
        self._seen: dict[str, _Seen] = {}

    async def look(self, database: Database, rows: Sequence[QueueRow]) -> None:
        """The queue was read: what does it say of the update under way?"""
        try:
            await self._follow(database, rows)
        finally:
            seen = self._seen.get(database.name)
            progress = None if seen is None else seen.progress
            self._metrics.looked(database, rows, progress, self.time_left(database.name))

    def progress(self, database_name: str, rows: Sequence[QueueRow]) -> dict[str, Progress]:
        """How far updates are, by name; those that are not in it are unknown."""
        found = {}
        for row in rows:
            if row.progress_json != "{}":
                progress = read_progress(row.name, _decoded(row.progress_json), None, None)
                if progress is not None:
                    found[row.name] = progress
        seen = self._seen.get(database_name)
        if seen is not None:
            found.pop(seen.update, None)
            if seen.progress is not None:
                found[seen.update] = seen.progress
        return found

    def time_left(self, database_name: str) -> TimeLeft:
        """Of the update under way."""
        seen = self._seen.get(database_name)
        return NOT_KNOWN if seen is None else seen.pace.time_left()

    async def _follow(self, database: Database, rows: Sequence[QueueRow]) -> None:
        entry = self._courses.so_far(database.name)
        row = next((row for row in rows if entry is not None and row.name == entry.update), None)
        if entry is None or row is None:
            self._seen.pop(database.name, None)
            return
        seen = self._seen.get(database.name)
        if seen is None or not seen.is_of(entry):
            seen = self._seen[database.name] = _Seen(entry.update, entry.started_s)
        if entry.first_progress in (None, "{}") and row.progress_json != "{}":
            self._courses.first_seen(database.name, row.progress_json)
        seen.looks = look = seen.looks + 1
        await self._ask_bounds(database, seen)
        entry = self._courses.so_far(database.name)
        if seen.looks != look or entry is None or not seen.is_of(entry):
            return  # meanwhile a newer look has told more, or the update has ended
        first = entry.first_progress or row.progress_json
        seen.progress = read_progress(
            entry.update, _decoded(row.progress_json), _decoded(first), seen.bounds
        )
        left = None if seen.progress is None else seen.progress.left
        update = self._throttle.updates[entry.key]
        if left is not None:
            held_s = self._courses.running[database.name].held_s(update)
            seen.pace.observe(self._host.now_s(), left, update.totals.batch_s, held_s)

    async def _ask_bounds(self, database: Database, seen: _Seen) -> None:
        """Ask for the ends of the update's table, if it is time to."""
        sql, now_s = bounds_sql(seen.update), self._host.now_s()
        if sql is None or now_s < seen.ask_bounds_s:
            return
        seen.ask_bounds_s = now_s + _ASK_BOUNDS_AGAIN_S
        ask, name = database.ask_row, database.name
        try:
            row = await self._questions.within(_LONGEST_WAIT_S, name, ask, sql)
        except CancelledError:
            raise
        except Exception as error:  # the queue was read, which is what a look is for
            logger.debug("No ends of the table of %s: %s", seen.update, complaint_of(error))
            return
        seen.bounds = read_bounds(row)
        seen.ask_bounds_s = now_s + _ASK_BOUNDS_EVERY_S


def _decoded(progress_json: str) -> Any:
    try:
        return json.loads(progress_json)
    except (ValueError, RecursionError):
        return None
