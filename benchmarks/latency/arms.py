"""The arms by name: who decides on batches."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import attrs


@attrs.frozen
class Arm:
    """One way to control updates.

    Attributes:
        runs: whether there is an update at all.
        stock: Synapse's own settings, `background_updates` in homeserver.yaml.
        module: the configuration of ours, which then decides instead; None: not ours.
    """

    runs: bool = True
    stock: Mapping[str, Any] = attrs.field(factory=dict)
    module: Mapping[str, Any] | None = None


_STOCK = re.compile(r"stock (\d+)/(\d+)")

CONTROL, STOCK, UNTHROTTLED = "control", "stock", "unthrottled"
PROFILES = ("gentle", "balanced", "fast", "finish")

ARMS = {
    CONTROL: Arm(runs=False),
    UNTHROTTLED: Arm(stock={"sleep_enabled": False}),
    STOCK: Arm(),
    **{name: Arm(module={"profile": name}) for name in PROFILES},
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
        keys = ("sleep_duration_ms", "background_update_duration_ms")
        return Arm(stock=dict(zip(keys, map(int, match.groups()), strict=True)))
    if name in ARMS:
        return ARMS[name]
    raise ValueError(f"no arm {name!r}: there are {', '.join(ARMS)} and stock REST/TARGET")
