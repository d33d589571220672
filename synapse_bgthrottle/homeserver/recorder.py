"""Keeps what must outlive the process: reads it at the start, then writes how updates go on.

While updates are pending it reads the queue from time to time. While none are, it only checks once
a minute whether somebody has inserted rows by hand.
"""

import logging
from collections.abc import Sequence

import attrs
from twisted.internet.defer import CancelledError

from synapse_bgthrottle.core.adaptive.weekly_activity import SeenHour, WeeklyActivity
from synapse_bgthrottle.core.levers.request import StoreUnavailableError
from synapse_bgthrottle.core.reports.problems import listed
from synapse_bgthrottle.core.scheduling.failures import is_from_database
from synapse_bgthrottle.core.scheduling.throttle import Throttle
from synapse_bgthrottle.core.tracking.learned import Learned
from synapse_bgthrottle.core.tracking.queue import QueueRow
from synapse_bgthrottle.core.tracking.runs import UpdateRuns
from synapse_bgthrottle.homeserver.internals.bounded_calls import BoundedCalls, ServerEndsError
from synapse_bgthrottle.homeserver.internals.server import Database, Homeserver
from synapse_bgthrottle.homeserver.internals.timers import Timer
from synapse_bgthrottle.homeserver.progress_tracker import ProgressTracker
from synapse_bgthrottle.homeserver.restarter import Restarter
from synapse_bgthrottle.homeserver.storage.lever_writer import LeverWriter, Queue
from synapse_bgthrottle.homeserver.storage.loader import WHERE, StoreLoader
from synapse_bgthrottle.homeserver.storage.store import Store, Stored

logger = logging.getLogger(__name__)

# Reads of the queue: after a twentieth of the time that the current update has taken, between these
# two bounds. The time left needs eight such reads, which come within the first tenth of the update.
# A held update is read seldom.
LOOK_AFTER_SHARE = 1 / 20
SHORTEST_LOOK_S = 0.5
LONGEST_PAUSE_S = 5.0
LOOK_EVERY_HELD_S = 60.0

# While nothing is pending: somebody may insert rows by hand, without a notice.
LOOK_EVERY_IDLE_S = 55.0

# How often to check that the tables still exist, while levers are in force.
CHECK_STORE_EVERY_S = 50.0

# Slower calls continue in the background, so that other databases do not wait. The HTTP API answers
# with a time-out then; a lever may still take effect later.
LONGEST_LOOK_S = 3.0
LONGEST_WRITE_S = 10.0

# Wait before the next try to read or write, after a failure when no update is pending. It doubles
# up to the longest. Without these tries an update that has ended would be shown as running forever.
FIRST_AGAIN_S = 5.0
LONGEST_AGAIN_S = 600.0

# If no iteration follows within this time, the last one was the end.
_LINGER_S = 1.0


