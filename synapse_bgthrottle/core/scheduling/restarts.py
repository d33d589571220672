"""When the module restarts updates that stand still. Pure.

Synapse gives up a database's updates after five failures in a row. It never starts on some queues:
on rows that somebody inserted by hand, and up to Synapse 1.128 on those of a second database.
Neither ends by itself.
"""

import math

import attrs

from synapse_bgthrottle.core.scheduling.failures import FailureKind

# Wait after an abort: first as configured, then doubled each time, up to a day.
LONGEST_S = 86_400.0
# Failures that pass by themselves are tried again after this share of the wait.
PASSING_SHARE = 1 / 12
# Wait for a queue that Synapse never started on. Whoever inserts rows has time to finish.
UNATTENDED_S = 60.0

# Limit of the exponent, against overflow. The result is longer than any wait anyway.
_MOST_DOUBLINGS = 20


def wait_s(first_s: float, count: int, kind: FailureKind) -> float:
    """Seconds from an abort to the restart: `first_s * 2 ** count`, capped.

    Args:
        first_s: the configured first wait; inf: never.
        count: restarts so far without a successful batch in between.
        kind: kind of the last failure.
    """
    longest_s = max(first_s, LONGEST_S)
    share = PASSING_SHARE if kind.is_passing else 1.0
    return min(first_s * 2.0 ** min(count, _MOST_DOUBLINGS), longest_s) * share


@attrs.frozen
class Standing:
    """Updates are pending, but Synapse does not work on the queue.

    Attributes:
        is_aborted: Synapse gave up; otherwise it never began.
        since_s: since when the module has seen that, monotonic.
        due_s: when the module restarts them, monotonic; inf: never.
        held_by: why a due restart has not happened; empty: not due, or not held.
    """

    is_aborted: bool
    since_s: float
    due_s: float = math.inf
    held_by: str = ""


@attrs.define
class Restarts:
    """What is remembered of one database.

    Attributes:
        standing: None: Synapse works on the queue, or the queue is empty.
        count: the module's restarts without a successful batch in between.
        last_wall_s: time of the last restart, in seconds since the epoch; None: never.
    """

    standing: Standing | None = None
    count: int = 0
    last_wall_s: float | None = None
    _good_batches: int = 0

    def works(self, good_batches: int) -> None:
        """Synapse works on the queue. A successful batch since the last call resets the count."""
        if good_batches > self._good_batches:
            self.count = 0
        self._good_batches = good_batches

    def stands(self, now_s: float, *, is_aborted: bool, first_s: float, kind: FailureKind) -> None:
        """Synapse does not work on the queue, although updates are pending.

        Args:
            now_s: the time, monotonic.
            is_aborted: whether Synapse gave up.
            first_s: the configured first wait; inf: never restart.
            kind: kind of the last failure.
        """
        lasts_s = wait_s(first_s, self.count, kind)
        if not is_aborted and not self.count:
            lasts_s = UNATTENDED_S if first_s < math.inf else math.inf
        before = self.standing
        if before is None or before.is_aborted != is_aborted:
            before = Standing(is_aborted, now_s)
        self.standing = attrs.evolve(before, due_s=before.since_s + lasts_s)

    def started(self, wall_s: float) -> None:
        """The module has restarted the updates."""
        self.standing, self.count, self.last_wall_s = None, self.count + 1, wall_s

    @property
    def is_unattended(self) -> bool:
        """Whether Synapse never began to work on the queue."""
        return self.standing is not None and not self.standing.is_aborted
