"""Contradictions within a level of the configuration, or with the level above. Pure."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from synapse_bgthrottle.core.config.keys import KEYS
from synapse_bgthrottle.core.config.limits import DutyCycle, FixedSleep, Settings
from synapse_bgthrottle.core.config.problems import found
from synapse_bgthrottle.core.units import format_ratio

# The smaller key, the larger key, and how to write their values.
_BOUNDS: tuple[tuple[str, str, Callable[[Any], str]], ...] = (
    ("min_duty_cycle", "max_duty_cycle", format_ratio),
    ("min_batch_size", "max_batch_size", str),
    ("default_batch_size", "max_batch_size", str),
    ("min_batch_size", "default_batch_size", str),
)
_ADAPTIVE_ONLY = ("profile", "min_duty_cycle", "max_duty_cycle")


def contradictions(
    raw: Mapping[str, Any], own: Settings, above: Settings
) -> Iterator[tuple[str, str]]:
    """The key and a message for each contradiction.

    `raw` is the level as written, `own` its parsed settings, `above` the level that completes it.
    """
    if "duty_cycle" in raw and "sleep" in raw:
        yield (
            "sleep",
            f"found {found(raw['sleep'])} beside duty_cycle {found(raw['duty_cycle'])};"
            " accepted is one of the two",
        )
    yield from _without_effect(raw, own)
    yield from _out_of_order(own, above)


def _without_effect(raw: Mapping[str, Any], own: Settings) -> Iterator[tuple[str, str]]:
    if not isinstance(own.pace, (DutyCycle, FixedSleep)):
        return
    fixed = "duty_cycle" if isinstance(own.pace, DutyCycle) else "sleep"
    for key in _ADAPTIVE_ONLY:
        if key in raw:
            yield (
                key,
                f"found {found(raw[key])}, which has no effect beside {fixed} {found(raw[fixed])};"
                f" accepted is {key} with duty_cycle: adaptive, or {fixed} alone",
            )


def _out_of_order(own: Settings, above: Settings) -> Iterator[tuple[str, str]]:
    for small, large, told in _BOUNDS:
        low_field, high_field = KEYS[small].setting, KEYS[large].setting
        own_small, own_large = getattr(own, low_field), getattr(own, high_field)
        low = own_small or getattr(above, low_field)
        high = own_large or getattr(above, high_field)
        if not (own_small or own_large) or low is None or high is None or low <= high:
            continue
        at, other = (small, large) if own_small else (large, small)
        value, bound = (low, high) if own_small else (high, low)
        where = " from the top level" if not (own_small and own_large) else ""
        relation = "at most" if own_small else "at least"
        yield (
            at,
            f"found {told(value)}; accepted is {relation} {other}, which is {told(bound)}{where}",
        )
