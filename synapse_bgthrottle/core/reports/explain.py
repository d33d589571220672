"""The limits and holds of an update, whether it is pending or not. Pure."""

import math
from collections.abc import Iterator
from zoneinfo import ZoneInfo

from synapse_bgthrottle import schema
from synapse_bgthrottle.core.config.limits import (
    Adaptive,
    DutyCycle,
    FixedSleep,
    Limits,
    Pace,
    Settings,
)
from synapse_bgthrottle.core.config.profiles import PROFILES
from synapse_bgthrottle.core.config.windows import Window, is_open
from synapse_bgthrottle.core.levers.lever import Levers
from synapse_bgthrottle.core.reports.log_lines import describe
from synapse_bgthrottle.core.scheduling.decision import Conditions
from synapse_bgthrottle.core.scheduling.effective_limits import LEAST_BATCH_ITEMS
from synapse_bgthrottle.core.scheduling.state import UpdateState
from synapse_bgthrottle.core.scheduling.throttle import Throttle
from synapse_bgthrottle.core.units import format_duration_ms, format_ratio


def explanation(
    throttle: Throttle, database_name: str, update_name: str, one_shot: bool, at: Conditions
) -> schema.Explanation:
    """The update's rule and limits, and everything that would hold it at this moment."""
    state, verdicts = throttle.explain(database_name, update_name, one_shot, at)
    levers = (throttle.levers or Levers()).about(update_name, database_name)
    return schema.Explanation(
        update=update_name,
        database=database_name,
        one_shot=state.one_shot,
        rule=None if state.rule is None else str(state.rule),
        description=describe(state),
        limits=_limits(state.limits),
        limit_values=limit_values(state.limits),
        details=tuple(_details(update_name, state, at.wall_s)),
        held_by=tuple(schema.HeldBy(cause=v.cause.value, reason=v.reason) for v in verdicts),
        levers=tuple(lever.stated() for lever in levers.in_force(at.wall_s)),
    )


def limit_values(limits: Limits) -> schema.LimitValues:
    """The merged settings as values."""
    pace, rate, most = limits.pace, limits.max_items_per_second, limits.max_batch_items
    return schema.LimitValues(
        pace=_PACES[type(pace)],
        duty_cycle_ratio=pace.ratio if isinstance(pace, DutyCycle) else None,
        sleep_ms=pace.duration_ms if isinstance(pace, FixedSleep) else None,
        profile=limits.profile,
        min_duty_cycle_ratio=limits.min_duty_ratio,
        max_duty_cycle_ratio=limits.max_duty_ratio,
        target_duration_ms=limits.target_duration_ms,
        max_items_per_second=None if math.isinf(rate) else rate,
        default_batch_items=limits.default_batch_items,
        min_batch_items=limits.min_batch_items,
        max_batch_items=None if math.isinf(most) else int(most),
        windows=tuple(
            schema.WindowValues(
                days=tuple(schema.DAYS[day] for day in window.days),
                start_minutes=window.start_minutes,
                end_minutes=window.end_minutes,
            )
            for window in limits.windows
        ),
        time_zone=str(limits.time_zone),
        max_hold_ms=limits.max_hold_ms,
        needs_approval=limits.needs_approval,
    )


_PACES: dict[type[Pace], str] = {DutyCycle: "duty_cycle", FixedSleep: "sleep", Adaptive: "adaptive"}


def settings_of(values: schema.LimitValues) -> Settings:
    """The settings from which `limit_values` made these values.

    Raises ValueError if a value is from another version of the module, and unknown to this one.
    """
    if values.profile not in PROFILES:
        raise ValueError(f"no profile is called {values.profile}")
    try:
        zone = ZoneInfo(values.time_zone)
    except (KeyError, OSError, ValueError) as error:
        raise ValueError(f"no time zone is called {values.time_zone}") from error
    rate, most = values.max_items_per_second, values.max_batch_items
    return Settings(
        target_duration_ms=values.target_duration_ms,
        pace=_pace(values),
        profile=values.profile,
        min_duty_ratio=values.min_duty_cycle_ratio,
        max_duty_ratio=values.max_duty_cycle_ratio,
        max_items_per_second=math.inf if rate is None else rate,
        default_batch_items=values.default_batch_items,
        min_batch_items=values.min_batch_items,
        max_batch_items=math.inf if most is None else most,
        windows=tuple(
            Window(tuple(map(schema.DAYS.index, v.days)), v.start_minutes, v.end_minutes)
            for v in values.windows
        ),
        time_zone=zone,
        max_hold_ms=values.max_hold_ms,
        needs_approval=values.needs_approval,
    )


def _pace(values: schema.LimitValues) -> Pace:
    if values.pace == "adaptive":
        return Adaptive()
    if values.pace == "duty_cycle" and values.duty_cycle_ratio is not None:
        return DutyCycle(values.duty_cycle_ratio)
    if values.pace == "sleep" and values.sleep_ms is not None:
        return FixedSleep(values.sleep_ms)
    raise ValueError(f"no pace is called {values.pace}, or its value is missing")


def _limits(limits: Limits) -> dict[str, str]:
    """The merged settings by configuration key, as one would write them."""
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
    yield from learned(state)
    if not state.one_shot:
        most = limits.max_batch_items
        yield (
            f"batch size: first {limits.default_batch_items}, at least {limits.min_batch_items},"
            f" {'no upper limit' if math.isinf(most) else f'at most {most}'}"
        )
    if update_name in LEAST_BATCH_ITEMS:
        yield f"its batches never have fewer than {LEAST_BATCH_ITEMS[update_name]} items"
    if limits.windows and is_open(limits.windows, limits.time_zone, wall_s):
        yield "windows: open now"


def learned(state: UpdateState) -> Iterator[str]:
    """What is known of an update from its batches, in lines for people."""
    if state.is_adaptive and state.impact.experiments:
        yield state.impact.describe()
    if state.cost.batches:
        yield state.cost.describe()


def _adaptive(state: UpdateState) -> Iterator[str]:
    limits, profile = state.limits, state.profile
    if not profile.is_careful:
        yield f"profile {limits.profile}: no rest, even if clients become slower"
        return
    slower = f"{format_ratio(profile.tolerance_ratio)} slower"
    if profile.like_stock:
        slower += ", or as much as with stock Synapse"
    yield (
        f"profile {limits.profile}: clients' requests may become {slower}; while clients are here,"
        f" updates may use {format_ratio(limits.min_duty_ratio)} to"
        f" {format_ratio(limits.max_duty_ratio)} of the time"
    )
    yield (
        f"no client for {format_duration_ms(profile.quiet_after_s * 1000)}: updates may use"
        f" {format_ratio(limits.max_duty_ratio)} of the time"
    )


def _or_off(value: float) -> str:
    return "off" if math.isinf(value) else f"{value:.10g}"
