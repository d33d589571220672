"""Event-loop lag: how late a timer of our own is.

Unit: ms. Cost: one timer, four times a second while updates are pending. Class: soft. Always
readable. It tells most of all signals of an update that works on the reactor thread.
"""

from synapse_bgthrottle.core.signals.samples import ProcessSample
from synapse_bgthrottle.core.signals.signal import Signal, SignalClass, Unit


def read(sample: ProcessSample, before: ProcessSample | None) -> float:
    return sample.timer_late_s * 1000


SIGNAL = Signal(
    name="event_loop_lag",
    signal_class=SignalClass.SOFT,
    unit=Unit.DURATION,
    threshold=50.0,
    source=ProcessSample,
    read=read,
)
