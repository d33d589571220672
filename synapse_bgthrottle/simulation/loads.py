"""How many requests a second come in, over time."""

import math
from collections.abc import Callable

import attrs


@attrs.frozen
class Load:
    """A rate over time.

    Attributes:
        most_per_s: never exceeded.
        per_s: the rate at a time in seconds.
    """

    most_per_s: float
    per_s: Callable[[float], float]


def steady(rate_per_s: float) -> Load:
    """Always the same."""
    return Load(rate_per_s, lambda now_s: rate_per_s)


def step(at_s: float, before_per_s: float, after_per_s: float) -> Load:
    """Another rate from a moment on."""
    return Load(
        max(before_per_s, after_per_s),
        lambda now_s: before_per_s if now_s < at_s else after_per_s,
    )


def bursts(period_s: float, low_per_s: float, high_per_s: float, share: float = 0.5) -> Load:
    """For this share of each period, at its end, the high rate; else the low one."""
    return Load(
        max(low_per_s, high_per_s),
        lambda now_s: low_per_s if now_s % period_s < period_s * (1 - share) else high_per_s,
    )


def office_hours(night_per_s: float, day_per_s: float, day_s: float = 86400.0) -> Load:
    """A smooth day: least at its beginning, most at its middle."""

    def per_s(now_s: float) -> float:
        return night_per_s + (day_per_s - night_per_s) * math.sin(math.pi * now_s / day_s) ** 2

    return Load(max(night_per_s, day_per_s), per_s)
