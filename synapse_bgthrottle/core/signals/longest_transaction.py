"""Age of the oldest transaction of anybody else in the database.

Unit: ms. Cost: a share of one statement a second. Class: budget, for the start of one-shots only:
`CREATE INDEX CONCURRENTLY` waits for every older transaction, and keeps rows from being cleaned up
meanwhile. Not observable without PostgreSQL; nor, without the role `pg_monitor`, while sessions of
other roles are in the database, unless one of our own role's is old enough.
"""

from synapse_bgthrottle.core.signals.samples import DatabaseSample
from synapse_bgthrottle.core.signals.signal import Signal, SignalClass, Unit


def read(sample: DatabaseSample, before: DatabaseSample | None) -> float | None:
    return None if sample.longest_transaction_s is None else sample.longest_transaction_s * 1000


SIGNAL = Signal(
    name="longest_transaction",
    signal_class=SignalClass.BUDGET,
    unit=Unit.DURATION,
    threshold=300_000.0,
    source=DatabaseSample,
    read=read,
    of_sessions=True,
    one_shot_only=True,
)
