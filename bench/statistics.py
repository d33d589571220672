"""Ratios and their intervals: the blocks of a round are compared with each other, never alone."""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Callable, Sequence
from typing import TypeVar

import attrs

_RESAMPLES = 500
_TAIL = 0.05

T = TypeVar("T")

# A request by its place among those of its block, and its latency in ms.
Latencies = dict[int, float]


@attrs.frozen
class Estimate:
    """A figure, with its bootstrap interval of 90 %."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.2f} [{self.low:.2f}, {self.high:.2f}]"


def bootstrap(
    rounds: Sequence[T], figure: Callable[[Sequence[T]], float | None]
) -> Estimate | None:
    """The figure of all rounds; its interval is from rounds drawn anew, with replacement.

    None where the figure cannot be had.
    """
    value = figure(rounds)
    if value is None:
        return None
    source = random.Random(0)
    drawn = (figure(source.choices(rounds, k=len(rounds))) for _ in range(_RESAMPLES))
    values = sorted(other for other in drawn if other is not None)
    return Estimate(value, quantile(values, _TAIL), quantile(values, 1 - _TAIL))


def median_ratio(rounds: Sequence[tuple[float, float]]) -> float | None:
    """The median over rounds of value / base."""
    ratios = [value / base for value, base in rounds if base]
    return statistics.median(ratios) if ratios else None


def quantile_ratio(share: float) -> Callable[[Sequence[tuple[Latencies, Latencies]]], float | None]:
    """A figure: this quantile of all latencies, as a ratio to that of the base."""

    def figure(rounds: Sequence[tuple[Latencies, Latencies]]) -> float | None:
        values, bases = (
            [latency for pair in rounds for latency in pair[side].values()] for side in (0, 1)
        )
        base = quantile(bases, share)
        return quantile(values, share) / base if values and base else None

    return figure


def paired_mean_ratio(rounds: Sequence[tuple[Latencies, Latencies]]) -> float | None:
    """The geometric mean of latency / base over pairs of the same request of the same round.

    All blocks of a round have the same arrivals, so the kind of request cancels out.
    """
    logs = [
        math.log(values[index] / bases[index])
        for values, bases in rounds
        for index in values.keys() & bases.keys()
    ]
    return math.exp(statistics.fmean(logs)) if logs else None


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which this share lies; 0 of nothing."""
    if not values:
        return 0.0
    return sorted(values)[min(int(len(values) * share), len(values) - 1)]
