"""Repeats one query as long as somebody wants its answers."""

from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

import attrs
from twisted.internet.defer import CancelledError

from synapse_bgthrottle.core.scheduling.failures import complaint_of
from synapse_bgthrottle.homeserver.internals.bounded_calls import Call, ServerEndsError
from synapse_bgthrottle.homeserver.internals.guard import OnInternalError
from synapse_bgthrottle.homeserver.internals.server import Homeserver

T = TypeVar("T")


@attrs.frozen
class Question(Generic[T]):
    """What to query, and how often.

    Attributes:
        description: name of the process for the query.
        period_s: how often.
        patience_s: without an answer after this time, a problem is reported each period.
        ask: the query; an answer of None is not passed on.
        answer_of: makes an answer from the description of a problem.
    """

    description: str
    period_s: float
    patience_s: float
    ask: Callable[[], Awaitable[T | None]]
    answer_of: Callable[[str], T]


class Poller(Generic[T]):
    """Repeats a query every `period_s`, while somebody calls `look`; `pass_on` gets the answers.

    It does not repeat a query that has no answer yet.

    Attributes:
        period_s: how often.
    """

    def __init__(
        self,
        host: Homeserver,
        question: Question[T],
        pass_on: Callable[[T], None],
        on_internal_error: OnInternalError,
    ) -> None:
        self.period_s = question.period_s
        self._host = host
        self._question = question
        self._pass_on = pass_on
        self._on_internal_error = on_internal_error
        # Monotonic: when to ask again (None: now), when the query in progress was sent (None: there
        # is none), and when the last answered one was (None: none was answered).
        self._next_s: float | None = None
        self._asked_s: float | None = None
        self._answered_s: float | None = None

    def has_answered(self, since_s: float | None) -> bool:
        """Whether a query was answered that was sent at this time or later; None: at any."""
        if since_s is None:
            return True
        return self._answered_s is not None and self._answered_s >= since_s

    def look(self, now_s: float) -> None:
        """Send the query, if it is due."""
        if self._next_s is not None and now_s < self._next_s:
            return
        if self._asked_s is None:
            self.ask(now_s)
        elif now_s - self._asked_s >= self._question.patience_s:
            self._next_s = now_s + self.period_s
            problem = f"no answer for {now_s - self._asked_s:.0f} s"
            self._pass_on(self._question.answer_of(problem))

    def ask(self, now_s: float) -> None:
        """Send the query now, unless one is in progress."""
        if self._asked_s is not None:
            return
        try:
            Call(self._host, self._question.description, self._run)
        except ServerEndsError:
            return
        self._asked_s = now_s
        self._next_s = now_s + self.period_s

    async def _run(self) -> None:
        try:
            await self._answer()
        except CancelledError:
            raise
        except Exception as error:  # the next answer is passed on again
            self._on_internal_error(f"with an answer to {self._question.description}", error)
        finally:
            self._answered_s, self._asked_s = self._asked_s, None

    async def _answer(self) -> None:
        try:
            answer = await self._question.ask()
        except CancelledError:
            raise
        except Exception as error:  # report any error as the answer
            answer = self._question.answer_of(complaint_of(error))
        if answer is not None:
            self._pass_on(answer)
