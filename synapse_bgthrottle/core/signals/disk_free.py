"""Space left on the disk of the database, where the database is on this machine.

Unit: bytes. Cost: one `statvfs` in ten seconds. Class: budget, and one that is never let go: a full
disk stops the database. Where the path is neither configured nor known it is not observable.
"""

from synapse_bgthrottle.core.signals.samples import CheckSample
from synapse_bgthrottle.core.signals.signal import Signal, SignalClass, Unit


def read(sample: CheckSample, before: CheckSample | None) -> float | None:
    return sample.value


SIGNAL = Signal(
    name="disk_free",
    signal_class=SignalClass.BUDGET,
    unit=Unit.SIZE,
    threshold=float(1 << 30),
    source=CheckSample,
    read=read,
    less_is_worse=True,
)
