"""Signals of what is checked every ten seconds: the disk, and the operator's own checks. Pure."""

from synapse_bgthrottle.core.signals.samples import CheckSample
from synapse_bgthrottle.core.signals.signal import Signal, SignalClass, Unit


def _value(sample: CheckSample, before: CheckSample | None) -> float | None:
    return sample.value


def _about(sample: CheckSample) -> str:
    return sample.about


# Space left on the disk of the database, where the database is on this machine.
# Unit: bytes. Cost: one `statvfs` in ten seconds. Class: budget, and one that is never let go: a
# full disk stops the database. Where the path is neither configured nor known it is not observable.
DISK_FREE = Signal(
    name="disk_free",
    signal_class=SignalClass.BUDGET,
    unit=Unit.SIZE,
    threshold=float(1 << 30),
    source=CheckSample,
    read=_value,
    less_is_worse=True,
)


# A file whose presence holds all updates: the operator's lever without a running command.
# Unit: yes (1) or no (0). Cost: one `stat` in ten seconds. Class: budget, and one that is never let
# go. A path that cannot be looked at is taken for present.
PAUSE_FILE = Signal(
    name="pause_file",
    signal_class=SignalClass.BUDGET,
    unit=Unit.YES_NO,
    threshold=None,
    source=CheckSample,
    read=_value,
    about=_about,
)


# An HTTP check of the operator's: any answer but one of 200 to 299 holds all updates.
# Unit: yes (1: hold) or no (0). Cost: one request in ten seconds. Class: budget. No answer in time,
# or none at all, holds too.
HTTP = Signal(
    name="http",
    signal_class=SignalClass.BUDGET,
    unit=Unit.YES_NO,
    threshold=None,
    source=CheckSample,
    read=_value,
    about=_about,
)


# A query of the operator's, whose first value is compared with a threshold of the operator's.
# Unit: count. Cost: one statement in ten seconds, which may not write, and is ended after 250 ms.
# Class: budget. An error, no answer in time, no row or NULL holds: what was asked for and cannot be
# read is taken for the worst.
SQL = Signal(
    name="sql",
    signal_class=SignalClass.BUDGET,
    unit=Unit.COUNT,
    threshold=None,
    source=CheckSample,
    read=_value,
)
