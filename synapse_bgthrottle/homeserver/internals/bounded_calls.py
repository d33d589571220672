"""Calls with a time limit, to a database or anything else that may not answer.

Only this module decides how long to wait and how many calls may be in progress. It also decides
what happens to a call that nobody waits for any more.
"""

from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Generic, TypeVar

from synapse.module_api import make_deferred_yieldable, run_in_background
from twisted.internet.defer import CancelledError, Deferred

from synapse_bgthrottle.homeserver.internals.guard import PreserveLoggingContext
from synapse_bgthrottle.homeserver.internals.server import Homeserver

T = TypeVar("T")

# A page that asks every few seconds must not pile up queries to a database that is down.
MOST_OVERDUE = 20


class ServerEndsError(RuntimeError):
    """The server shuts down, so no new call is made."""


class Call(Generic[T]):
    """A call in a background process of its own. It continues even if nobody waits for its answer.

    Args:
        description: the name of that process.

    Attributes:
        has_ended: whether it has returned or raised.

    Raises:
        ServerEndsError: the call was not made.
    """

    def __init__(
        self,
        host: Homeserver,
        description: str,
        function: Callable[..., Awaitable[T]],
        *arguments: Any,
    ) -> None:
        self.has_ended = False
        self._host = host
        self._function = partial(function, *arguments)
        self._running: Deferred[T] | None = None
        self._is_cancelled = False
        self._answer: tuple[T] | None = None
        self._error: Exception = TimeoutError("it was cancelled")
        self._waiter: Deferred[None] | None = None
        self._on_end: Callable[[], None] | None = None
        if host.call_later(0, description, self._run) is None:
            raise ServerEndsError("the server ends")

    async def within(self, limit_s: float) -> T:
        """The answer. Only one caller may wait at a time; later callers get the same answer.

        Raises:
            TimeoutError: it takes longer, or was cancelled.
            Exception: whatever the function raises.
        """
        if not self.has_ended:
            waiter: Deferred[None] = Deferred()
            self._waiter = waiter

            async def give_up() -> None:
                with PreserveLoggingContext():  # the waiting code has a log context of its own
                    if not waiter.called:
                        waiter.errback(TimeoutError(f"no answer within {limit_s:g} s"))

            timer = self._host.call_later(limit_s, "bgthrottle_time_limit", give_up)
            try:
                await make_deferred_yieldable(waiter)
            except TimeoutError:
                if not self.has_ended:
                    raise
            finally:
                if timer is not None and timer.active():
                    timer.cancel()
        if self._answer is None:
            raise self._error
        return self._answer[0]

    def leave(self, on_end: Callable[[], None], *, cancels: bool) -> None:
        """Nobody waits any more. `on_end` is called once the call has ended.

        A cancelled transaction of Synapse only ends when the database lets it.
        """
        if self.has_ended:
            on_end()
            return
        self._on_end, self._is_cancelled = on_end, cancels
        if cancels and self._running is not None:
            with PreserveLoggingContext():  # its callbacks have log contexts of their own
                self._running.cancel()

    async def _run(self) -> None:
        try:
            if not self._is_cancelled:
                self._running = run_in_background(self._function)
                self._answer = (await make_deferred_yieldable(self._running),)
        except CancelledError:
            if not self._is_cancelled:
                raise
        except Exception as error:
            self._error = error
        finally:
            self.has_ended = True
            if self._on_end is not None:
                self._on_end()
        with PreserveLoggingContext():
            if self._waiter is not None and not self._waiter.called:
                self._waiter.callback(None)


class BoundedCalls:
    """Calls by name. If too many of a name are overdue, no further one is made.

    Args:
        description: the name of each call's process.
        most_overdue: how many of a name may continue after their time limit.
        cancels: whether a call is cancelled at its time limit; otherwise it runs to its end.
    """

    def __init__(
        self, host: Homeserver, description: str, *, most_overdue: int = 1, cancels: bool = False
    ) -> None:
        self._host = host
        self._description = description
        self._most_overdue = most_overdue
        self._cancels = cancels
        self._overdue: Counter[str] = Counter()

    async def within(
        self, limit_s: float, name: str, function: Callable[..., Awaitable[T]], *arguments: Any
    ) -> T:
        """The function's answer within this time. `name` says what the call concerns.

        Raises:
            TimeoutError: it took longer, or too many calls of this name are overdue.
            ServerEndsError: the call was not made.
            Exception: whatever the function raises.
        """
        overdue = self._overdue[name]
        if overdue >= self._most_overdue:
            raise TimeoutError(f"no answer to {overdue} earlier question{'s' * (overdue > 1)}")
        call = Call(self._host, self._description, function, *arguments)
        try:
            return await call.within(limit_s)
        finally:
            if not call.has_ended:
                self._overdue[name] += 1
                call.leave(partial(self._overdue.subtract, [name]), cancels=self._cancels)


def questions(host: Homeserver) -> BoundedCalls:
    """Queries to databases, which are cancelled at their time limit."""
    return BoundedCalls(host, "bgthrottle_question", most_overdue=MOST_OVERDUE, cancels=True)
