"""The properties that every signal has."""

import enum
from collections.abc import Callable
from typing import Any

import attrs

from synapse_bgthrottle.core.signals.samples import (
    BatchSample,
    CheckSample,
    DatabaseSample,
    ProcessSample,
    Sample,
)


class SignalClass(enum.Enum):
    """What a signal may do to an update.

    SOFT slows it down, never below the least duty cycle. BUDGET holds it while something is short.
    PANIC stops batches for some seconds.
    """

    SOFT = "soft"
    BUDGET = "budget"
    PANIC = "panic"


class Unit(enum.Enum):
    """What the value of a signal counts."""

    DURATION = "ms"
    COUNT = "count"
    SIZE = "bytes"
    RATE = "bytes/s"
    FACTOR = "times"
    YES_NO = "yes or no"


# A value older than this many periods is stale.
STALE_PERIODS = 3

PERIOD_S: dict[type[Sample], float] = {
    ProcessSample: 0.25,
    DatabaseSample: 1.0,
    CheckSample: 10.0,
    # Not the time until the next sample, but how long one counts. It describes the time of its
    # batch, and the pause that it makes has no batch that could show anything better.
    BatchSample: 1.0,
}


class NoRateYetError(Exception):
    """A rate has no value as long as it has only one sample."""


# Returns the value in the signal's unit (durations in ms); None: not observable. Arguments: the
# sample, and the last answered one of the same kind before it (None at first).
# Raises NoRateYetError.
Read = Callable[[Any, Any], float | None]


@attrs.frozen
class Signal:
    """One signal.

    Its pressure is value / threshold, or the inverse where less is worse. Its effect starts at 1.0.
    """

    name: str  # its key under `signals:`
    signal_class: SignalClass
    unit: Unit  # of its value and its threshold
    threshold: float | None  # the value of pressure 1.0, unless configured; None: off
    source: type[Sample]
    read: Read  # reads the value from a sample
    less_is_worse: bool = False  # whether low values are bad, such as free disk space
    one_shot_only: bool = False  # whether it only decides when a one-shot starts
    of_sessions: bool = False  # it counts database sessions, of which some roles see a part
    longest_hold_s: float = float("inf")  # at a time; inf: only `max_hold` limits it
    # Period of the least value, to which the threshold is added (or at least that value itself); 0:
    # the threshold counts from 0.
    base_s: float = 0.0
    about: Callable[[Any], str] | None = None  # reads a text that follows the name; None: no text
