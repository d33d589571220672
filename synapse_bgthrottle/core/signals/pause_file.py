"""A file whose presence holds all updates: the operator's lever without a running command.

Unit: yes (1) or no (0). Cost: one `stat` in ten seconds. Class: budget, and one that is never let
go. A path that cannot be looked at is taken for present.
"""

from synapse_bgthrottle.core.signals.samples import CheckSample
from synapse_bgthrottle.core.signals.signal import Signal, SignalClass, Unit


def read(sample: CheckSample, before: CheckSample | None) -> float | None:
    return sample.value


def about(sample: CheckSample) -> str:
    return sample.about


SIGNAL = Signal(
    name="pause_file",
    signal_class=SignalClass.BUDGET,
    unit=Unit.YES_NO,
    threshold=None,
    source=CheckSample,
    read=read,
    about=about,
)
