"""Write-ahead log that PostgreSQL writes, of everybody's.

Unit: bytes per second since the last look. Cost: a share of one statement a second. Class: budget,
off unless configured. Not observable on a replica and without PostgreSQL.
"""

from synapse_bgthrottle.signals.samples import DatabaseSample
from synapse_bgthrottle.signals.signal import Signal, SignalClass, Unit


def read(sample: DatabaseSample, before: DatabaseSample | None) -> float | None:
    if before is None or sample.wal_bytes is None or before.wal_bytes is None:
        return None
    written, passed_s = sample.wal_bytes - before.wal_bytes, sample.at_s - before.at_s
    return written / passed_s if written >= 0 and passed_s > 0 else None


SIGNAL = Signal(
    name="wal_rate",
    signal_class=SignalClass.BUDGET,
    unit=Unit.RATE,
    threshold=None,
    source=DatabaseSample,
    read=read,
)
