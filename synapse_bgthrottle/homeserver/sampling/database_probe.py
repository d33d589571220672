"""Whether a database answers: asked just before a batch, never twice at a time."""

import math
from functools import partial

import attrs
from synapse.module_api import run_in_background
from twisted.internet.defer import CancelledError

from synapse_bgthrottle.core.scheduling.failures import is_from_database
from synapse_bgthrottle.homeserver.internals.guard import OnInternalError
from synapse_bgthrottle.homeserver.internals.server import Database, Homeserver

# A batch that ended well this long ago, or an answer, is proof enough that the database is there.
PROOF_LASTS_S = 0.25

# While updates are disabled nobody reads an answer.
ANSWER_LASTS_S = 5.0

# Between two questions to a database that did not answer the first: doubled up to the longest.
FIRST_RETRY_S = 0.5
LONGEST_RETRY_S = 2.5


@attrs.define(eq=False)
class _Question:
    asked_s: float
    answered_s: float = math.inf
    is_answered: bool = False
    complaint: str | None = None
    error: Exception | None = None


class DatabaseWatch:
    """Watches one database.

    Attributes:
        silent_since_s: since when (monotonic) it gives no usable answer; None: it answers.
        took_s: how long it took for the last question that it has answered, or takes for this one.
        complaint: what it says instead.
    """

    def __init__(
        self, host: Homeserver, database: Database, on_internal_error: OnInternalError
    ) -> None:
        self.silent_since_s: float | None = None
        self.took_s = 0.0
        self.complaint = ""
        self._host = host
        self._database = database
        self._on_internal_error = on_internal_error
        self._question: _Question | None = None
        self._is_blind = False
        self._next_s = host.now_s()
        self._retry_s = FIRST_RETRY_S
        self._needs_room = False

    def is_due(self, now_s: float) -> bool:
        """Whether nothing recent shows that the database answers, or a late answer is there."""
        return now_s >= self._next_s or (self._question is not None and self._question.is_answered)

    def answered(self, now_s: float) -> None:
        """The database has just done what it was asked to."""
        self.silent_since_s, self.complaint = None, ""
        self._next_s = now_s + PROOF_LASTS_S
        self._retry_s = FIRST_RETRY_S
        self._needs_room = self._is_blind = False

    def failed(self, now_s: float, needs_room: bool = False) -> None:
        """Something has just failed, perhaps for want of the database: ask before going on.

        If that was for want of `needs_room` on its disk, it has to show that there is some.
        """
        self._next_s = now_s
        self._needs_room = needs_room
        self._is_blind = False

    async def has_asked(self) -> bool:
        """Ask if that is due, which takes time; False: there was nothing to ask.

        Where an error of ours is in the way, the database is taken to answer until a batch ends: to
        take it for silent would hold updates for good.
        """
        if self._is_blind:
            return False
        try:
            if not self.is_due(self._host.now_s()):
                return False
            await self.check()
        except CancelledError:
            raise
        except Exception as error:
            self.silent_since_s, self.complaint, self._is_blind = None, "", True
            self._on_internal_error("asking the database", error)
        return True

    async def check(self) -> None:
        """Ask, and wait for the answer for a second; one that comes later is read the next time."""
        asked_s = self._host.now_s()
        self._next_s = asked_s + self._retry_s
        question = self._question
        if question is None or asked_s - question.answered_s > ANSWER_LASTS_S:
            question = _Question(asked_s)
            # A process of its own: it outlives the updater's, which ends when updates are disabled,
            # and then its log context must not be used any more.
            process = partial(self._answer, question)
            if self._host.call_later(0, "bgthrottle_probe", process) is None:
                run_in_background(process)  # the server ends, or this version has no such timers
            self._question = question
        pause_s = 0.001
        while not question.is_answered and pause_s < 1:
            await self._host.sleep(pause_s)
            pause_s *= 2
        self.took_s = self._host.now_s() - question.asked_s
        if not question.is_answered:
            self._no_answer(asked_s, "no answer within a second")
            return
        self._question = None  # none is left, or it would be due for ever
        if question.error is not None:
            raise question.error
        if question.complaint is None:
            self.answered(self._host.now_s())
        else:
            self._no_answer(asked_s, question.complaint)

    async def _answer(self, question: _Question) -> None:
        try:
            question.complaint = await self._ask()
            question.answered_s = self._host.now_s()
        except CancelledError:
            raise
        except Exception as error:  # an error of ours: whoever waits tells it
            question.error = error
        finally:
            question.is_answered = True

    async def _ask(self) -> str | None:
        try:
            return await self._database.probe(self._needs_room)
        except CancelledError:
            raise
        except Exception as error:  # the database is not usable now, or our question is wrong
            if is_from_database(error):
                return str(error).strip().split("\n")[0] or type(error).__name__
            self._on_internal_error("asking the database", error)
            return None

    def _no_answer(self, asked_s: float, complaint: str) -> None:
        if self.silent_since_s is None:
            self.silent_since_s = asked_s
        self.complaint = complaint
        self._next_s = self._host.now_s() + self._retry_s
        self._retry_s = min(self._retry_s * 2, LONGEST_RETRY_S)
