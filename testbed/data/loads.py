"""The loads: when which request is due. It is the same in every block with the same seed."""

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
    """

    rates_per_s: Mapping[str, float]
    pollers: int = 20
    block_s: float = 10.0
    busy_s: tuple[float, float] | None = None


_FIFTEEN = {"send": 5.25, "sync": 5.25, "messages": 3.0, "profile": 1.5}
_THIRTY_FOUR = {"send": 7.0, "sync": 7.0, "messages": 10.0, "profile": 10.0}
_NEAR_SATURATION = {kind: rate * 2.0 for kind, rate in _THIRTY_FOUR.items()}

LOADS = {
    "idle": Load({}, pollers=0),
    "polls": Load({}),
    "15": Load(_FIFTEEN),
    "34": Load(_THIRTY_FOUR),
    "light": Load({"whoami": 120.0}),
    "burst": Load(_THIRTY_FOUR, block_s=20.0, busy_s=(5.0, 15.0)),
    "saturation": Load(_NEAR_SATURATION),
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
