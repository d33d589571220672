"""One question that is asked again and again, as long as somebody wants its answers."""

import math
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
    """What is asked, and how often.

    Attributes:
        description: the name of the process that asks.
        period_s: how often.
        patience_s: after this time without an answer there is a problem, again each period.
        ask: the question; an answer of None is that there is nothing to tell.
        answer_of: what a problem, in words, is as an answer.
    """

    description: str
    period_s: float
    patience_s: float
    ask: Callable[[], Awaitable[T | None]]
    answer_of: Callable[[str], T]


class Poller(Generic[T]):
    """Asks one question every `period_s`, while somebody calls `look`; `tell` gets the answers.

    What does not answer is not asked again until it does.

    Attributes:
        period_s: how often.
        told_s: when the last question was asked to which there was an answer.
    """

    def __init__(
        self,
        host: Homeserver,
        question: Question[T],
        tell: Callable[[T], None],
        on_internal_error: OnInternalError,
    ) -> None:
        self.period_s = question.period_s
        self.told_s = -math.inf
        self._host = host
        self._question = question
        self._tell = tell
        self._on_internal_error = on_internal_error
        self._next_s = -math.inf
        self._asked_s: float | None = None

    def look(self, now_s: float) -> None:
        """Ask, if it is time to."""
        if now_s < self._next_s:
            return
        if self._asked_s is None:
            self.ask(now_s)
        elif now_s - self._asked_s >= self._question.patience_s:
            self._next_s = now_s + self.period_s
            problem = f"no answer for {now_s - self._asked_s:.0f} s"
            self._tell(self._question.answer_of(problem))

    def ask(self, now_s: float) -> None:
        """Ask now, unless an answer is waited for."""
        if self._asked_s is not None:
            return
        try:
            Call(self._host, self._question.description, self._run)
        except ServerEndsError:
            return
        self._asked_s = now_s
        self._next_s = now_s + self.period_s

    async def _run(self) -> None:
        asked_s = -math.inf if self._asked_s is None else self._asked_s
        try:
            await self._answer()
        except CancelledError:
            raise
        except Exception as error:  # what is asked next is told again
            self._on_internal_error(f"with an answer to {self._question.description}", error)
        finally:
            self._asked_s = None
            self.told_s = asked_s

    async def _answer(self) -> None:
        try:
            answer = await self._question.ask()
        except CancelledError:
            raise
        except Exception as error:  # whatever it is, there is no answer
            answer = self._question.answer_of(complaint_of(error))
        if answer is not None:
            self._tell(answer)
