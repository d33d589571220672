"""The loads: when which request is due. It is the same in every block of a round."""

from __future__ import annotations

import random
from collections.abc import Mapping

import attrs


@attrs.frozen
class Load:
    """The behaviour of clients.

    Attributes:
        rates_per_s: mean arrivals by kind of request, while busy.
        pollers: clients that always wait in a long-polling /sync.
        block_s: length of a block.
        busy_s: start and end of the requests in a block; None: all of it.
        rounds_ratio: number of rounds, relative to `steady`.
    """

    rates_per_s: Mapping[str, float]
    pollers: int = 20
    block_s: float = 4.0
    busy_s: tuple[float, float] | None = None
    rounds_ratio: float = 1.0


_REALISTIC = {"send": 7.0, "sync": 7.0, "messages": 10.0, "profile": 10.0}
_NEAR_SATURATION = {kind: rate * 2.0 for kind, rate in _REALISTIC.items()}

LOADS = {
    "idle": Load({}, pollers=0, block_s=6.0, rounds_ratio=0.3),
    "steady": Load(_REALISTIC),
    "light": Load({"whoami": 120.0}, rounds_ratio=0.6),
    "burst": Load(_REALISTIC, block_s=20.0, busy_s=(5.0, 15.0), rounds_ratio=0.2),
    "saturation": Load(_NEAR_SATURATION, rounds_ratio=0.6),
}


def arrivals(load: Load, block_s: float, seed: int) -> list[tuple[float, str]]:
    """Offset from the block's beginning (s) and kind of each request: a Poisson process."""
    source = random.Random(seed)
    begin_s, end_s = load.busy_s or (0.0, block_s)
    due = []
    for kind, rate in sorted(load.rates_per_s.items()):
        at_s = begin_s + source.expovariate(rate)
        while at_s < end_s:
            due.append((at_s, kind))
            at_s += source.expovariate(rate)
    return sorted(due)
