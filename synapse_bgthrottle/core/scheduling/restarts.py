"""When the module restarts updates that stand still. Pure.

Synapse gives up a database's updates after five failures in a row. It never starts on some queues:
on rows that somebody inserted by hand, and up to Synapse 1.128 on those of a second database.
Neither ends by itself.
"""

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

    `first_s` is the configured first wait. `count` is the number of restarts so far without a
    successful batch in between, and `kind` that of the last failure.
    """
    longest_s = max(first_s, LONGEST_S)
    share = PASSING_SHARE if kind.is_passing else 1.0
    return min(first_s * 2.0 ** min(count, _MOST_DOUBLINGS), longest_s) * share


@attrs.frozen
class Stall:
    """Updates are pending, but Synapse does not work on the queue."""

    is_aborted: bool  # Synapse gave up; otherwise it never began
    since_s: float  # since when the module has seen that, monotonic
    due_s: float | None = None  # when the module restarts them, monotonic; None: never
    held_by: str = ""  # why a due restart has not happened; empty: not due, or not held


@attrs.define
class Restarts:
    """What is remembered of one database."""

    stall: Stall | None = None  # None: Synapse works on the queue, or the queue is empty
    count: int = 0  # the module's restarts without a successful batch in between
    last_wall_s: float | None = None  # the last restart, since the epoch; None: never
    _good_batches: int = 0

    def works(self, good_batches: int) -> None:
        """Synapse works on the queue. A successful batch since the last call resets the count."""
        if good_batches > self._good_batches:
            self.count = 0
        self._good_batches = good_batches

    def stalled(
        self, now_s: float, *, is_aborted: bool, first_s: float | None, kind: FailureKind
    ) -> Stall:
        """Synapse does not work on the queue, although updates are pending: perhaps it gave up.

        `first_s` is the configured first wait; None: never restart.
        """
        stall = self.stall
        if stall is None or stall.is_aborted != is_aborted:
            stall = Stall(is_aborted, now_s)
        due_s = None
        if first_s is not None:
            never_began = not is_aborted and not self.count
            lasts_s = UNATTENDED_S if never_began else wait_s(first_s, self.count, kind)
            due_s = stall.since_s + lasts_s
        self.stall = attrs.evolve(stall, due_s=due_s)
        return self.stall

    def started(self, wall_s: float) -> None:
        """The module has restarted the updates."""
        self.stall, self.count, self.last_wall_s = None, self.count + 1, wall_s

    @property
    def is_unattended(self) -> bool:
        """Whether Synapse never began to work on the queue."""
        return self.stall is not None and not self.stall.is_aborted
