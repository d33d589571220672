"""An HTTP check of the operator's: any answer but one of 200 to 299 holds all updates.

Unit: yes (1: hold) or no (0). Cost: one request in ten seconds. Class: budget. No answer in time,
or none at all, holds too.
"""

from synapse_bgthrottle.core.signals.samples import CheckSample
from synapse_bgthrottle.core.signals.signal import Signal, SignalClass, Unit


def read(sample: CheckSample, before: CheckSample | None) -> float | None:
    return sample.value


def about(sample: CheckSample) -> str:
    return sample.about


SIGNAL = Signal(
    name="http",
    signal_class=SignalClass.BUDGET,
    unit=Unit.YES_NO,
    threshold=None,
    source=CheckSample,
    read=read,
    about=about,
)
