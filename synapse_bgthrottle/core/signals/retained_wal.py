"""Write-ahead log that PostgreSQL keeps for the replication slot that is furthest behind.

Unit: bytes. Cost: a share of one statement a second. Class: budget, off unless configured: only the
operator knows the room on that disk. Not observable without PostgreSQL.
"""

from synapse_bgthrottle.core.signals.samples import DatabaseSample
from synapse_bgthrottle.core.signals.signal import Signal, SignalClass, Unit


def read(sample: DatabaseSample, before: DatabaseSample | None) -> float | None:
    return sample.retained_wal_bytes


SIGNAL = Signal(
    name="retained_wal",
    signal_class=SignalClass.BUDGET,
    unit=Unit.SIZE,
    threshold=None,
    source=DatabaseSample,
    read=read,
)
