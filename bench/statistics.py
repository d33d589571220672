"""Paired ratios and their intervals: each block against its neighbours of the same round."""

from __future__ import annotations

import random
import statistics
from collections.abc import Sequence

import attrs

_RESAMPLES = 2000


@attrs.frozen
class Estimate:
    """A median of paired ratios, with its bootstrap interval of 90 %."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.2f} [{self.low:.2f}, {self.high:.2f}]"


def paired(values: Sequence[float], base: Sequence[float]) -> Estimate | None:
    """The median of values / base, round by round; None where there is nothing to compare."""
    ratios = [value / other for value, other in zip(values, base, strict=True) if other]
    if not ratios:
        return None
    source = random.Random(0)
    medians = sorted(
        statistics.median(source.choices(ratios, k=len(ratios))) for _ in range(_RESAMPLES)
    )
    return Estimate(
        statistics.median(ratios), medians[_RESAMPLES // 20], medians[-_RESAMPLES // 20]
    )


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which this share lies; 0 of nothing."""
    if not values:
        return 0.0
    return sorted(values)[min(int(len(values) * share), len(values) - 1)]
