"""Requests per second over time."""

from collections.abc import Callable

import attrs


@attrs.frozen
class Load:
    """A rate over time.

    Attributes:
        most_per_s: upper bound.
        per_s: the rate at a time in seconds.
    """

    most_per_s: float
    per_s: Callable[[float], float]


def steady(rate_per_s: float) -> Load:
    """A constant rate."""
    return Load(rate_per_s, lambda now_s: rate_per_s)


def step(at_s: float, before_per_s: float, after_per_s: float) -> Load:
    """Another rate from a moment on."""
    return Load(
        max(before_per_s, after_per_s),
        lambda now_s: before_per_s if now_s < at_s else after_per_s,
    )


def bursts(period_s: float, low_per_s: float, high_per_s: float, share: float = 0.5) -> Load:
    """The high rate for this share of each period, at its end; otherwise the low one."""
    return Load(
        max(low_per_s, high_per_s),
        lambda now_s: low_per_s if now_s % period_s < period_s * (1 - share) else high_per_s,
    )
