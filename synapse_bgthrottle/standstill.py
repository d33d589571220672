"""How long a batch's database stood still, from questions that it did not answer. Pure.

A virtual machine that is frozen, storage that hangs, packets that are lost: sessions stay, and what
is at work ends once that is over. It is nobody's work, so it is not paid for with a rest. What was
not seen counts as work.
"""

import attrs

from synapse_bgthrottle.signals.samples import DatabaseSample
from synapse_bgthrottle.signals.signal import PERIOD_S


@attrs.define
class Standstill:
    """The standstills of the database amid one batch."""

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
