"""Limits how many requests are handled at once, and shares one answer among equal ones."""

from collections import deque
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

from synapse.module_api import make_deferred_yieldable
from twisted.internet.defer import CancelledError, Deferred

from synapse_bgthrottle.api.responses import RefusedError
from synapse_bgthrottle.homeserver.internals.guard import PreserveLoggingContext

T = TypeVar("T")

MOST_AT_WORK = 20
MOST_WAITING = 100

_RETRY_AFTER_S = 1


class RequestQueue:
    """Requests in progress and waiting requests, first come, first served."""

    def __init__(self) -> None:
        self._at_work = 0
        self._waiting: deque[Deferred[None]] = deque()
        self._is_admitting = False

    async def enter(self) -> None:
        """Wait for a turn, and call `leave` after it; RefusedError: too many wait already."""
        if self._at_work < MOST_AT_WORK and not self._waiting:
            self._at_work += 1
            return
        if len(self._waiting) >= MOST_WAITING:
            raise RefusedError(
                429,
                "M_LIMIT_EXCEEDED",
                "Too many requests at once",
                {"Retry-After": str(_RETRY_AFTER_S)},
                retry_after_ms=1000 * _RETRY_AFTER_S,
            )
        turn: Deferred[None] = Deferred()
        self._waiting.append(turn)
        try:
            await make_deferred_yieldable(turn)
        except CancelledError:
            self._waiting.remove(turn)
            raise

    def leave(self) -> None:
        """A request that entered is done."""
        self._at_work -= 1
        if self._is_admitting:
            return  # the outer call goes on; recursion could overflow the stack
        self._is_admitting = True
        try:
            with PreserveLoggingContext():  # waiting requests have log contexts of their own
                while self._waiting and self._at_work < MOST_AT_WORK:
                    self._at_work += 1
                    self._waiting.popleft().callback(None)
        finally:
            self._is_admitting = False


class SharedAnswers(Generic[T]):
    """Asks once for all callers of the same question until the answer comes. It keeps none."""

    def __init__(self) -> None:
        self._waiting: dict[Hashable, list[Deferred[T]]] = {}

    def forget(self) -> None:
        """Something has changed, so later callers must not get an older answer."""
        self._waiting = {}

    async def answer(self, question: Hashable, ask: Callable[[], Awaitable[T]]) -> T:
        """What one `ask` gives, or raises, for all who have the same question until it comes."""
        if question in self._waiting:
            answer: Deferred[T] = Deferred()
            self._waiting[question].append(answer)
            return await make_deferred_yieldable(answer)
        waiting = self._waiting[question] = []
        try:
            found = await ask()
        except Exception as error:
            self._end(question, waiting, error)
            raise
        self._end(question, waiting, found)
        return found

    def _end(self, question: Hashable, waiting: list[Deferred[T]], end: T | Exception) -> None:
        if self._waiting.get(question) is waiting:
            del self._waiting[question]
        with PreserveLoggingContext():  # waiting callers have log contexts of their own
            for other in waiting:
                if isinstance(end, Exception):
                    other.errback(end)
                else:
                    other.callback(end)
