"""Calls with a time limit, to a database or anything else that may not answer.

Only this module decides how long to wait and how many calls may be in progress. It also decides
what happens to a call that nobody waits for any more.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from threading import Thread
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

    Raises ServerEndsError if the server ends, and the call was not made.
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
        self._outcome: tuple[T] | Exception = TimeoutError("it was cancelled")
        self._waiter: Deferred[None] = Deferred()
        if host.call_later(0, description, self._run) is None:
            raise ServerEndsError("the server ends")

    async def within(self, limit_s: float) -> T:
        """The answer. Only one caller may wait at a time; later callers get the same answer.

        Raises TimeoutError if it takes longer, or was cancelled, and whatever the function raises.
        """
        if not self.has_ended:
            self._waiter = Deferred()
            timer = self._host.call_later(limit_s, "bgthrottle_time_limit", self._wake)
            try:
                await make_deferred_yieldable(self._waiter)
            finally:
                if timer is not None and timer.active():
                    timer.cancel()
        if not self.has_ended:
            raise TimeoutError(f"no answer within {limit_s:g} s")
        if isinstance(self._outcome, Exception):
            raise self._outcome
        return self._outcome[0]

    def cancel(self) -> None:
        """End it. A cancelled transaction of Synapse only ends when the database lets it."""
        self._is_cancelled = True
        if self._running is not None:
            with PreserveLoggingContext():  # its callbacks have log contexts of their own
                self._running.cancel()

    async def _run(self) -> None:
        try:
            if not self._is_cancelled:
                self._running = run_in_background(self._function)
                self._outcome = (await make_deferred_yieldable(self._running),)
        except CancelledError:
            if not self._is_cancelled:
                raise
        except Exception as error:
            self._outcome = error
        finally:
            self.has_ended = True
            await self._wake()

    async def _wake(self) -> None:
        with PreserveLoggingContext():  # the waiting code has a log context of its own
            if not self._waiter.called:
                self._waiter.callback(None)


class BoundedCalls:
    """Calls by name. If too many of a name are overdue, no further one is made.

    `most_overdue` of a name may continue after their time limit. With `cancels` a call is cancelled
    at its time limit; otherwise it runs to its end.
    """

    def __init__(
        self, host: Homeserver, description: str, *, most_overdue: int = 1, cancels: bool = False
    ) -> None:
        self._host = host
        self._description = description
        self._most_overdue = most_overdue
        self._cancels = cancels
        self._overdue: list[tuple[str, Call[Any]]] = []

    async def within(
        self, limit_s: float, name: str, function: Callable[..., Awaitable[T]], *arguments: Any
    ) -> T:
        """The answer, as by `Call.within`. `name` says what the call concerns.

        Raises TimeoutError if it took longer, or too many calls of this name are overdue.
        """
        self._overdue = [(whose, call) for whose, call in self._overdue if not call.has_ended]
        overdue = sum(whose == name for whose, _ in self._overdue)
        if overdue >= self._most_overdue:
            raise TimeoutError(f"no answer to {overdue} earlier question{'s' * (overdue > 1)}")
        call = Call(self._host, self._description, function, *arguments)
        try:
            return await call.within(limit_s)
        finally:
            if not call.has_ended:
                self._overdue.append((name, call))
                if self._cancels:
                    call.cancel()


def questions(host: Homeserver) -> BoundedCalls:
    """Queries to databases, which are cancelled at their time limit."""
    return BoundedCalls(host, "bgthrottle_question", most_overdue=MOST_OVERDUE, cancels=True)


class BlockingCall(Generic[T]):
    """Calls a function that may hang in a thread of its own, one call at a time.

    Use it in a thread. Twisted waits for its own threads before the server can end, so none of them
    may hang. This one is a daemon, which nobody waits for.
    """

    def __init__(self, function: Callable[..., T]) -> None:
        self._function = function
        self._thread: Thread | None = None
        self._outcome: tuple[T] | Exception = TimeoutError("it was not called")

    def within(self, limit_s: float, *arguments: Any) -> T:
        """The function's answer, or that of the call that still runs. It blocks.

        Raises TimeoutError if it takes longer, and whatever the function raises.
        """
        thread = self._thread
        if thread is None:
            thread = Thread(target=self._run, args=arguments, daemon=True)
            thread.start()
        self._thread = thread
        thread.join(limit_s)
        if thread.is_alive():
            raise TimeoutError(f"no answer within {limit_s:g} s")
        self._thread = None
        if isinstance(self._outcome, Exception):
            raise self._outcome
        return self._outcome[0]

    def _run(self, *arguments: Any) -> None:
        try:
            self._outcome = (self._function(*arguments),)
        except Exception as error:  # raised again where it is waited for
            self._outcome = error