@attrs.define(slots=False, eq=False)
class Recorder:
    """Has the stored data read, then follows the updates. It owns all data that lasts."""

    _host: Homeserver
    _throttle: Throttle
    store: Store
    loader: StoreLoader
    levers: LeverWriter
    runs: UpdateRuns
    progress: ProgressTracker
    restarter: Restarter
    week: WeeklyActivity

    def __attrs_post_init__(self) -> None:
        self._calls = BoundedCalls(self._host, "bgthrottle_recording")
        self._is_scheduled = False  # whether a read is scheduled, or in progress
        self._is_wanted = False  # whether an iteration has begun since the last read
        self._is_behind = False  # whether the last read or write failed
        self._again_s = FIRST_AGAIN_S
        self._again: Timer | None = None  # a later read, which the next iteration brings forward
        self._next_look_s: dict[str, float] = {}  # at a held queue, monotonic
        self._unknown_logged: set[str] = set()
        self._check_store_s = 0.0

    def start(self) -> None:
        """Read the stored data, and then the queues: an unknown name may block one."""
        self.loader.start(self._take)
        self._call_in(_LINGER_S)

    def begin(self, database_name: str, update_name: str) -> None:
        """An iteration of this update begins."""
        with self._host.reporting(WHERE):  # after an error the update continues without a record
            if self.runs.begin(database_name, update_name, self._host.wall_s()):
                self._next_look_s.pop(database_name, None)
            self._is_wanted = True
            if self._again is not None and self._again.active():
                self._again.cancel()
                self._again, self._is_scheduled = None, False
            if not self._is_scheduled:
                self._call_in(_LINGER_S)

    def _take(self, stored: Stored) -> None:
        self.runs.recall(stored.open_entries)
        self.week.recall(stored.hours)
        for learned in stored.learned:
            self._throttle.recall(learned.key, *learned.recalled(self._host.wall_s()))

    def _call_in(self, delay_s: float) -> Timer | None:
        timer = self._host.call_later(delay_s, "bgthrottle_keeping", self._look)
        self._is_scheduled = timer is not None
        return timer

    async def _look(self) -> None:
        self._again, self._is_behind = None, False
        try:
            with self._host.reporting(WHERE):
                self._is_wanted = self._goes_on()  # if it ends meanwhile, the next read notices
                await self._keep()
        finally:
            self._is_scheduled = False
            with self._host.reporting(WHERE):  # after an error the next iteration schedules a read
                self._look_again()

    async def _keep(self) -> None:
        try:
            queues = await self._look_at_queues()
            await self._calls.within(LONGEST_WRITE_S, "the history", self._write, queues)
            if not self._is_behind:
                await self.restarter.start_due()
                if self.restarter.unwritten and not self.loader.problem:
                    await self._calls.within(LONGEST_WRITE_S, "restarts", self.restarter.write)
        except CancelledError:
            raise
        except Exception as error:  # what was not written is kept for the next time
            logger.debug("Could not write the history: %r", error)
            self._is_behind = True
            known = (StoreUnavailableError, ServerEndsError)
            if not isinstance(error, known) and not is_from_database(error):
                raise

    def _look_again(self) -> None:
        if not self._is_behind:
            self._again_s = FIRST_AGAIN_S
        if self._is_wanted or self._goes_on():
            since_s = self.runs.newest_since_s(self._host.wall_s())
            look_s = max(since_s * LOOK_AFTER_SHARE, SHORTEST_LOOK_S)
            self._call_in(min(look_s, LONGEST_PAUSE_S))
        elif self._is_behind:
            self._again = self._call_in(self._again_s)
            self._again_s = min(self._again_s * 2, LONGEST_AGAIN_S)
        else:
            self._again = self._call_in(self.restarter.next_look_s(LOOK_EVERY_IDLE_S))

    def _goes_on(self) -> bool:
        # Between two iterations Synapse still works: it waits for a silent database, or counts
        # failures until it gives up.
        return any(state.is_open for state in self._throttle.databases.values()) or any(
            database.is_running for database in self._host.databases.values()
        )

    async def _write(self, queues: dict[str, Queue]) -> None:
        ended = self.runs.ended
        if self.loader.problem:
            self.runs.written(ended, self._host.wall_s())
            return
        hours: list[SeenHour] = []
        try:
            # First end used releases: an update that comes again must not find its old release.
            await self.levers.follow(ended, queues)
            wall_s, known = self._host.wall_s(), self._throttle.updates
            entries = [*ended, *self.runs.due(wall_s)]
            if entries:
                hours = self.week.changed()
                keys = dict.fromkeys(entry.key for entry in entries if entry.key in known)
                learned = [Learned.of(key, known[key], wall_s) for key in keys]
                await self.store.write(entries, hours, learned)
            await self._check_store()
        except BaseException:
            self.week.put_back(hours)
            raise
        self.runs.written(entries, wall_s)

    async def _check_store(self) -> None:
        """From time to time, check whether somebody dropped the tables."""
        now_s = self._host.now_s()
        if now_s >= self._check_store_s:
            self._check_store_s = now_s + CHECK_STORE_EVERY_S
            await self.store.check()

    async def _look_at_queues(self) -> dict[str, Queue]:
        queues = {}
        for name, database in tuple(self._host.databases.items()):
            now_s = self._host.now_s()
            state = self._throttle.databases.get(name)
            goes_on = state is not None and (state.is_open or database.is_running)
            held = goes_on and self._throttle.is_held(name)
            if held and now_s < self._next_look_s.get(name, 0.0):
                continue
            self._next_look_s[name] = now_s + LOOK_EVERY_HELD_S
            try:
                queues[name] = await self._calls.within(
                    LONGEST_LOOK_S, f"queue of {name}", self._look_at, database
                )
            except CancelledError:
                raise
            except Exception as error:  # try again later; the probe reports a silent database
                logger.debug("Could not look at the queue of %s: %r", name, error)
                self._is_behind = True
        return queues

    async def _look_at(self, database: Database) -> Queue:
        asked_s = self._host.wall_s()
        rows = await database.queue()
        with self._host.reporting(WHERE):  # updates that stand still are restarted all the same
            self._see(database, rows)
        await self.measure(database, rows)
        return Queue(asked_s, frozenset(row.name for row in rows))

    async def measure(self, database: Database, rows: Sequence[QueueRow]) -> None:
        """Measure the progress, and whether the queue stands still; it was just read."""
        await self.restarter.look(database, rows)
        await self.progress.look(database, rows)

    def _see(self, database: Database, rows: tuple[QueueRow, ...]) -> None:
        names = frozenset(row.name for row in rows)
        known = database.known_updates()
        if known and not names - known <= self._unknown_logged:
            self._unknown_logged |= names - known
            logger.warning(
                "this server does not know %s in the queue of %s, and stops there. They belong to"
                " another version of Synapse, or to a module that is not loaded.",
                listed(sorted(names - known)),
                database.name,
            )
        wall_s = self._host.wall_s()
        self.runs.see_recalled(database.name, names, wall_s)
        state = self._throttle.databases.get(database.name)
        if state is None or not state.is_open:
            self.runs.see(database.name, names, wall_s, aborted=database.has_aborted)
