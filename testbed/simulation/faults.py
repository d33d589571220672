"""Faults of samples of soft signals: missing, late, frozen, or false."""

import math
from collections.abc import Callable, Iterable
from typing import Any

import attrs

from synapse_bgthrottle.core.signals.samples import Sample

# Turns one sample into those that arrive: usually one.
Fault = Callable[[Sample], Iterable[Sample]]

# Fields of soft signals: these may slow an update down, but never hold it.
_SOFT = frozenset(
    {
        "timer_late_s",
        "pool_wait_s",
        "pool_waits",
        "tick_s",
        "ticks",
        "responses",
        "query_s",
        "transactions",
        "foreground_backends",
    }
)


def healthy(sample: Sample) -> Iterable[Sample]:
    """No fault."""
    return (sample,)


def lost(sample: Sample) -> Iterable[Sample]:
    """No sample arrives."""
    return ()


def blind(sample: Sample) -> Iterable[Sample]:
    """Samples arrive without any value."""
    return (_with(sample, None),)


def lying(value: float) -> Fault:
    """Every value is this one: 0, negative, nan or inf."""
    return lambda sample: (_with(sample, value),)


def frozen() -> Fault:
    """Every sample has the values of the first one of its kind, with its own time."""
    first: dict[type[Sample], Sample] = {}

    def fault(sample: Sample) -> Iterable[Sample]:
        kept = first.setdefault(type(sample), sample)
        return (attrs.evolve(kept, at_s=sample.at_s),)

    return fault


def flapping(period: int, low: float = 0.0, high: float = 1e6) -> Fault:
    """So many samples are good, as many are bad, and so on."""
    seen = 0

    def fault(sample: Sample) -> Iterable[Sample]:
        nonlocal seen
        seen += 1
        return (_with(sample, low if seen // period % 2 else high),)

    return fault


def delayed(samples: int) -> Fault:
    """Each sample comes this many samples late, with its old time."""
    queue: list[Sample] = []

    def fault(sample: Sample) -> Iterable[Sample]:
        queue.append(sample)
        return (queue.pop(0),) if len(queue) > samples else ()

    return fault


def _with(sample: Sample, value: float | None) -> Sample:
    """The sample with all its values replaced by this one."""
    changes: dict[str, Any] = {}
    for field in attrs.fields(type(sample)):
        if field.name not in _SOFT:
            continue
        if field.name == "responses":
            changes[field.name] = None if value is None else {"a_kind": (value, value)}
        elif field.name == "timer_late_s":  # it always has a value
            changes[field.name] = math.nan if value is None else value
        else:
            changes[field.name] = value
    return attrs.evolve(sample, **changes)
