"""Time per item of our own batches, against the same while nobody else was there.

Unit: times. Cost: none. Class: soft. Items are not equal (one room may cost a thousand small ones),
so it only corroborates: the threshold is far from 1. Not observable before a quiet moment was seen.
The idea is MS Manners' (SOSP '99): one's own progress tells of contention that nothing else shows.
"""

from synapse_bgthrottle.core.signals.samples import BatchSample
from synapse_bgthrottle.core.signals.signal import Signal, SignalClass, Unit


def read(sample: BatchSample, before: BatchSample | None) -> float | None:
    return sample.slowdown


SIGNAL = Signal(
    name="batch_slowdown",
    signal_class=SignalClass.SOFT,
    unit=Unit.FACTOR,
    threshold=10.0,
    source=BatchSample,
    read=read,
)
