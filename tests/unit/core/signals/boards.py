"""Boards of a server with four cores, for the tests of signals over time."""

from synapse_bgthrottle.core.signals.samples import DatabaseSample
from synapse_bgthrottle.core.signals.signal_set import Board

CORES = 4


def board(**thresholds: float | None) -> Board:
    return Board(thresholds, CORES)


def replica(at_s: float, lag_s: float | None, problem: str = "") -> DatabaseSample:
    return DatabaseSample(at_s=at_s, replica_lag_s=lag_s, problem=problem)
