"""How long to rest after a batch, and how large to make the next one. Pure arithmetic."""

import math

import attrs

from synapse_bgthrottle.core.config.limits import DutyCycle, FixedSleep, Limits

# Longest rest: an index build of an hour must not cause hours of rest.
LONGEST_REST_S = 600.0

# A batch that would need more spacing than this is made smaller instead.
LONGEST_SPACING_S = 1.0

# Weight of the past in the average. With 0.3, the next batch already corrects a tenfold change of
# the cost per item to within 40 %. Stock Synapse's 0.9 takes 10 to 20 batches.
_MEMORY_RATIO = 0.3

# A batch that was short by chance, such as one of skipped rows, must not cause a huge one.
_MAX_GROWTH = 2.0

# Factor after a failed batch.
_SHRINK_RATIO = 0.1
# With the usual target this is one millisecond. From there it takes seven batches to grow back.
_LEAST_CEILING = 0.01

# Largest factor of the target duration, however short the batches were.
LARGEST_SCALE = 1.5


def rest_s(pace: DutyCycle | FixedSleep, batch_s: float) -> float:
    """The rest in seconds after a batch that took `batch_s`.

    For a duty cycle u it is D (1/u - 1), at most `LONGEST_REST_S`. D is the real duration, so a
    batch that takes too long is paid for (nice-ratio of gh-ost, `go/logic/throttler.go`).
    """
    if isinstance(pace, DutyCycle):
        return min(batch_s * (1 / pace.ratio - 1), LONGEST_REST_S)
    return pace.duration_ms / 1000


def work_s(took_s: float, idle_s: float, target_ms: float) -> float:
    """Seconds of a batch that a rest pays for: without lock waits and standstills.

    Idle time is inexact, so a batch with idle time counts at least as one of the target duration.
    """
    return max(took_s - idle_s, min(took_s, target_ms / 1000))


def target_scale(yielded_ms: float, took_ms: float) -> float:
    """Factor for the target duration, so that the next batch takes as long as wanted.

    Synapse computes the batch size from the target and its average rate. That average needs 10 to
    20 batches to follow a change of the cost per item. The last batch shows the error: it took
    `took_ms` instead of `yielded_ms`, so their ratio corrects it. The factor is bounded, because
    one batch may be short or long by chance.
    """
    return min(max(yielded_ms / max(took_ms, 0.01), 0.1), LARGEST_SCALE)


def shrunk(size: float, failures: int) -> float:
    """The batch size after failures in a row: a tenth for each failure.

    Stock Synapse tries the same size five times, and gives up. A batch can be too large for the
    disk space, for `statement_timeout` or for a lock; a smaller one then succeeds.
    """
    return size * _SHRINK_RATIO**failures


def target_ceiling(ceiling: float, *, failed: bool) -> float:
    """Upper bound of the target's factor after a batch: a tenth after a failure, otherwise doubled.

    This prevents a jump back to the size that failed. `BatchSizer` limits its growth itself.
    """
    if failed:
        return max(min(ceiling, 1.0) * _SHRINK_RATIO, _LEAST_CEILING)
    return min(ceiling * _MAX_GROWTH, LARGEST_SCALE)


@attrs.define
class BatchSizer:
    """Exact batch sizes for one update, so that a batch takes its target duration.

    The method is the weighted average rate of pt-online-schema-change (`lib/WeightedAvgRate.pm`).
    Items and time decay alike, and their quotient is the rate. The size follows from it, and at
    most doubles from one batch to the next.

    Attributes:
        last_items: requested size of the last batch; 0 before the first.
    """

    last_items: int = 0
    _items: float = 0.0
    _time_ms: float = 0.0

    def record(self, asked_items: int, done_items: int, took_ms: float) -> None:
        """A batch of `asked_items` did `done_items` in `took_ms`."""
        self._items = self._items * _MEMORY_RATIO + done_items
        self._time_ms = self._time_ms * _MEMORY_RATIO + max(took_ms, 0.01)
        self.last_items = asked_items

    def next_items(self, limits: Limits, target_ms: float) -> int:
        """The size of the next batch for this duration, within the limits, and at least 1."""
        if self.last_items:
            wanted = target_ms * self._items / self._time_ms
            wanted = min(wanted, self.last_items * _MAX_GROWTH)
        else:
            wanted = limits.default_batch_items
        within_rate = limits.max_items_per_second * LONGEST_SPACING_S
        size = max(min(wanted, within_rate), limits.min_batch_items)
        return max(1, math.floor(min(size, limits.max_batch_items)))
