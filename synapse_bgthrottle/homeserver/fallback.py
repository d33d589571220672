"""The iteration after an error of the module: like stock Synapse, with a longer pause."""

import logging
from contextlib import AbstractAsyncContextManager
from types import TracebackType

from twisted.internet.defer import CancelledError

from synapse_bgthrottle.core.scheduling.holds import BACKOFF_S
from synapse_bgthrottle.homeserver.internals.server import Homeserver

logger = logging.getLogger(__name__)


class FallbackIteration(AbstractAsyncContextManager[int]):
    """Sleeps, then yields the target duration, as stock Synapse does.

    After a failed batch it sleeps longer than stock Synapse. That makes its five tries within five
    seconds, so a short outage aborts all updates. The time since `asked_s` (monotonic) counts as
    slept; None: no time does.
    """

    def __init__(self, host: Homeserver, asked_s: float | None = None) -> None:
        self._host = host
        self._asked_s = asked_s

    async def __aenter__(self) -> int:
        stock = self._host.stock
        await self._sleep(stock.sleep_ms / 1000, self._asked_s)
        return stock.target_duration_ms

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        if isinstance(exc, Exception) and not isinstance(exc, CancelledError):
            await self._sleep(BACKOFF_S[0])

    async def _sleep(self, seconds: float, since_s: float | None = None) -> None:
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
