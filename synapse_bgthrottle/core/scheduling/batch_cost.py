"""What a batch costs, and how many items the next one has. Pure.

A batch of n items takes

    T = a + b n

with a fixed cost a (a scan without an index, slow round trips, a lock) and a cost b for each item.
Both are learned from each batch:

    a     least squares over all batches, each of which counts 3 % less with every later one; less
          one standard error, SE = sigma sqrt((1 + mean(n)^2 / var(n)) / batches)
    b     (T - a) / n of the latest batches, with a memory of 0.3 (the weighted average rate of
          pt-online-schema-change, `lib/WeightedAvgRate.pm`)

Items are uneven, so only the certain part of a fixed cost counts. If sizes do not vary, or times
vary for other reasons, SE is large and a is 0. If neither a fixed cost nor a cost for each item
explains a batch within a factor of two, a is learned anew.

For a target D the next batch works on items for

    b n = max(D - a, min(1.5 a, L - a), D / 2)

If items cost most, it takes D. If the fixed cost is large, more than half of the batch is useful
work, up to a length of L.

The first batch of an unknown update has one item. The next few are at most ten times as large as
the one before, later ones twice. If the smallest batch takes as long as D, one of twice its size
shows whether that is the fixed cost, unless it could take longer than 1.6 s.
"""

import math
from collections.abc import Sequence
from typing import TypeVar

import attrs

from synapse_bgthrottle.core.config.limits import Limits
from synapse_bgthrottle.core.units import format_duration_ms

# With `max_items_per_second`, a batch has no more items than are allowed in this time.
LONGEST_SPACING_S = 1.0

# A fixed cost makes batches up to so long. On SQLite a batch holds the only lock.
LONGEST_BATCH_S = 2.0
LONGEST_SQLITE_BATCH_S = 1.0
_LONGEST_TRIAL_S = 1.6

# Useful work takes so many times the fixed cost, which then is two fifths of the batch.
_USEFUL_TIMES = 1.5

# How much of the past a new batch leaves in b. At 0.3 a tenfold change of an item's cost is
# corrected to within 40 % by the next batch; stock Synapse's 0.9 takes 10 to 20 batches.
_LATEST_MEMORY = 0.3
_MEMORY = 0.97

# Fewer batches, or sizes that vary by a smaller share of their mean, do not show a.
_FEWEST_BATCHES = 2.5
_LEAST_SPREAD = 0.15
# Least error of the times, as a share of their mean and in seconds.
_LEAST_ERROR = 0.05
_LEAST_ERROR_S = 0.001

# A difference by this factor, and by what a busy machine adds to short batches, is normal.
_UNEXPLAINED = 2.0
_JITTER_S = 0.005

# Batches that were short by chance (nothing but skipped rows) must not make a huge one.
_FIRST_GROWTH, _FIRST_BATCHES = 10.0, 8
_GROWTH = 2.0
_MOST_ITEMS = 1_000_000

# Fixed costs below this are not shown.
_SHOWN_S = 0.01

# Sums over fewer batches or items are not recalled, against a division by almost zero.
_LEAST_RECALLED = 1e-3

# Least cost of an item, against a division by zero.
_LEAST_ITEM_S = 1e-9


T = TypeVar("T", bound="FadingSums")


@attrs.frozen
class FadingSums:
    """Sums in which older values count less."""

    def plus(self: T, older: T, memory: float = 1.0) -> T:
        """The sum of both, where the older one is multiplied by `memory`."""
        pairs = zip(attrs.astuple(self), attrs.astuple(older), strict=True)
        return type(self)(*(mine + theirs * memory for mine, theirs in pairs))


