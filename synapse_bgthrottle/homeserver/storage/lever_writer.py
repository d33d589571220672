"""Changes levers, one request at a time. Each change is written before it is answered."""

import logging
import secrets
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial

import attrs
from synapse.module_api import make_deferred_yieldable
from twisted.internet.defer import CancelledError, DeferredLock

from synapse_bgthrottle import schema
from synapse_bgthrottle.core.levers.apply import LeverResult, change, found_later, meant_by
from synapse_bgthrottle.core.levers.lever import Lever, LeverKind, Levers, UpdateKey
from synapse_bgthrottle.core.levers.request import LeverRequest, StoreUnavailableError
from synapse_bgthrottle.core.scheduling.failures import FailureKind, complaint_of, kind_of
from synapse_bgthrottle.core.scheduling.throttle import Throttle
from synapse_bgthrottle.core.tracking.history import HistoryEntry
from synapse_bgthrottle.homeserver.internals.guard import PreserveLoggingContext
from synapse_bgthrottle.homeserver.internals.server import Homeserver
from synapse_bgthrottle.homeserver.storage.store import Store

logger = logging.getLogger(__name__)

# Requests that wait for the one before them, because a silent database ends none. They later run on
# each other's stack, which a hundred would overflow.
MOST_WAITING = 20

# If a write may have been done, the levers are read again until one read succeeds after the
# database has surely finished the write. The wait between reads doubles up to the longest.
_SURE_AFTER_S = 5.0
_FIRST_READ_S = 0.5
_LONGEST_PAUSE_S = 10.0


@attrs.frozen
class Queue:
    """The content of a database's queue."""

    # When the query was sent, in seconds since the epoch. Later updates may be missing.
    asked_s: float
    names: frozenset[str]  # names of the updates


