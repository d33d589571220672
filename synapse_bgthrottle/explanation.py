"""What an update of a name is, or would be, limited and held by, as JSON. Pure."""

import math
from collections.abc import Iterator
from typing import Any

from synapse_bgthrottle.decision import Conditions
from synapse_bgthrottle.levers import Levers
from synapse_bgthrottle.limits import FixedSleep, Limits
from synapse_bgthrottle.log_lines import describe
from synapse_bgthrottle.quirks import LEAST_BATCH_ITEMS
from synapse_bgthrottle.state import UpdateState
from synapse_bgthrottle.throttle import Throttle
from synapse_bgthrottle.units import format_duration_ms, format_ratio
from synapse_bgthrottle.windows import is_open

Json = dict[str, Any]


def explanation(
    throttle: Throttle, database_name: str, update_name: str, one_shot: bool, at: Conditions
) -> Json:
    """Which rule and which limits it gets, and all that would hold it at this moment."""
    state, verdicts = throttle.explain(database_name, update_name, one_shot, at)
    levers = (throttle.levers or Levers()).about(update_name, database_name)
    return {
        "update": update_name,
        "database": database_name,
        "one_shot": state.one_shot,
        "rule": None if state.rule is None else str(state.rule),
        "description": describe(state),
        "limits": _limits(state.limits),
        "details": list(_details(update_name, state, at.wall_s)),
        "held_by": [{"cause": v.cause.value, "reason": v.reason} for v in verdicts],
        "levers": [lever.to_json() for lever in levers.in_force(at.wall_s)],
    }


def _limits(limits: Limits) -> dict[str, str]:
    """The merged settings by key of the configuration, as one would write them."""
    pace = str(limits.pace)
    fixed = isinstance(limits.pace, FixedSleep)
    return {
        "target_duration": format_duration_ms(limits.target_duration_ms),
        **({"sleep": pace[6:]} if fixed else {"duty_cycle": pace[11:]}),
        "profile": limits.profile,
        "min_duty_cycle": format_ratio(limits.min_duty_ratio),
        "max_duty_cycle": format_ratio(limits.max_duty_ratio),
        "max_items_per_second": _or_off(limits.max_items_per_second),
        "default_batch_size": str(limits.default_batch_items),
        "min_batch_size": str(limits.min_batch_items),
        "max_batch_size": _or_off(limits.max_batch_items),
        "windows": "; ".join(map(str, limits.windows)) or "always",
        "time_zone": str(limits.time_zone),
        "max_hold": format_duration_ms(limits.max_hold_ms),
        "approval": "required" if limits.needs_approval else "off",
    }


def _details(update_name: str, state: UpdateState, wall_s: float) -> Iterator[str]:
    limits = state.limits
    if state.is_adaptive:
        yield from _adaptive(state)
    if not state.one_shot:
        yield (
            f"batch size: first {limits.default_batch_items}, at least {limits.min_batch_items},"
            f" at most {'any' if math.isinf(limits.max_batch_items) else limits.max_batch_items}"
        )
    if update_name in LEAST_BATCH_ITEMS:
        yield f"its batches never have less than {LEAST_BATCH_ITEMS[update_name]} items"
    if limits.windows and is_open(limits.windows, limits.time_zone, wall_s):
        yield "windows: open now"


def _adaptive(state: UpdateState) -> Iterator[str]:
    limits, profile = state.limits, state.profile
    if math.isinf(profile.tolerance_ratio):
        yield f"profile {limits.profile}: no rest, whatever it does to clients"
        return
    yield (
        f"profile {limits.profile}: among clients, whose requests may be"
        f" {format_ratio(profile.tolerance_ratio)} slower by Synapse's measure, a duty cycle of"
        f" {format_ratio(profile.start_duty_ratio)} at first, then by what is measured,"
        f" {format_ratio(limits.min_duty_ratio)} to {format_ratio(limits.max_duty_ratio)}"
    )
    yield (
        f"without clients for {format_duration_ms(profile.quiet_after_s * 1000)}: a duty cycle of"
        f" {format_ratio(limits.max_duty_ratio)}"
    )


def _or_off(value: float) -> str:
    return "off" if math.isinf(value) else f"{value:.10g}"