@attrs.frozen
class Cost:
    """The duration of a batch of n items: fixed_s + item_s n."""

    fixed_s: float
    item_s: float  # above 0
    # A fixed cost may make a batch up to so long; 0: never longer than its target, as in stock
    # Synapse.
    longest_s: float = LONGEST_BATCH_S

    def wanted_items(self, target_s: float) -> float:
        """The size of a batch with this target duration, without limits."""
        by_fixed_s = min(_USEFUL_TIMES * self.fixed_s, self.longest_s - self.fixed_s)
        least_s = target_s / 2 if self.longest_s else 0.0
        return max(target_s - self.fixed_s, by_fixed_s, least_s) / self.item_s

    def items(self, limits: Limits) -> float:
        """The size to which batches come within these limits."""
        return max(1.0, _within(limits, self.wanted_items(limits.target_duration_ms / 1000)))

    def batch_s(self, items: float) -> float:
        """How long a batch takes."""
        return self.fixed_s + self.item_s * items

    def items_per_s(self, items: float) -> float:
        """Items per second in batches of this size."""
        return items / self.batch_s(items)


def _within(limits: Limits, wanted: float) -> float:
    within_rate = limits.max_items_per_second * LONGEST_SPACING_S
    size = max(min(wanted, within_rate, _MOST_ITEMS), limits.min_batch_items)
    return min(size, limits.max_batch_items)


@attrs.frozen
class _Sums(FadingSums):
    """Over batches."""

    batches: float = 0.0
    items: float = 0.0
    time_s: float = 0.0
    items_items: float = 0.0
    items_time: float = 0.0
    time_time: float = 0.0

    @property
    def mean_items(self) -> float:
        return self.items / self.batches

    @property
    def mean_s(self) -> float:
        return self.time_s / self.batches

    @property
    def items_variance(self) -> float:
        return max(self.items_items / self.batches - self.mean_items**2, 0.0)

    @property
    def tells_fixed(self) -> bool:
        """Whether sizes varied enough to tell a fixed cost from one for each item."""
        least = (_LEAST_SPREAD * self.mean_items) ** 2 if self.batches else 0.0
        return self.batches >= _FEWEST_BATCHES and self.items_variance > least

    def fixed_s(self) -> tuple[float, float]:
        """The fixed cost, and its standard error."""
        if self.batches < _FEWEST_BATCHES or not self.items_variance:
            return 0.0, math.inf
        variance = self.items_variance
        covariance = self.items_time / self.batches - self.mean_items * self.mean_s
        item_s = max(covariance / variance, 0.0)
        unexplained = self.time_time / self.batches - self.mean_s**2 - item_s * covariance
        freedom = self.batches / (self.batches - 2)
        least_s = max(_LEAST_ERROR * self.mean_s, _LEAST_ERROR_S)
        sigma_s = max(math.sqrt(max(unexplained * freedom, 0.0)), least_s)
        error_s = sigma_s * math.sqrt((1 + self.mean_items**2 / variance) / self.batches)
        return max(self.mean_s - item_s * self.mean_items, 0.0), error_s


_SUMS = len(attrs.fields(_Sums))


