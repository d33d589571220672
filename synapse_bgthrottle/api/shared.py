"""One answer for all who ask the same at the same time."""

from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from synapse.module_api import make_deferred_yieldable
from twisted.internet.defer import Deferred

from synapse_bgthrottle.homeserver.internals.guard import PreserveLoggingContext

T = TypeVar("T")


class Shared(Generic[T]):
    """Asks once for all who ask until the answer comes. Nothing is kept beyond that.

    Args:
        ask: gets the answer.
    """

    def __init__(self, ask: Callable[[], Awaitable[T]]) -> None:
        self._ask = ask
        self._waiting: list[Deferred[T]] | None = None

    def forget(self) -> None:
        """Something has changed: whoever asks from now on is not told what was before."""
        self._waiting = None

    async def answer(self) -> T:
        """What it is now.

        Raises:
            Exception: whatever asking raises; all who share the question get it.
        """
        if self._waiting is not None:
            answer: Deferred[T] = Deferred()
            self._waiting.append(answer)
            return await make_deferred_yieldable(answer)
        waiting: list[Deferred[T]] = []
        self._waiting = waiting
        try:
            found = await self._ask()
        except Exception as error:
            self._end(waiting)
            with PreserveLoggingContext():
                for other in waiting:
                    other.errback(error)
            raise
        self._end(waiting)
        with PreserveLoggingContext():  # those who wait bring log contexts of their own
            for other in waiting:
                other.callback(found)
        return found

    def _end(self, waiting: list[Deferred[T]]) -> None:
        if self._waiting is waiting:
            self._waiting = None
