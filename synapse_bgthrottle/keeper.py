"""Keeps what must outlive the process: reads it at the start, writes how updates come along.

While an update is pending it looks at the queue now and then; while none is, at nothing, once that
is known and written.
"""

import logging
import math

from twisted.internet.defer import CancelledError

from synapse_bgthrottle.asker import Pending
from synapse_bgthrottle.courses import Courses
from synapse_bgthrottle.database import complaint_of
from synapse_bgthrottle.failures import is_from_database, is_refusal
from synapse_bgthrottle.homeserver import Database, Homeserver, ServerEndsError, Timer
from synapse_bgthrottle.internal_errors import OnInternalError
from synapse_bgthrottle.lever_desk import LeverDesk, Queue
from synapse_bgthrottle.lever_requests import StoreUnavailableError
from synapse_bgthrottle.levers import Levers
from synapse_bgthrottle.progress_watch import ProgressWatch
from synapse_bgthrottle.queue import QueueRow
from synapse_bgthrottle.seen_week import SeenHour, SeenWeek
from synapse_bgthrottle.store import Store, Stored
from synapse_bgthrottle.throttle import Throttle

logger = logging.getLogger(__name__)

# How often the queue is looked at: while its first update goes on, after a twentieth of the time
# that it has taken so far, between these; while something holds it, seldom. Time left is told once
# eight looks' worth of steps were seen, which is so before a tenth of the way.
LOOK_AFTER_SHARE = 1 / 20
SHORTEST_LOOK_S = 0.5
LONGEST_PAUSE_S = 5.0
LOOK_EVERY_HELD_S = 60.0

# What takes longer goes on, and the rest with it: other databases may answer.
LONGEST_LOOK_S = 3.0
LONGEST_WRITE_S = 10.0

# How soon it is tried again, once nothing goes on, to look or to write, if that failed: doubled up
# to the longest, until it succeeds. What ended last would be told as running for ever.
FIRST_AGAIN_S = 5.0
LONGEST_AGAIN_S = 600.0

# An iteration that ended, and none after it for this long, was the last one for now.
_LINGER_S = 1.0

# One traceback for all places.
_WHERE = "keeping levers and history"

_NOT_READ = "not read yet"
_OPEN_LOOK_S = 0.02
_RETRY_S = (0.5, 1.0, 2.0, 5.0)


