"""How long a batch has waited for somebody's lock, from looks at the database. Pure.

Such a wait is no work and hurts nobody, so it is not paid for with a rest. What could not be seen
counts as work: the time is rather too short than too long.
"""

import attrs

from synapse_bgthrottle.signals.samples import DatabaseSample
from synapse_bgthrottle.signals.signal import PERIOD_S


@attrs.define
class LockWait:
    """The wait of one batch.

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
