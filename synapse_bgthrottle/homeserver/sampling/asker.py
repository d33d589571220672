"""Questions to what may not answer: how often, how long, and how many at a time."""

import math
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar

from synapse.module_api import make_deferred_yieldable, run_in_background
from twisted.internet.defer import CancelledError, Deferred

from synapse_bgthrottle.homeserver.internals.database import complaint_of
from synapse_bgthrottle.homeserver.internals.guard import OnInternalError, PreserveLoggingContext
from synapse_bgthrottle.homeserver.internals.server import Homeserver

T = TypeVar("T")

# A page that asks every few seconds while a database is gone must not pile up questions.
MOST_OVERDUE = 20


class Asker(Generic[T]):
    """Asks one question every `period_s`, while somebody calls `look`.

    What does not answer is not asked again until it does. After `patience_s`, and then once a
    period, `tell_problem` is told so. An answer of None is that there is nothing to tell.

    Attributes:
        period_s: how often.
        told_s: when the last question was asked to which there was an answer.
    """

    def __init__(
        self,
        host: Homeserver,
        description: str,
        period_s: float,
        patience_s: float,
        ask: Callable[[], Awaitable[T | None]],
        tell: Callable[[T], None],
        tell_problem: Callable[[str], None],
        on_internal_error: OnInternalError,
    ) -> None:
        self._host = host
        self._description = description
        self.period_s = period_s
        self._patience_s = patience_s
        self._ask = ask
        self._tell = tell
        self._tell_problem = tell_problem
        self._on_internal_error = on_internal_error
        self._next_s = -math.inf
        self._asked_s: float | None = None
        self.told_s = -math.inf

    def look(self, now_s: float) -> None:
        """Ask, if it is time to."""
        if now_s < self._next_s:
            return
        if self._asked_s is None:
            self.ask(now_s)
        elif now_s - self._asked_s >= self._patience_s:
            self._next_s = now_s + self.period_s
            self._tell_problem(f"no answer for {now_s - self._asked_s:.0f} s")

    def ask(self, now_s: float) -> None:
        """Ask now, unless an answer is waited for."""
        # A process of its own: the question may outlive whoever looks.
        if (
            self._asked_s is None
            and self._host.call_later(0, self._description, self._run) is not None
        ):
            self._asked_s = now_s
            self._next_s = now_s + self.period_s

    async def _run(self) -> None:
        asked_s = -math.inf if self._asked_s is None else self._asked_s
        try:
            await self._answer()
        except CancelledError:
            raise
        except Exception as error:  # what is asked next is told again
            self._on_internal_error(f"with an answer to {self._description}", error)
        finally:
            self._asked_s = None
            self.told_s = asked_s

    async def _answer(self) -> None:
        try:
            answer = await self._ask()
        except CancelledError:
            raise
        except Exception as error:  # whatever it is, there is no answer
            self._tell_problem(complaint_of(error))
        else:
            if answer is not None:
                self._tell(answer)


class Pending:
    """What goes on to its end though nobody waits for it any more; not begun again before."""

    def __init__(self, host: Homeserver) -> None:
        self._host = host
        self._begun: set[str] = set()

    async def within(
        self, limit_s: float, name: str, function: Callable[..., Awaitable[T]], *arguments: object
    ) -> T:
        """What the function answers. `name` tells what it is about.

        Raises:
            TimeoutError: it takes longer, and goes on; or the one of this name before goes on.
            ServerEndsError: nothing was done.
            Exception: whatever the function raises.
        """
        if name in self._begun:
            raise TimeoutError(f"{name} has not ended yet")

        async def run() -> T:
            try:
                return await function(*arguments)
            finally:
                self._begun.discard(name)

        self._begun.add(name)
        return await self._host.unbroken(limit_s, name, run)


class Questions:
    """Questions that whoever asks waits for, but not for long."""

    def __init__(self, host: Homeserver) -> None:
        self._host = host
        self._overdue: Counter[str] = Counter()

    async def within(
        self, limit_s: float, asked: str, function: Callable[..., Awaitable[Any]], *arguments: Any
    ) -> Any:
        """What the function answers, for which it has this time.

        Then it is cancelled, but not waited for: a transaction of Synapse ends when the database
        lets it. While many to the same one have not ended, no more are begun; `asked` names it.

        Raises:
            TimeoutError: it took longer, or too many have not ended.
            ServerEndsError: nothing was done.
            Exception: whatever the function raises.
        """
        if self._overdue[asked] >= MOST_OVERDUE:
            raise TimeoutError(f"no answer to {self._overdue[asked]} earlier questions")
        running: list[Deferred[Any]] = []
        is_given_up = False

        async def run() -> Any:
            running.append(run_in_background(function, *arguments))
            try:
                return await make_deferred_yieldable(running[0])
            except CancelledError:
                if is_given_up:
                    return None
                raise
            finally:
                running.clear()
                self._overdue[asked] -= is_given_up

        try:
            return await self._host.unbroken(limit_s, "bgthrottle_question", run)
        finally:
            if running:
                is_given_up = True
                self._overdue[asked] += 1
                with PreserveLoggingContext():  # its callbacks bring contexts of their own
                    running[0].cancel()
