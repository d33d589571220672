"""Write-ahead log that PostgreSQL writes, of everybody's.

Unit: bytes per second since the last look that was answered. Cost: a share of one statement a
second. Class: budget, off unless configured. Not observable on a replica and without PostgreSQL;
not read yet where there was no look of late to compare with.
"""

from synapse_bgthrottle.core.signals.samples import DatabaseSample
from synapse_bgthrottle.core.signals.signal import NotYet, Signal, SignalClass, Unit

# The mean over a longer time says nothing of now.
_LONGEST_S = 60.0


def read(sample: DatabaseSample, before: DatabaseSample | None) -> float | NotYet | None:
    if sample.wal_bytes is None:
        return None
    if before is None or before.wal_bytes is None:
        return NotYet.NOT_YET
    written, passed_s = sample.wal_bytes - before.wal_bytes, sample.at_s - before.at_s
    if written < 0 or not 0 < passed_s <= _LONGEST_S:  # another server, or a long pause
        return NotYet.NOT_YET
    return written / passed_s


SIGNAL = Signal(
    name="wal_rate",
    signal_class=SignalClass.BUDGET,
    unit=Unit.RATE,
    threshold=None,
    source=DatabaseSample,
    read=read,
)