class LeverWriter:
    """Changes the levers, first in the store and then in the throttle.

    After a lost connection it is unknown whether a write was done. Until it is known, each change
    first reads the store, and a timer reads it, too.
    """

    def __init__(self, host: Homeserver, throttle: Throttle, store: Store) -> None:
        self._host = host
        self._throttle = throttle
        self._store = store
        self._lock = DeferredLock()
        self._doubtful_since_s: float | None = None
        self._read_in_s = _FIRST_READ_S

    async def carry_out(
        self, request: LeverRequest, author: str, pending: Sequence[UpdateKey]
    ) -> LeverResult:
        """Carry out a request. `pending` are the updates in the queues: database and name.

        Raises:
            NothingMatchesError: it matches no pending update, or no lever.
            TooManyLeversError: more than `MOST_LEVERS` would be in force.
            StoreUnavailableError: nothing has changed, or that is unknown; the message says which.
        """
        if len(self._lock.waiting) >= MOST_WAITING:
            raise StoreUnavailableError("nothing has changed: many wait for the database already")
        async with self._alone() as levers:
            wall_s = self._host.wall_s()
            # A release in use stays in force, even if its use is not written yet.
            used = tuple(
                attrs.evolve(lever, used_s=wall_s)
                for lever in levers.all
                if not lever.is_in_force(wall_s) and self._throttle.has_used(lever)
            )
            in_force = (*levers.in_force(wall_s), *used)
            new_id = partial(secrets.token_hex, 4)
            made, ended = change(request, author, pending, in_force, wall_s, new_id)
            use = schema.Use(
                at_ms=round(wall_s * 1000),
                author=author,
                action=request.action.value,
                update=request.update,
                database=request.database,
                reason=request.reason,
                settings=request.written,
                ends_ms=round(made[0].ends_s * 1000) if made else None,
            )
            kept = tuple(lever for lever in used if lever not in ended)
            # Delete what has ended by the clock, too: if the clock is set back, it must not return.
            over = meant_by(request, levers.all)
            await self._write((*made, *kept), (*ended, *over, *kept), use)
            changed = levers.changed((*made, *kept), (*ended, *over, *kept))
            self._throttle.levers = changed.kept(wall_s)
            return LeverResult(made, ended, changed.in_force(wall_s))

    async def follow(self, ended_runs: Iterable[HistoryEntry], queues: Mapping[str, Queue]) -> None:
        """End the releases of updates that have ended, and mark releases in use.

        The update of an ended run may be pending again with another release. An update that is
        missing in `queues` has ended, even if a kill came before its release was ended. Raises
        StoreUnavailableError as `carry_out` does.
        """
        if self._throttle.levers is None or not self._throttle.levers.all:
            return
        ended_s = {entry.key: entry.ended_s or 0.0 for entry in ended_runs}
        async with self._alone() as levers:
            wall_s = self._host.wall_s()
            releases = [
                lever
                for lever in levers.all
                if lever.kind is LeverKind.RELEASE
                and (lever.is_in_force(wall_s) or self._throttle.has_used(lever))
            ]
            ended = [each for each in releases if _has_ended(each, ended_s, queues)]
            used = [
                attrs.evolve(lever, used_s=wall_s)
                for lever in releases
                if lever not in ended and lever.used_s is None and self._throttle.uses(lever)
            ]
            if ended or used:
                await self._write(used, ended, None)
                self._throttle.levers = levers.changed(used, (*ended, *used))

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[Levers]:
        await make_deferred_yieldable(self._lock.acquire())
        try:
            if self._throttle.levers is None:
                raise StoreUnavailableError("what is in force has not been read yet")
            if self._doubtful_since_s is not None:
                await self._read(self._throttle.levers)
            yield self._throttle.levers
        finally:
            with PreserveLoggingContext():  # whoever comes next has a log context of its own
                self._lock.release()

    async def _write(
        self, made: Iterable[Lever], ended: Iterable[Lever], use: schema.Use | None
    ) -> None:
        try:
            await self._store.change(made, ended, use)
        except CancelledError:
            raise
        except Exception as error:
            # The connection may have been lost between COMMIT and its answer.
            is_lost = kind_of(error) is FailureKind.CONNECTION
            effect = "nothing has changed"
            if is_lost:
                self._doubt()
                effect = "it may be done, see the status in some seconds"
            message = f"{effect}: {complaint_of(error)}"
            raise StoreUnavailableError(message, may_be_done=is_lost) from error

    async def _read(self, before: Levers) -> None:
        try:
            found = Levers(await self._store.levers())
        except CancelledError:
            raise
        except Exception as error:
            raise StoreUnavailableError(f"nothing has changed: {complaint_of(error)}") from error
        self._throttle.levers = found
        wall_s = self._host.wall_s()
        for line in found_later(before.in_force(wall_s), found.in_force(wall_s)):
            logger.info("%s", line)

    def _doubt(self) -> None:
        was_doubtful = self._doubtful_since_s is not None
        self._doubtful_since_s = self._host.now_s()
        if not was_doubtful:
            self._read_in_s = _FIRST_READ_S
            self._read_later()

    def _read_later(self) -> None:
        self._host.call_later(self._read_in_s, "bgthrottle_reading_levers", self._settle)
        self._read_in_s = min(self._read_in_s * 2, _LONGEST_PAUSE_S)

    async def _settle(self) -> None:
        """Read the levers, and again later until they are certain."""
        try:
            now_s = self._host.now_s()
            async with self._alone():
                since_s = self._doubtful_since_s
                if since_s is not None and now_s - since_s >= _SURE_AFTER_S:
                    self._doubtful_since_s = None
        except CancelledError:
            raise
        except Exception as error:  # it is tried again
            logger.debug("Could not read what is in force: %r", error)
        if self._doubtful_since_s is not None:
            self._read_later()


def _has_ended(
    release: Lever, ended_s: Mapping[UpdateKey, float], queues: Mapping[str, Queue]
) -> bool:
    """Whether its update has ended since it was made."""
    database = release.database or ""
    if release.created_s < ended_s.get((database, release.update), 0.0):
        return True
    queue = queues.get(database)
    is_older = queue is not None and release.created_s < queue.asked_s
    return queue is not None and is_older and release.update not in queue.names
