"""Time of a turn of the event loop, by Synapse's own metric `python_twisted_reactor_tick_time`.

Unit: ms, the mean of the turns since the last look. Cost: two numbers read. Class: soft. Where
the reactor is one that Synapse does not measure, it is not observable, and says nothing.
"""

from synapse_bgthrottle.core.signals.differences import mean_ms
from synapse_bgthrottle.core.signals.samples import ProcessSample
from synapse_bgthrottle.core.signals.signal import Signal, SignalClass, Unit


def read(sample: ProcessSample, before: ProcessSample | None) -> float | None:
    if before is None:
        return None
    return mean_ms(sample.tick_s, before.tick_s, sample.ticks, before.ticks)


SIGNAL = Signal(
    name="reactor_tick",
    signal_class=SignalClass.SOFT,
    unit=Unit.DURATION,
    threshold=50.0,
    source=ProcessSample,
    read=read,
)
