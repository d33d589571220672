"""A query of the operator's, whose first value is compared with a threshold of the operator's.

Unit: count. Cost: one statement in ten seconds, which may not write, and is ended after 250 ms.
Class: budget. An error, no answer in time, no row or NULL holds: what was asked for and cannot be
read is taken for the worst.
"""

from synapse_bgthrottle.core.signals.samples import CheckSample
from synapse_bgthrottle.core.signals.signal import Signal, SignalClass, Unit


def read(sample: CheckSample, before: CheckSample | None) -> float | None:
    return sample.value


SIGNAL = Signal(
    name="sql",
    signal_class=SignalClass.BUDGET,
    unit=Unit.COUNT,
    threshold=None,
    source=CheckSample,
    read=read,
)
