"""Time that the database takes for our question: the second part of its round trip.

Unit: ms. Cost: one statement a second, shared with all signals of the database. Class: soft. The
threshold counts from the least value of the last ten minutes, as in LEDBAT (RFC 6817): how far
away the database is says nothing about its load. When the question is not answered, the last value
holds until it is stale.
"""

from synapse_bgthrottle.core.signals.samples import DatabaseSample
from synapse_bgthrottle.core.signals.signal import Signal, SignalClass, Unit


def read(sample: DatabaseSample, before: DatabaseSample | None) -> float | None:
    return None if sample.query_s is None else sample.query_s * 1000


SIGNAL = Signal(
    name="database_query",
    signal_class=SignalClass.SOFT,
    unit=Unit.DURATION,
    threshold=20.0,
    source=DatabaseSample,
    read=read,
    base_s=600.0,
)
