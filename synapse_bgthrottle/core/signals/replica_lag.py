"""Replay lag of the slowest replica of PostgreSQL.

Unit: ms. Cost: a share of one statement a second. Class: budget. Seen on the primary only; without
the role `pg_monitor` (or `pg_read_all_stats`) not observable. One that is connected and hangs is
seen by the reply that it owes. One that is not connected is not seen: `retained_wal` sees its slot.
"""

from synapse_bgthrottle.core.signals.samples import DatabaseSample
from synapse_bgthrottle.core.signals.signal import Signal, SignalClass, Unit


def read(sample: DatabaseSample, before: DatabaseSample | None) -> float | None:
    return None if sample.replica_lag_s is None else sample.replica_lag_s * 1000


SIGNAL = Signal(
    name="replica_lag",
    signal_class=SignalClass.BUDGET,
    unit=Unit.DURATION,
    threshold=10_000.0,
    source=DatabaseSample,
    read=read,
)
