"""Checks just before a batch whether the database answers, with one query at a time."""

from twisted.internet.defer import CancelledError

from synapse_bgthrottle.core.scheduling.failures import complaint_of, is_from_database
from synapse_bgthrottle.homeserver.internals.bounded_calls import Call, ServerEndsError
from synapse_bgthrottle.homeserver.internals.server import Database, Homeserver

# A successful batch or an answer proves for this long that the database is there.
PROOF_LASTS_S = 0.25

_LONGEST_WAIT_S = 1.0

# An answer this old is not used: while updates are disabled, nobody reads answers.
ANSWER_LASTS_S = 5.0

# Wait between two queries to a database that does not answer: it doubles up to the longest.
FIRST_RETRY_S = 0.5
LONGEST_RETRY_S = 2.5


class DatabaseProbe:
    """Checks one database."""

    def __init__(self, host: Homeserver, database: Database) -> None:
        # Since when it gives no usable answer, monotonic; None: it answers.
        self.silent_since_s: float | None = None
        self.took_s = 0.0  # duration of the last answered query, or of the present one so far
        self.complaint = ""  # its error, or why there is no answer
        self._host = host
        self._database = database
        self._call: Call[str | None] | None = None
        self._asked_s = self._answered_s = self._next_s = host.now_s()
        self._is_blind = False
        self._retry_s = FIRST_RETRY_S
        self._needs_room = False

    def is_due(self, now_s: float) -> bool:
        """Whether nothing recent proves that the database answers, or a late answer has come."""
        return now_s >= self._next_s or (self._call is not None and self._call.has_ended)

    def answered(self, now_s: float) -> None:
        """The database has just answered or ended a batch."""
        self.silent_since_s, self.complaint = None, ""
        self._next_s = now_s + PROOF_LASTS_S
        self._retry_s = FIRST_RETRY_S
        self._needs_room = self._is_blind = False

    def failed(self, now_s: float, needs_room: bool = False) -> None:
        """A batch has just failed, perhaps because of the database: query it before the next one.

        With `needs_room`, its disk was full, so it must prove that there is space.
        """
        self._next_s = now_s
        self._needs_room = needs_room
        self._is_blind = False

    async def ask_if_due(self) -> bool:
        """Query the database if that is due. Return False if it is not.

        After an error of the module, the database counts as answering until a batch ends. Otherwise
        updates would be held forever.
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
            self._host.on_internal_error("asking the database", error)
        return True

    async def check(self) -> None:
        """Query the database, and wait a second for the answer. The next call reads a later one."""
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
            self._asked_s = asked_s
            # The query outlives the updater's process, which ends when updates are disabled.
            try:
                call = self._call = Call(self._host, "bgthrottle_probe", self._ask)
            except ServerEndsError:  # or there are no timers; then the answer has no time limit
                return await self._ask()
        try:
            return await call.within(_LONGEST_WAIT_S)
        except TimeoutError:
            return "no answer within a second"
        finally:
            if call.has_ended:
                self._call = None  # or a late answer would make the next query due forever

    async def _ask(self) -> str | None:
        try:
            return await self._database.probe(self._needs_room)
        except CancelledError:
            raise
        except Exception as error:  # the database cannot be used now, or our query is wrong
            if is_from_database(error):
                return complaint_of(error)
            self._host.on_internal_error("asking the database", error)
            return None
        finally:
            self._answered_s = self._host.now_s()

    def _no_answer(self, asked_s: float, complaint: str) -> None:
        if self.silent_since_s is None:
            self.silent_since_s = asked_s
        self.complaint = complaint
        self._next_s = self._host.now_s() + self._retry_s
        self._retry_s = min(self._retry_s * 2, LONGEST_RETRY_S)
