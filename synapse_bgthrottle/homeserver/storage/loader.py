"""Reads what was stored before the start. Until that is done, every update is held."""

import logging
from collections.abc import Callable
from functools import partial

from twisted.internet.defer import CancelledError

from synapse_bgthrottle.core.levers.lever import Levers
from synapse_bgthrottle.core.scheduling.failures import (
    complaint_of,
    is_from_database,
    is_refusal,
    is_unusable,
)
from synapse_bgthrottle.core.scheduling.throttle import Throttle
from synapse_bgthrottle.core.units import settings_in_words
from synapse_bgthrottle.homeserver.internals.bounded_calls import BoundedCalls
from synapse_bgthrottle.homeserver.internals.server import Homeserver
from synapse_bgthrottle.homeserver.storage.store import Store, Stored

logger = logging.getLogger(__name__)

# One name, so that one traceback is logged for all places.
WHERE = "keeping levers and history"

# After this time another try may get a connection that answers. Each that hangs keeps one.
_LONGEST_OPEN_S = 30.0
_MOST_HANGING = 2
_OPEN_LOOK_S = 0.02
_RETRY_S = (0.5, 1.0, 2.0, 5.0)


class StoreLoader:
    """Opens the store. Gives the levers to the throttle, and the rest to the caller of `start`."""

    def __init__(self, host: Homeserver, throttle: Throttle, store: Store) -> None:
        self._host = host
        self._throttle = throttle
        self._store = store
        self._calls = BoundedCalls(
            host, "bgthrottle_open_store", most_overdue=_MOST_HANGING, cancels=True
        )
        self.problem = "not read yet"  # why nothing can be stored; empty: it can
        self._was_tried = False
        self._tries = 0
        self._then: Callable[[Stored], None] = lambda stored: None

    def start(self, then: Callable[[Stored], None]) -> None:
        """Read the stored data and pass it to `then`. Every update is held until that is done."""
        self._then = then
        self._throttle.levers = None
        self._open_in(0)

    def _open_in(self, delay_s: float) -> None:
        if self._host.call_later(delay_s, "bgthrottle_open_store", self._open) is None:
            # Nothing can ever be read, so updates must not wait for it.
            self._throttle.levers = Levers()
            self.problem = "this version of Synapse has no timers that the module knows"
            self._was_tried = True

    async def opened(self, limit_s: float) -> str:
        """Why nothing can be stored (empty: it can), as soon as known or after this time."""
        until_s = self._host.now_s() + limit_s
        while not self._was_tried and self._host.now_s() < until_s:
            await self._host.sleep(_OPEN_LOOK_S)
        return self.problem

    async def _open(self) -> None:
        try:
            stored = await self._calls.within(_LONGEST_OPEN_S, "the store", self._store.open)
            take = partial(self._take, stored)
        except CancelledError:
            raise
        except Exception as error:
            take = partial(self._failed, error)
        self._was_tried = True
        try:
            take()
        except Exception as error:  # nothing would try again, and updates must not wait forever
            self._throttle.levers = self._throttle.levers or Levers()
            self._host.on_internal_error(WHERE, error)

    def _failed(self, error: Exception) -> None:
        self.problem = complaint_of(error)
        ours = not is_from_database(error)
        if ours:
            self._host.on_internal_error(WHERE, error)
        if is_refusal(error) or is_unusable(error) or (ours and self._tries >= len(_RETRY_S)):
            # A right or column is missing, a view replaces a table, or an error of the module
            # lasts. Waiting does not help, and updates must not wait forever.
            self._throttle.levers = Levers()
            logger.error(
                "the tables bgthrottle_* can be neither made nor read: nothing can be paused or"
                " released, and there is no history: %s",
                self.problem,
            )
            return
        if not self._tries:
            logger.warning(
                "pauses cannot be read yet, so all updates are held; the module tries again: %s",
                self.problem,
            )
        retry_s = _RETRY_S[min(self._tries, len(_RETRY_S) - 1)]
        self._tries += 1
        self._open_in(retry_s)

    def _take(self, stored: Stored) -> None:
        self.problem = ""
        self._throttle.levers = levers = Levers(stored.levers)
        for lever in levers.in_force(self._host.wall_s()):
            logger.info(
                "still in force: %s of %s%s%s %s",
                lever.kind.value,
                lever.update,
                f" in {lever.database}" if lever.database else "",
                f" to {settings_in_words(lever.written)}" if lever.written else "",
                lever.describe(),
            )
        self._then(stored)
