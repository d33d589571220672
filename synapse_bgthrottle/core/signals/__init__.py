"""The signals of the server's load, and when each is too high. Pure."""

from synapse_bgthrottle.core.signals.catalog import SIGNALS
from synapse_bgthrottle.core.signals.signal import Signal, SignalClass, Unit

__all__ = ["SIGNALS", "Signal", "SignalClass", "Unit"]
