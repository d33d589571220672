"""Whether a database answers: asked just before a batch, never twice at a time."""

import math

from twisted.internet.defer import CancelledError

from synapse_bgthrottle.core.scheduling.failures import complaint_of, is_from_database
from synapse_bgthrottle.homeserver.internals.bounded_calls import Call, ServerEndsError
from synapse_bgthrottle.homeserver.internals.guard import OnInternalError
from synapse_bgthrottle.homeserver.internals.server import Database, Homeserver

# A batch that ended well this long ago, or an answer, is proof enough that the database is there.
PROOF_LASTS_S = 0.25

_LONGEST_WAIT_S = 1.0

# While updates are disabled nobody reads an answer.
ANSWER_LASTS_S = 5.0

# Between two questions to a database that did not answer the first: doubled up to the longest.
FIRST_RETRY_S = 0.5
LONGEST_RETRY_S = 2.5


class DatabaseProbe:
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
        self._call: Call[str | None] | None = None
        self._asked_s = self._answered_s = -math.inf
        self._is_blind = False
        self._next_s = host.now_s()
        self._retry_s = FIRST_RETRY_S
        self._needs_room = False

    def is_due(self, now_s: float) -> bool:
        """Whether nothing recent shows that the database answers, or a late answer is there."""
        return now_s >= self._next_s or (self._call is not None and self._call.has_ended)

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
        complaint = await self._complaint(asked_s)
        self.took_s = self._host.now_s() - self._asked_s
        if complaint is None:
            self.answered(self._host.now_s())
        else:
            self._no_answer(asked_s, complaint)

    async def _complaint(self, asked_s: float) -> str | None:
        call = self._call
        if call is None or (call.has_ended and asked_s - self._answered_s > ANSWER_LASTS_S):
            # It outlives the updater's process, which ends when updates are disabled.
            try:
                call = self._call = Call(self._host, "bgthrottle_probe", self._ask)
            except ServerEndsError:  # or there are no timers: the answer has no time limit then
                self._asked_s = asked_s
                return await self._ask()
            self._asked_s = asked_s
        try:
            return await call.within(_LONGEST_WAIT_S)
        except TimeoutError:
            return "no answer within a second"
        finally:
            if call.has_ended:
                self._call = None  # none is left, or it would be due for ever

    async def _ask(self) -> str | None:
        try:
            return await self._database.probe(self._needs_room)
        except CancelledError:
            raise
        except Exception as error:  # the database is not usable now, or our question is wrong
            if is_from_database(error):
                return complaint_of(error)
            self._on_internal_error("asking the database", error)
            return None
        finally:
            self._answered_s = self._host.now_s()

    def _no_answer(self, asked_s: float, complaint: str) -> None:
        if self.silent_since_s is None:
            self.silent_since_s = asked_s
        self.complaint = complaint
        self._next_s = self._host.now_s() + self._retry_s
        self._retry_s = min(self._retry_s * 2, LONGEST_RETRY_S)
