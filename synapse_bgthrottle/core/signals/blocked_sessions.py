"""Sessions that wait for a lock which a batch of ours holds, for over 100 ms.

Unit: count. Cost: a share of one statement a second. Class: panic: whoever waits for us is hurt
for certain, so we back off at once. Without PostgreSQL it is not observable, and says nothing; of
sessions of other roles, not without the role `pg_monitor`.
"""

from synapse_bgthrottle.core.signals.samples import DatabaseSample
from synapse_bgthrottle.core.signals.signal import Signal, SignalClass, Unit


def read(sample: DatabaseSample, before: DatabaseSample | None) -> float | None:
    return sample.blocked_sessions


SIGNAL = Signal(
    name="blocked_sessions",
    signal_class=SignalClass.PANIC,
    unit=Unit.COUNT,
    threshold=1.0,
    source=DatabaseSample,
    read=read,
    of_sessions=True,
)
