"""Signal sets of a server with four cores, for tests of signals over time."""

from synapse_bgthrottle.core.signals.samples import DatabaseSample
from synapse_bgthrottle.core.signals.signal_set import SignalSet

CORES = 4


def signal_set(**thresholds: float | None) -> SignalSet:
    return SignalSet(thresholds, CORES)


def replica(at_s: float, lag_s: float | None, problem: str = "") -> DatabaseSample:
    return DatabaseSample(at_s=at_s, replica_lag_s=lag_s, problem=problem)
