"""An autovacuum at work on the table of the update.

Unit: yes (1) or no (0). Cost: a share of one statement a second. Class: budget, for ten minutes at
a time: it cleans up after us, and an index build has to wait for it anyway. Not observable where
the tables of an update are not known, without PostgreSQL, and without the role `pg_monitor`.
"""

from synapse_bgthrottle.core.signals.samples import DatabaseSample
from synapse_bgthrottle.core.signals.signal import Signal, SignalClass, Unit


def read(sample: DatabaseSample, before: DatabaseSample | None) -> float | None:
    return None if sample.autovacuum is None else float(sample.autovacuum)


def about(sample: DatabaseSample) -> str:
    return f"of {sample.vacuumed_table}" if sample.vacuumed_table else ""


SIGNAL = Signal(
    name="autovacuum",
    signal_class=SignalClass.BUDGET,
    unit=Unit.YES_NO,
    threshold=1.0,
    source=DatabaseSample,
    read=read,
    about=about,
    longest_hold_s=600.0,
)
