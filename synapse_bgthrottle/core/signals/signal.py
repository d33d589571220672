"""What all signals have in common."""

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

    SOFT slows it down, never below the least duty cycle. BUDGET holds it while what is left of
    something is short. PANIC makes it back off at once, for some seconds.
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


# A sample older than this many periods is stale.
STALE_PERIODS = 3

PERIOD_S: dict[type[Sample], float] = {
    ProcessSample: 0.25,
    DatabaseSample: 1.0,
    CheckSample: 10.0,
    # Not when the next one is due, but how long one counts: it tells of the time of its batch, and
    # a batch that hung may be followed by ten minutes without one.
    BatchSample: 5.0,
}


class NotYet(enum.Enum):
    """What is read of a rate as long as only one of its two samples is there."""

    NOT_YET = enum.auto()


# The value that this sample shows, in the signal's unit (durations in ms), with the last one of the
# same kind that was answered before it (None at first); None: not observable.
Read = Callable[[Any, Any], float | NotYet | None]


@attrs.frozen(kw_only=True)
class Signal:
    """One signal.

    Its pressure is value / threshold, where less is worse threshold / value; 1.0 is the point from
    which we yield.

    Attributes:
        name: its key under `signals:`.
        signal_class: what it may do.
        unit: of its value and its threshold.
        threshold: where its pressure is 1.0, unless configured; None: off.
        source: the samples that it is read from.
        read: how.
        less_is_worse: whether it is about what is left, such as free space on a disk.
        one_shot_only: whether it only decides when a one-shot starts.
        of_sessions: whether it is about sessions of the database, all of which only some roles see.
        longest_hold_s: how long it may hold an update at a time; inf: as long as `max_hold` says.
        about: what else a sample says of it, as it follows the name; None: nothing.
        base_s: over which time its least value is learned, to which the threshold is added (and
            the base itself, where that is more); 0: the threshold counts from 0.
    """

    name: str
    signal_class: SignalClass
    unit: Unit
    threshold: float | None
    source: type[Sample]
    read: Read
    less_is_worse: bool = False
    one_shot_only: bool = False
    of_sessions: bool = False
    longest_hold_s: float = float("inf")
    base_s: float = 0.0
    about: Callable[[Any], str] | None = None
