"""Sessions of clients at work in the database, but ours.

Unit: count. Cost: a share of one statement a second. Class: soft. The threshold is the number of
this machine's cores, unless configured. In a deployment with workers it is what sees their clients.
Without PostgreSQL it is not observable, and says nothing. Without the role `pg_monitor`, and with
sessions of other roles in the database, neither, unless those of our own role are enough.
"""

from synapse_bgthrottle.core.signals.samples import DatabaseSample
from synapse_bgthrottle.core.signals.signal import Signal, SignalClass, Unit


def read(sample: DatabaseSample, before: DatabaseSample | None) -> float | None:
    return sample.foreground_backends


SIGNAL = Signal(
    name="foreground_backends",
    signal_class=SignalClass.SOFT,
    unit=Unit.COUNT,
    threshold=4.0,
    source=DatabaseSample,
    read=read,
    of_sessions=True,
)
