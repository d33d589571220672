"""Pool wait of everybody: how long transactions wait for a connection to the database.

Unit: ms, the mean of the transactions since the last look, by Synapse's own metric
`synapse_storage_schedule_time`. Cost: two numbers read. Class: soft. Without the metric it is not
observable, and says nothing.
"""

from synapse_bgthrottle.core.signals.differences import mean_ms
from synapse_bgthrottle.core.signals.samples import ProcessSample
from synapse_bgthrottle.core.signals.signal import Signal, SignalClass, Unit


def read(sample: ProcessSample, before: ProcessSample | None) -> float | None:
    if before is None:
        return None
    return mean_ms(sample.pool_wait_s, before.pool_wait_s, sample.pool_waits, before.pool_waits)


SIGNAL = Signal(
    name="pool_wait",
    signal_class=SignalClass.SOFT,
    unit=Unit.DURATION,
    threshold=10.0,
    source=ProcessSample,
    read=read,
)