@attrs.define
class BatchCost:
    """Learns what the batches of one update cost."""

    last_items: int = 0  # size of the last batch; 0 before the first
    batches: int = 0  # how many it has learned from
    _latest: _Sums = attrs.field(factory=_Sums)
    _all: _Sums = attrs.field(factory=_Sums)

    def kept(self) -> list[float]:
        """The values to store for the next start, as `recall` takes them."""
        sums = (*attrs.astuple(self._latest), *attrs.astuple(self._all))
        return [self.last_items, self.batches, *sums]

    def recall(self, kept: Sequence[float], share: float) -> None:
        """Take values stored before this start, multiplied by `share`.

        Raises ValueError if another version stored them.
        """
        last_items, batches, *sums = kept
        if len(sums) != 2 * _SUMS or min(kept) < 0:
            raise ValueError("a sum is out of range")
        latest, every = (_Sums().plus(_Sums(*one), share) for one in (sums[:_SUMS], sums[_SUMS:]))
        if min(last_items, batches) < 1 or min(latest.batches, latest.items) < _LEAST_RECALLED:
            return  # too little to know anything
        self.last_items, self.batches = math.ceil(last_items * share), round(batches)
        self._latest, self._all = latest, every

    def record(self, items: int, took_s: float) -> None:
        """A batch for which `items` were requested took so long."""
        if self.batches and self._is_unexplained(items, took_s):
            self._all = _Sums()
        batch = _Sums(1.0, items, took_s, items * items, items * took_s, took_s * took_s)
        self._latest = batch.plus(self._latest, _LATEST_MEMORY)
        self._all = batch.plus(self._all, _MEMORY)
        self.last_items = items
        self.batches += 1

    @property
    def fixed_s(self) -> float:
        """The certain part of the cost of a batch that does not depend on its size."""
        fixed_s, error_s = self._all.fixed_s()
        return min(max(fixed_s - error_s, 0.0), self._latest.mean_s) if self.batches else 0.0

    @property
    def fixed_at_most_s(self) -> float:
        """The same cost at most; infinite: unknown."""
        return sum(self._all.fixed_s())

    @property
    def item_s(self) -> float:
        """The cost of each item in the latest batches; 0 before the first."""
        latest = self._latest
        if not latest.items:
            return 0.0
        return max((latest.time_s - self.fixed_s * latest.batches) / latest.items, _LEAST_ITEM_S)

    def cost(self, longest_s: float = LONGEST_BATCH_S) -> Cost | None:
        """The cost as an average over all batches; None before the first."""
        every = self._all
        if not self.batches:
            return None
        item_s = (every.time_s - self.fixed_s * every.batches) / every.items
        return Cost(self.fixed_s, max(item_s, _LEAST_ITEM_S), longest_s)

    def expected_s(self, items: int) -> float:
        """How long a batch of this size takes; 0 before the first batch.

        A small batch is assumed to have the largest possible fixed cost, up to the duration of the
        latest batches.
        """
        least_s = min(self.fixed_at_most_s, self._latest.mean_s) if self.batches else 0.0
        return max(self.fixed_s + self.item_s * items, least_s)

    def describe(self) -> str:
        """What is known, for people."""
        item = f"{format_duration_ms(self.item_s * 1000)} for each item"
        if self.fixed_s < _SHOWN_S:
            return f"a batch takes {item}"
        fixed = format_duration_ms(self.fixed_s * 1000)
        return f"a batch takes {fixed} whatever its size, and {item}"

    def next_items(
        self, limits: Limits, target_s: float, longest_s: float = LONGEST_BATCH_S
    ) -> int:
        """The size of the next batch, within the limits, never below 1.

        It should take `target_s`, or up to `longest_s` if a fixed cost requires it.
        """
        wanted: float = limits.default_batch_items
        if self.last_items:
            wanted = self._wanted(limits, target_s, longest_s)
        return max(1, math.floor(_within(limits, wanted)))

    def _wanted(self, limits: Limits, target_s: float, longest_s: float) -> float:
        wanted = Cost(self.fixed_s, self.item_s, longest_s).wanted_items(target_s)
        is_smallest = math.floor(wanted) <= self.last_items <= limits.min_batch_items
        trial_s = 2 * self._latest.mean_s
        if is_smallest and not self._all.tells_fixed and trial_s <= _LONGEST_TRIAL_S:
            return 2 * self.last_items
        growth = _FIRST_GROWTH if self.batches < _FIRST_BATCHES else _GROWTH
        return min(wanted, self.last_items * growth)

    def _is_unexplained(self, items: int, took_s: float) -> bool:
        """Whether no fixed cost and no cost of an item explains how long it took."""
        before_s, times = self._latest.mean_s, items / self._latest.mean_items
        least_s, most_s = before_s * min(times, 1), before_s * max(times, 1)
        return (
            took_s > most_s * _UNEXPLAINED + _JITTER_S
            or took_s < least_s / _UNEXPLAINED - _JITTER_S
        )
