"""Whether anybody is there who could be hurt. Pure.

Judged by activity, not by who is connected: a server always has dozens of long polls in flight on
which nobody waits, and requests so quick that no look at those in flight ever sees them.
"""

import math

import attrs

# The rate of requests is remembered for this long, so that a burst is one.
_RATE_MEMORY_S = 5.0

# Requests that come by chance are this many times as far apart as usual once in 150 times.
_GAPS = 5.0
_LONGEST_QUIET_S = 5.0

# What an idle server with workers does for itself: transactions a second.
_OWN_TRANSACTIONS_PER_S = 5.0

# For so long a look at the transactions tells of now. They are looked at once a second, and an idle
# PostgreSQL's count moves once in two.
_TRANSACTIONS_LAST_S = 5.0


@attrs.define
class ClientActivity:
    """When clients were last seen, by requests in this process or by what the database does."""

    seen_s: float = -math.inf  # when somebody was last seen (monotonic)
    sees_requests: bool = True  # whether requests can be seen, at the last look
    _looked_s: float = -math.inf
    _watched_since_s: float = -math.inf
    _answered: int = 0
    _came_s: float = -math.inf
    _rate_per_s: float = 0.0
    _transactions: tuple[float, float, float] | None = None
    _rates: int = 0

    def look(self, now_s: float, active_requests: int | None, answered: int) -> None:
        """Requests in flight on which somebody waits (None: not to be seen), and all answered."""
        self.sees_requests = active_requests is not None
        # After a long time without a look the count does not tell when somebody came.
        is_recent = now_s - self._looked_s <= _LONGEST_QUIET_S
        if not is_recent:
            self._watched_since_s = now_s
        came = max(answered - self._answered, 0) if is_recent else 0
        self._looked_s, self._answered = now_s, max(answered, self._answered)
        if came:
            fading = math.exp(-max(now_s - self._came_s, 0.0) / _RATE_MEMORY_S)
            self._rate_per_s = self._rate_per_s * fading + came / _RATE_MEMORY_S
            self._came_s = now_s
        if active_requests or came:
            self.seen_s = now_s

    def look_at_transactions(self, now_s: float, of_all: float, of_this_process: float) -> None:
        """Transactions so far, of everybody and of this process: the rest are of workers."""
        before = self._transactions
        self._transactions = (now_s, of_all, of_this_process)
        if before is None or now_s <= before[0]:
            return
        self._rates += 1
        others = (of_all - before[1]) - (of_this_process - before[2])
        if others / (now_s - before[0]) > _OWN_TRANSACTIONS_PER_S:
            self.seen_s = now_s

    def watched_for_s(self, now_s: float) -> float:
        """For how long nobody could have come unseen."""
        is_recent = now_s - self._looked_s <= _LONGEST_QUIET_S
        return now_s - self._watched_since_s if is_recent else 0.0

    def quiet_for_s(self, now_s: float) -> float:
        """How long nobody has been seen."""
        return max(now_s - self.seen_s, 0.0)

    def is_quiet(self, now_s: float, quiet_after_s: float) -> bool:
        """Whether no client has sent a request for longer than requests were apart of late."""
        if not self.is_known(now_s):
            return False
        gap_s = _GAPS / self._rate_per_s if self._rate_per_s else math.inf
        enough_s = max(quiet_after_s, min(gap_s, _LONGEST_QUIET_S))
        return self.quiet_for_s(now_s) >= enough_s

    def is_known(self, now_s: float) -> bool:
        """Whether anything tells if somebody is there: requests, or the transactions of now."""
        return self.sees_requests or self._sees_transactions(now_s)

    def _sees_transactions(self, now_s: float) -> bool:
        # Two looks make a rate, and one that is old says nothing of now.
        return (
            self._rates > 0
            and self._transactions is not None
            and (now_s - self._transactions[0] <= _TRANSACTIONS_LAST_S)
        )
