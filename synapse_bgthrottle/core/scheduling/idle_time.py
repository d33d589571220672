"""The time of a batch in which it did no work: lock waits and standstills of the database. Pure.

That time slows no client down, so no rest pays for it. It is measured by samples of the database.
What they do not show counts as work, so the idle time is rather too short than too long.
"""

import attrs

from synapse_bgthrottle.core.signals.samples import DatabaseSample
from synapse_bgthrottle.core.signals.signal import PERIOD_S


@attrs.define
class LockWait:
    """How long one batch has waited for locks of others."""

    _looked_s: float = 0.0
    since_s: float | None = attrs.field(default=None, init=False)  # None: it does not wait
    _known_to_s: float = attrs.field(init=False)
    _transactions: int | None = attrs.field(default=None, init=False)
    _waited_s: float = attrs.field(default=0.0, init=False)

    def __attrs_post_init__(self) -> None:
        self._known_to_s = self._looked_s

    def look(self, sample: DatabaseSample) -> None:
        """Take a sample of the database during the batch.

        A waiting session belongs to the batch only if no transaction of the batch has ended since
        the last sample. If one has, the next sample tells of the wait since the last one.
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
        """Seconds of waiting in a batch that ended at `end_s`.

        After the last sample that showed a wait, the wait counts on for one period at most, and for
        no longer than was measured.
        """
        if self.since_s is None:
            return self._waited_s
        unseen_s = max(end_s - self._looked_s, 0.0)
        return self._waited_s + min(unseen_s, PERIOD_S[DatabaseSample], self._waited_s)


@attrs.define
class Standstill:
    """How long the database stood still during one batch, measured by unanswered queries.

    Causes are a frozen virtual machine, storage that hangs, or lost packets. Sessions survive
    these, and the batch goes on afterwards.
    """

    _answered_s: float = 0.0
    _since_s: float | None = attrs.field(default=None, init=False)
    _looked_s: float = attrs.field(default=0.0, init=False)
    _stood_s: float = attrs.field(default=0.0, init=False)

    def look(self, sample: DatabaseSample) -> None:
        """The database was queried during the batch.

        Without an answer it has stood still since its last answer, or since the batch's start. This
        is too long by one period at most.
        """
        if sample.is_unanswered:
            self._since_s, self._looked_s = self._answered_s, sample.at_s
            return
        self._stood_s = self.total_s(sample.at_s)
        self._since_s, self._answered_s = None, sample.at_s

    def total_s(self, end_s: float) -> float:
        """Seconds of standstill in a batch that ended at `end_s`.

        It counts on for one period at most after the last unanswered query.
        """
        if self._since_s is None:
            return self._stood_s
        last_s = min(end_s, self._looked_s + PERIOD_S[DatabaseSample])
        return self._stood_s + last_s - self._since_s


def work_s(took_s: float, idle_s: float, target_ms: float) -> float:
    """The part of a batch that a rest pays for: without lock waits and standstills.

    A batch that waited counts as at least its target duration: waits are not measured exactly.
    """
    return max(took_s - idle_s, min(took_s, target_ms / 1000))
