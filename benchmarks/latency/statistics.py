"""Ratios and their intervals: the blocks of a round are compared with each other, never alone."""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import attrs

_RESAMPLES = 500
_TAIL = 0.05

T = TypeVar("T")

# Requests by their place among those of their block, with latencies in ms.
Latencies = Mapping[int, float]


@attrs.frozen
class Pair:
    """The requests of a block and of the base's block of the same round.

    Attributes:
        own_ms, base_ms: all latencies, sorted.
        log_sum: of the natural logarithms of own / base over requests that both have.
        count: how many those are.
    """

    own_ms: Sequence[float]
    base_ms: Sequence[float]
    log_sum: float
    count: int

    @classmethod
    def of(cls, own: Latencies, base: Latencies) -> Pair:
        both = own.keys() & base.keys()
        log_sum = math.fsum(math.log(own[index] / base[index]) for index in both)
        return cls(sorted(own.values()), sorted(base.values()), log_sum, len(both))


@attrs.frozen
class Estimate:
    """A figure, with its bootstrap interval of 90 %."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.2f} [{self.low:.2f}, {self.high:.2f}]"


def bootstrap(
    rounds: Sequence[T],
    figure: Callable[[Sequence[T]], float | None],
    again: Callable[[random.Random, T], T] = lambda _, one: one,
) -> Estimate | None:
    """The figure of all rounds; its interval is from rounds drawn anew, with replacement.

    `again` draws anew within a round. None where the figure cannot be had.
    """
    value = figure(rounds)
    if value is None:
        return None
    source = random.Random(0)
    drawn = (
        figure([again(source, one) for one in source.choices(rounds, k=len(rounds))])
        for _ in range(_RESAMPLES)
    )
    values = sorted(other for other in drawn if other is not None)
    return Estimate(value, quantile(values, _TAIL), quantile(values, 1 - _TAIL))


def median_ratio(rounds: Sequence[tuple[float, float]]) -> float | None:
    """The median over rounds of value / base."""
    ratios = [value / base for value, base in rounds if base]
    return statistics.median(ratios) if ratios else None


def quantile_ratio(share: float) -> Callable[[Sequence[Pair]], float | None]:
    """A figure: this quantile of all latencies, as a ratio to that of the base."""

    def figure(rounds: Sequence[Pair]) -> float | None:
        own = quantile([ms for pair in rounds for ms in pair.own_ms], share)
        base = quantile([ms for pair in rounds for ms in pair.base_ms], share)
        return own / base if own and base else None

    return figure


def paired_mean_ratio(rounds: Sequence[Pair]) -> float | None:
    """The geometric mean of latency / base over pairs of the same request of the same round.

    All blocks of a round have the same arrivals, so the kind of request cancels out.
    """
    count = sum(pair.count for pair in rounds)
    return math.exp(math.fsum(pair.log_sum for pair in rounds) / count) if count else None


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which this share lies; 0 of nothing."""
    if not values:
        return 0.0
    return sorted(values)[min(int(len(values) * share), len(values) - 1)]
