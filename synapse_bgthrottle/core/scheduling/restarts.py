"""When updates that stand still are started again. Pure.

Synapse gives up a database's updates after five failures in a row, and there are queues that it
never begins to work on: rows that somebody inserted by hand, and up to Synapse 1.128 those of a
second database. Nothing there ends by itself.
"""

import math

import attrs

from synapse_bgthrottle.core.scheduling.failures import FailureKind

# After an abort: as configured, then twice as long each time, up to a day.
LONGEST_S = 86_400.0
# What passes by itself is tried again sooner: after this share of the time.
PASSING_SHARE = 1 / 12
# A queue that nobody works on, and that never failed: time enough for whoever inserted the rows.
UNATTENDED_S = 60.0

# Of the powers of two: more would overflow, and are longer than any wait.
_MOST_DOUBLINGS = 20


def wait_s(first_s: float, count: int, kind: FailureKind) -> float:
    """How long after an abort the updates are started again: `first_s * 2 ** count`, capped.

    Args:
        first_s: as configured; inf: never.
        count: how often they were already, without a batch that ended well since.
        kind: of the last failure.
    """
    longest_s = max(first_s, LONGEST_S)
    share = PASSING_SHARE if kind.is_passing else 1.0
    return min(first_s * 2.0 ** min(count, _MOST_DOUBLINGS), longest_s) * share


@attrs.frozen
class Standing:
    """That Synapse does not work on a queue in which updates are pending.

    Attributes:
        is_aborted: it gave up; otherwise it never began.
        since_s: since when that was seen, monotonic.
        due_s: when the module starts them again, monotonic; inf: never.
        held_by: why it has not, although it was due; empty: it was not.
    """

    is_aborted: bool
    since_s: float
    due_s: float = math.inf
    held_by: str = ""


@attrs.define
class Restarts:
    """What is remembered of one database.

    Attributes:
        standing: None: Synapse works on it, or there is nothing to be worked on.
        count: starts of ours, without a batch that ended well since.
        last_wall_s: when the last one was, in seconds since the epoch; None: there was none.
    """

    standing: Standing | None = None
    count: int = 0
    last_wall_s: float | None = None
    _good_batches: int = 0

    def works(self, good_batches: int) -> None:
        """So many batches have ended well so far: if more than before, the row is over."""
        if good_batches > self._good_batches:
            self.count = 0
        self._good_batches = good_batches

    def stands(self, now_s: float, *, is_aborted: bool, first_s: float, kind: FailureKind) -> None:
        """Synapse is not working on it, although it has updates.

        Args:
            now_s: the time, monotonic.
            is_aborted: whether it gave up.
            first_s: as configured; inf: never start it.
            kind: why the last batch failed.
        """
        lasts_s = wait_s(first_s, self.count, kind)
        if not is_aborted and not self.count:
            lasts_s = UNATTENDED_S if first_s < math.inf else math.inf
        before = self.standing
        if before is None or before.is_aborted != is_aborted:
            before = Standing(is_aborted, now_s)
        self.standing = attrs.evolve(before, due_s=before.since_s + lasts_s)

    def started(self, wall_s: float) -> None:
        """The module has started them again."""
        self.standing, self.count, self.last_wall_s = None, self.count + 1, wall_s

    @property
    def is_unattended(self) -> bool:
        """Whether Synapse never began to work on it."""
        return self.standing is not None and not self.standing.is_aborted
