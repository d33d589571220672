"""Repeats one query as long as somebody wants its answers."""

from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

import attrs
from twisted.internet.defer import CancelledError

from synapse_bgthrottle.core.scheduling.failures import complaint_of
from synapse_bgthrottle.homeserver.internals.server import Homeserver

T = TypeVar("T")

# A database that has not answered for this long counts as not answering.
PATIENCE_S = 3.0


@attrs.define(slots=False, eq=False)
class Poller(Generic[T]):
    """Repeats a query every `period_s`, while somebody calls `look`.

    It does not repeat a query that has no answer yet. If that lasts, it reports a problem each
    period.
    """

    host: Homeserver
    description: str  # name of the process for the query
    period_s: float
    query: Callable[[], Awaitable[T | None]]  # an answer of None is not passed on
    answer_of: Callable[[str], T]  # makes an answer from the description of a problem
    pass_on: Callable[[T], None]
    # Monotonic: when to ask again, when the query in progress was sent (None: there is none), and
    # when the last answered one was sent (None: none was answered).
    _next_s: float = attrs.field(default=0.0, init=False)
    _asked_s: float | None = attrs.field(default=None, init=False)
    _answered_s: float | None = attrs.field(default=None, init=False)

    def has_answered(self, since_s: float) -> bool:
        """Whether a query was answered that was sent at this time or later."""
        return self._answered_s is not None and self._answered_s >= since_s

    def look(self, now_s: float) -> None:
        """Send the query, if it is due."""
        if now_s < self._next_s:
            return
        if self._asked_s is None:
            self.ask(now_s)
        elif now_s - self._asked_s >= max(self.period_s, PATIENCE_S):
            self._next_s = now_s + self.period_s
            self.pass_on(self.answer_of(f"no answer for {now_s - self._asked_s:.0f} s"))

    def ask(self, now_s: float) -> None:
        """Send the query now, unless one is in progress or the server ends."""
        if self._asked_s is None and self.host.call_later(0, self.description, self._run):
            self._asked_s = now_s
            self._next_s = now_s + self.period_s

    async def _run(self) -> None:
        try:
            with self.host.reporting(f"with an answer to {self.description}"):
                await self._answer()
        finally:
            self._answered_s, self._asked_s = self._asked_s, None

    async def _answer(self) -> None:
        try:
            answer = await self.query()
        except CancelledError:
            raise
        except Exception as error:  # report any error as the answer
            answer = self.answer_of(complaint_of(error))
        if answer is not None:
            self.pass_on(answer)
