"""How long to rest after a batch, and how large to make the next one. Pure arithmetic."""

import math

import attrs

from synapse_bgthrottle.core.config.limits import DutyCycle, FixedSleep, Limits

# An index build of an hour need not be followed by a night of silence.
LONGEST_REST_S = 600.0

# A batch that should be spread over more than this is made smaller instead.
LONGEST_SPACING_S = 1.0

# How much of the past a new batch leaves in the average. At 0.3 a tenfold change of an item's cost
# is corrected to within 40 % by the next batch; stock Synapse's 0.9 takes 10 to 20 batches.
_MEMORY_RATIO = 0.3

# Batches that were short by chance (nothing but skipped rows) must not make a huge one.
_MAX_GROWTH = 2.0

# From a batch that failed to the next one.
_SHRINK_RATIO = 0.1
# A hundredth of the target is mostly a millisecond; and from there it takes seven batches back.
_LEAST_CEILING = 0.01

# The target is never stretched by more, however short batches were.
LARGEST_SCALE = 1.5


def rest_s(pace: DutyCycle | FixedSleep, batch_s: float) -> float:
    """The rest in seconds after a batch that took `batch_s`.

    For a duty cycle u it is D (1/u - 1), at most `LONGEST_REST_S`, from what the batch really took,
    so that one which overruns is paid for (the nice-ratio of gh-ost, `go/logic/throttler.go`).
    """
    if isinstance(pace, DutyCycle):
        return min(batch_s * (1 / pace.ratio - 1), LONGEST_REST_S)
    return pace.duration_ms / 1000


def work_s(took_s: float, idle_s: float, target_ms: float) -> float:
    """What of a batch is paid for with a rest: not its wait for somebody's lock, nor a standstill.

    One that waited counts as one on target at least, because it is not seen exactly how long it
    did.
    """
    return max(took_s - idle_s, min(took_s, target_ms / 1000))


def target_scale(yielded_ms: float, took_ms: float) -> float:
    """What to multiply the target duration by, so that the next batch takes it.

    Synapse makes a batch from the target and its own average rate, which follows a change of an
    item's cost over 10 to 20 batches. The last batch shows how far that average is off: it took
    `took_ms` where `yielded_ms` was asked, and their ratio undoes it. Bounded, because the last
    batch may have been short or long by chance.
    """
    return min(max(yielded_ms / max(took_ms, 0.01), 0.1), LARGEST_SCALE)


def shrunk(size: float, failures: int) -> float:
    """The size of a batch after so many failed ones in a row: a tenth for each of them.

    Stock Synapse asks for the same batch five times, and gives up. If it was too large for the room
    on the disk, for `statement_timeout` or for somebody's lock, a smaller one is not.
    """
    return size * _SHRINK_RATIO**failures


def target_ceiling(ceiling: float, *, failed: bool) -> float:
    """Upper bound of the target's scale after a batch: a tenth if it failed, or else doubled.

    Thus it does not come back at once to what did not fit; `BatchSizer` grows as slowly by itself.
    """
    if failed:
        return max(min(ceiling, 1.0) * _SHRINK_RATIO, _LEAST_CEILING)
    return min(ceiling * _MAX_GROWTH, LARGEST_SCALE)


@attrs.define
class BatchSizer:
    """Exact batch sizes for one update, so that a batch takes its target duration.

    The law is the weighted average rate of pt-online-schema-change (`lib/WeightedAvgRate.pm`):
    items and time decay alike and their quotient is the rate. The size follows from it, at most
    doubled from one batch to the next.

    Attributes:
        last_items: size asked of the last batch; 0 before the first.
    """

    last_items: int = 0
    _items: float = 0.0
    _time_ms: float = 0.0

    def record(self, asked_items: int, done_items: int, took_ms: float) -> None:
        """A batch of which `asked_items` were asked did `done_items` in `took_ms`."""
        self._items = self._items * _MEMORY_RATIO + done_items
        self._time_ms = self._time_ms * _MEMORY_RATIO + max(took_ms, 0.01)
        self.last_items = asked_items

    def next_items(self, limits: Limits, target_ms: float) -> int:
        """The size of the next batch, for this duration, within the limits, never below 1."""
        if self.last_items:
            wanted = target_ms * self._items / self._time_ms
            wanted = min(wanted, self.last_items * _MAX_GROWTH)
        else:
            wanted = limits.default_batch_items
        within_rate = limits.max_items_per_second * LONGEST_SPACING_S
        size = max(min(wanted, within_rate), limits.min_batch_items)
        return max(1, math.floor(min(size, limits.max_batch_items)))
