"""The iteration after an error of the module: like stock Synapse, but it keeps people's holds."""

import logging
from contextlib import AbstractAsyncContextManager, suppress
from types import TracebackType

import attrs
from twisted.internet.defer import CancelledError

from synapse_bgthrottle.core.levers.lever import UpdateKey
from synapse_bgthrottle.core.scheduling import holds
from synapse_bgthrottle.core.scheduling.decision import Cause, Conditions, Decision, Verdict
from synapse_bgthrottle.core.scheduling.holds import Case
from synapse_bgthrottle.core.scheduling.throttle import Throttle
from synapse_bgthrottle.homeserver.internals.server import Homeserver

logger = logging.getLogger(__name__)

# How often to look at a hold again. Pauses that the start still reads are there within moments.
_LOOK_AGAIN_S = 2.0
_SHORTEST_LOOK_S = 0.02


@attrs.define
class FallbackIteration(AbstractAsyncContextManager[int]):
    """Sleeps, waits while somebody holds the update, then yields stock's target duration.

    After a failed batch it sleeps longer than stock Synapse. That makes its five tries within five
    seconds, so a short outage aborts all updates.

    The time since `asked_s` (monotonic) counts as slept; None: no time does, and budgets do not
    count, because nothing measures them. `one_shot` is Synapse's flag.
    """

    _host: Homeserver
    _throttle: Throttle
    _key: UpdateKey
    _one_shot: bool = False
    _asked_s: float | None = None
    _logged: Cause | None = attrs.field(default=None, init=False)

    async def __aenter__(self) -> int:
        target_ms = await self.rest()
        while await self.sleep_if_held():
            pass
        return target_ms

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        if isinstance(exc, Exception) and not isinstance(exc, CancelledError):
            await self._sleep(holds.BACKOFF_S[0])

    async def sleep_if_held(self) -> bool:
        """Sleep for a moment if somebody holds the update. Return whether it slept."""
        try:
            hold = self._hold()
        except Exception as error:
            self._host.on_internal_error("looking for pauses", error)
            return False
        if hold is None:
            return False
        if hold.cause not in (self._logged, Cause.LEVERS):
            self._logged = hold.cause
            database, update = self._key
            logger.warning("Holding %s in %s after an error: %s", update, database, hold.reason)
        return await self._sleep(max(min(hold.wait_s, _LOOK_AGAIN_S), _SHORTEST_LOOK_S))

    async def rest(self) -> int:
        """Sleep as stock Synapse does. Return its target duration."""
        stock = self._host.stock
        await self._sleep(stock.sleep_ms / 1000, self._asked_s)
        return stock.target_duration_ms

    def _hold(self) -> Verdict | None:
        """The first hold in force. If a rule fails, the others are asked all the same."""
        case = self._case()
        for cause, rule in holds.ASKED_FOR:
            try:
                verdict = holds.hold_by(case, cause, rule)
            except Exception as error:
                self._host.on_internal_error("looking for pauses", error)
                continue
            if verdict is not None:
                self._note(verdict)
                return verdict
        self._note(Verdict(Cause.RUN, 0.0, "at stock Synapse's pace, after an internal error"))
        return None

    def _case(self) -> Case:
        throttle = self._throttle
        at = Conditions(self._host.now_s(), self._host.wall_s(), enabled=self._is_enabled())
        if self._key not in throttle.updates:
            throttle.updates[self._key] = throttle.new_state(self._key, self._one_shot)
        update = throttle.updates[self._key]
        try:
            throttle.limits.refresh(update, self._key, throttle.levers, at.wall_s)
        except Exception:
            if update.levers is None:  # they will never be known, and must not be waited for
                raise
        state, is_measured = throttle.databases.get(self._key[0]), self._asked_s is not None
        return Case(update, state, throttle.pacer, at, is_measured=is_measured)

    def _is_enabled(self) -> bool:
        try:
            return self._host.database(self._key[0]).enabled
        except Exception:  # as where the switch cannot be read
            return True

    def _note(self, verdict: Verdict) -> None:
        """For the status."""
        target_ms = self._host.stock.target_duration_ms
        with suppress(Exception):
            items = self._throttle.batch_items(*self._key)
            decision = Decision(**attrs.asdict(verdict), target_ms=target_ms, items=items)
            self._throttle.updates[self._key].note(decision, self._host.now_s())

    async def _sleep(self, seconds: float, since_s: float | None = None) -> bool:
        """Sleep, less the time since `since_s`. Return False if that fails."""
        try:
            if since_s is not None:
                seconds -= self._host.now_s() - since_s
            if seconds > 0:
                await self._host.sleep(seconds)
        except CancelledError:
            raise
        except Exception:
            # The last resort must not fail: five failures abort all updates.
            logger.debug("Could not sleep", exc_info=True)
            return False
        return True