class Keeper:
    """Reads the store, then follows the updates.

    Attributes:
        problem: why nothing can be kept; empty: it can.
    """

    def __init__(
        self,
        host: Homeserver,
        throttle: Throttle,
        store: Store,
        courses: Courses,
        progress: ProgressWatch,
        desk: LeverDesk,
        week: SeenWeek,
        on_internal_error: OnInternalError,
    ) -> None:
        self._host = host
        self._throttle = throttle
        self._store = store
        self._courses = courses
        self._progress = progress
        self._desk = desk
        self._week = week
        self._on_internal_error = on_internal_error
        self.problem = _NOT_READ
        self._tries = 0
        self._pending = Pending(host)
        self._is_called = False
        self._is_wanted = False
        self._is_behind = False
        self._again_s = FIRST_AGAIN_S
        self._again: Timer | None = None
        self._looked_s: dict[str, float] = {}
        self._unknown_told: set[str] = set()

    def start(self) -> None:
        """Read what was stored; until that is done, every update is held."""
        self._throttle.levers = None
        if self._host.call_later(0, "bgthrottle_open_store", self._open) is None:
            # Nothing can be read, ever: updates must not wait for it.
            self._throttle.levers = Levers()
            self.problem = "this version of Synapse has no timers that the module knows"

    async def opened(self, limit_s: float) -> str:
        """Why nothing can be kept, once that is known or after this time; empty: it can."""
        until_s = self._host.now_s() + limit_s
        while self.problem == _NOT_READ and self._host.now_s() < until_s:
            await self._host.sleep(_OPEN_LOOK_S)
        return self.problem

    def begin(self, database_name: str, update_name: str) -> None:
        """An iteration of this update begins."""
        try:
            if self._courses.begin(database_name, update_name, self._host.wall_s()):
                self._looked_s.pop(database_name, None)
            self._is_wanted = True
            if self._again is not None and self._again.active():
                self._again.cancel()
                self._again, self._is_called = None, False
            if not self._is_called:
                self._call_in(_LINGER_S)
        except Exception as error:  # the update goes on without
            self._on_internal_error(_WHERE, error)

    async def _open(self) -> None:
        try:
            stored = await self._store.open()
        except CancelledError:
            raise
        except Exception as error:
            self.problem = complaint_of(error)
            ours = not is_from_database(error)
            if ours:
                self._on_internal_error(_WHERE, error)
            if is_refusal(error) or (ours and self._tries >= len(_RETRY_S)):
                # A right that is missing, or an error of ours that stays: no use in waiting, and
                # updates must not wait for ever.
                self._throttle.levers = Levers()
                logger.error(
                    "its tables can be neither made nor read, so that nothing"
                    " can be paused or released, and there is no history: %s",
                    self.problem,
                )
                return
            if not self._tries:
                logger.warning(
                    "what was paused cannot be read yet, which holds all"
                    " updates; trying again until it can: %s",
                    self.problem,
                )
            retry_s = _RETRY_S[min(self._tries, len(_RETRY_S) - 1)]
            self._tries += 1
            self._host.call_later(retry_s, "bgthrottle_open_store", self._open)
            return
        try:
            self._take(stored)
        except Exception as error:
            self._throttle.levers = self._throttle.levers or Levers()
            self._on_internal_error(_WHERE, error)
        if not self._is_called:
            self._call_in(_LINGER_S)  # also where nothing begins: an unknown name may be in the way

    def _take(self, stored: Stored) -> None:
        self.problem = ""
        for line in stored.unreadable:
            logger.error("this cannot be read any more, and is over: %s", line)
        self._throttle.levers = Levers(stored.levers)
        for lever in stored.levers:
            logger.info(
                "still in force: %s of %s%s %s",
                lever.kind.value,
                lever.update,
                f" in {lever.database}" if lever.database else "",
                lever.describe(),
            )
        self._courses.recall(stored.open_entries)
        self._week.recall(stored.hours)

    def _call_in(self, delay_s: float) -> Timer | None:
        timer = self._host.call_later(delay_s, "bgthrottle_keeping", self._look)
        self._is_called = timer is not None
        return timer

    async def _look(self) -> None:
        self._again, self._is_behind = None, False
        self._is_wanted = self._goes_on()  # what ends while we look, is seen by the next look
        try:
            queues = await self._look_at_queues()
            name = "bgthrottle_writing"
            await self._pending.within(LONGEST_WRITE_S, name, self._write, queues)
        except CancelledError:
            raise
        except Exception as error:  # what was not written is kept for the next time
            logger.debug("Could not write the history: %r", error)
            self._is_behind = True
            known = (StoreUnavailableError, ServerEndsError)
            if not isinstance(error, known) and not is_from_database(error):
                self._on_internal_error(_WHERE, error)
        finally:
            self._is_called = False
            if not self._is_behind:
                self._again_s = FIRST_AGAIN_S
            if self._is_wanted or self._goes_on():
                since_s = self._courses.newest_since_s(self._host.wall_s())
                look_s = max(since_s * LOOK_AFTER_SHARE, SHORTEST_LOOK_S)
                self._call_in(min(look_s, LONGEST_PAUSE_S))
            elif self._is_behind:
                self._again = self._call_in(self._again_s)
                self._again_s = min(self._again_s * 2, LONGEST_AGAIN_S)

    def _goes_on(self) -> bool:
        # Also between two iterations: there Synapse waits for a database that does not answer, or
        # counts the failures until it gives up.
        return any(state.is_open for state in self._throttle.databases.values()) or any(
            database.is_running for database in self._host.databases.values()
        )

    async def _write(self, queues: dict[str, Queue]) -> None:
        ended = self._courses.ended()
        if self.problem:
            self._courses.written()
            return
        hours: list[SeenHour] = []
        try:
            entries = [*ended, *self._courses.due(self._host.wall_s())]
            if entries:
                hours = self._week.changed()
                await self._store.write(entries, hours)
        except BaseException:
            self._courses.put_back(ended)
            self._week.put_back(hours)
            raise
        self._courses.written()
        await self._desk.follow((entry.key for entry in ended), queues)

    async def _look_at_queues(self) -> dict[str, Queue]:
        queues = {}
        for name, database in tuple(self._host.databases.items()):
            now_s = self._host.now_s()
            state = self._throttle.databases.get(name)
            goes_on = state is not None and (state.is_open or database.is_running)
            held = goes_on and self._throttle.is_held(name)
            if held and now_s - self._looked_s.get(name, -math.inf) < LOOK_EVERY_HELD_S:
                continue
            self._looked_s[name] = now_s
            process = f"bgthrottle_looking_at_{name}"
            try:
                queues[name] = await self._pending.within(
                    LONGEST_LOOK_S, process, self._look_at, database
                )
            except CancelledError:
                raise
            except Exception as error:  # there is a next time; the watch tells of a silent one
                logger.debug("Could not look at the queue of %s: %r", name, error)
                self._is_behind = True
        return queues

    async def _look_at(self, database: Database) -> Queue:
        asked_s = self._host.wall_s()
        rows = await database.queue()
        self._see(database, rows)
        await self._progress.look(database, rows)
        return Queue(asked_s, frozenset(row.name for row in rows))

    def _see(self, database: Database, rows: tuple[QueueRow, ...]) -> None:
        names = frozenset(row.name for row in rows)
        known = database.known_updates()
        if known and not names - known <= self._unknown_told:
            self._unknown_told |= names - known
            logger.warning(
                "this server does not know, and will stop at, these updates in"
                " the queue of %s: %s. They belong to another version of Synapse, or to a module.",
                database.name,
                ", ".join(sorted(names - known)),
            )
        wall_s = self._host.wall_s()
        self._courses.see_recalled(database.name, names, wall_s)
        state = self._throttle.databases.get(database.name)
        if state is None or not state.is_open:
            self._courses.see(database.name, names, wall_s, aborted=database.has_aborted)
