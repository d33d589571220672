"""Our own wait for a connection to the database: the first part of its round trip.

Unit: ms. Cost: one transaction a second, shared with all signals of the database. Class: soft.
When the question is not answered, the last value holds until it is stale.
"""

from synapse_bgthrottle.core.signals.samples import DatabaseSample
from synapse_bgthrottle.core.signals.signal import Signal, SignalClass, Unit


def read(sample: DatabaseSample, before: DatabaseSample | None) -> float | None:
    return None if sample.pool_wait_s is None else sample.pool_wait_s * 1000


SIGNAL = Signal(
    name="database_pool_wait",
    signal_class=SignalClass.SOFT,
    unit=Unit.DURATION,
    threshold=10.0,
    source=DatabaseSample,
    read=read,
)
