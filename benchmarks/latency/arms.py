"""The arms by name: who decides on batches, in the blocks of each."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import attrs


@attrs.frozen
class Arm:
    """One way to control updates.

    Attributes:
        runs: whether batches run at all.
        rest_s: before each batch; None rests as long as the last batch took, 1 s at most.
        target_ms: what a batch is to take.
        module: the configuration of ours, which then decides instead; None: not ours.
    """

    runs: bool = True
    rest_s: float | None = 0.0
    target_ms: int = 100
    module: dict[str, Any] | None = None


_STOCK = re.compile(r"stock (\d+)/(\d+)")

PROFILES = ("gentle", "balanced", "fast", "finish")

ARMS = {
    "none": Arm(runs=False),
    "control": Arm(runs=False),
    "unthrottled": Arm(),
    "stock": Arm(rest_s=1.0),
    "nice": Arm(rest_s=None),
    "ours 10%": Arm(module={"duty_cycle": "10%"}),
    "ours 25%": Arm(module={"duty_cycle": "25%"}),
    **{name: Arm(module={"duty_cycle": "adaptive", "profile": name}) for name in PROFILES},
}


def arm(name: str, extra: Mapping[str, dict[str, Any]]) -> Arm:
    """The arm of this name; `extra` are configurations of ours by name, and come first.

    Also `stock REST/TARGET`, both in ms, which are settings of stock's own.

    Raises:
        ValueError: there is none.
    """
    if name in extra:
        return Arm(module=extra[name])
    if match := _STOCK.fullmatch(name):
        return Arm(rest_s=int(match[1]) / 1000, target_ms=int(match[2]))
    if name in ARMS:
        return ARMS[name]
    raise ValueError(f"no arm {name!r}: there are {', '.join(ARMS)} and stock REST/TARGET")
