"""What of a batch was no work of its own: waits for a lock, standstills of its database. Pure.

Neither hurts anybody, so neither is paid for with a rest. Both are seen by looks at the database;
what could not be seen counts as work: the time is rather too short than too long.
"""

import attrs

from synapse_bgthrottle.signals.samples import DatabaseSample
from synapse_bgthrottle.signals.signal import PERIOD_S


@attrs.define
class LockWait:
    """How long one batch has waited for somebody's lock.

    Attributes:
        since_s: since when the batch waits, monotonic; None: it is not seen to.
    """

    _looked_s: float
    since_s: float | None = attrs.field(default=None, init=False)
    _known_to_s: float = attrs.field(init=False)
    _transactions: int | None = attrs.field(default=None, init=False)
    _waited_s: float = attrs.field(default=0.0, init=False)

    def __attrs_post_init__(self) -> None:
        self._known_to_s = self._looked_s

    def look(self, sample: DatabaseSample) -> None:
        """The database was looked at while the batch ran.

        A session that waits is the batch's only if no transaction of the batch has ended since the
        last look; if one has, the next look tells of the time since the last.
        """
        waits_s, transactions = sample.lock_wait_s, sample.batch_transactions
        if waits_s is None or transactions is None:
            return
        if transactions != self._transactions:
            self._known_to_s = max(self._known_to_s, self._looked_s)
            self.since_s = None
        elif waits_s:
            since_s = max(sample.at_s - waits_s, self._known_to_s)
            self._waited_s += sample.at_s - since_s
            self._known_to_s = sample.at_s
            self.since_s = since_s if self.since_s is None else self.since_s
        if not waits_s:
            self._known_to_s, self.since_s = sample.at_s, None
        self._looked_s, self._transactions = sample.at_s, transactions

    def total_s(self, end_s: float) -> float:
        """The time waited, of a batch that ended then.

        A wait goes on after the last look that saw it, for one period at most, and for no longer
        than it was seen.
        """
        if self.since_s is None:
            return self._waited_s
        unseen_s = max(end_s - self._looked_s, 0.0)
        return self._waited_s + min(unseen_s, PERIOD_S[DatabaseSample], self._waited_s)


@attrs.define
class Standstill:
    """How long the database stood still amid one batch, from questions that it did not answer.

    A virtual machine that is frozen, storage that hangs, packets that are lost: sessions stay, and
    what is at work ends once that is over.
    """

    _answered_s: float
    _since_s: float | None = attrs.field(default=None, init=False)
    _looked_s: float = attrs.field(default=0.0, init=False)
    _stood_s: float = attrs.field(default=0.0, init=False)

    def look(self, sample: DatabaseSample) -> None:
        """The database was asked while the batch ran.

        It has stood still since its last answer, if that was after the batch's begin: at most a
        period too long.
        """
        if sample.is_unanswered:
            self._since_s, self._looked_s = self._answered_s, sample.at_s
            return
        self._stood_s = self.total_s(sample.at_s)
        self._since_s, self._answered_s = None, sample.at_s

    def total_s(self, end_s: float) -> float:
        """The time in seconds, of a batch that ended then.

        It goes on after the last look that found no answer, for one period at most.
        """
        if self._since_s is None:
            return self._stood_s
        last_s = min(end_s, self._looked_s + PERIOD_S[DatabaseSample])
        return self._stood_s + last_s - self._since_s
