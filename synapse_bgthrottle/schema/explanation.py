"""What an update is limited and held by."""

from collections.abc import Mapping
from typing import Annotated

import attrs

from synapse_bgthrottle.schema.codec import NeverNull, OneOf, Ratio, Within
from synapse_bgthrottle.schema.levers import Lever

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@attrs.frozen(kw_only=True)
class WindowValues:
    """A weekly time in which an update may run. One that ends before it starts ends a day later."""

    days: Annotated[tuple[Annotated[str, OneOf(*DAYS)], ...], "On which it starts."] = DAYS
    start_minutes: Annotated[int, "Since midnight.", Within(0, 1439)] = 0
    end_minutes: Annotated[int, "Since midnight.", Within(1, 1440)] = 1440


@attrs.frozen(kw_only=True)
class LimitValues:
    """The limits of an update as values: all settings in force, merged."""

    pace: Annotated[
        str,
        "What makes the rest after a batch: a share of the time that is work, a fixed sleep, or"
        " what is measured.",
        OneOf("duty_cycle", "sleep", "adaptive"),
    ]
    duty_cycle_ratio: Annotated[Ratio | None, "Of the pace `duty_cycle`; null: another one."] = None
    sleep_ms: Annotated[float | None, "Of the pace `sleep`; null: another one."] = None
    profile: Annotated[str, "How careful the pace `adaptive` is, such as `balanced`."] = "balanced"
    min_duty_cycle_ratio: Annotated[Ratio, "The least of the pace `adaptive`."] = 0.01
    max_duty_cycle_ratio: Annotated[Ratio, "The greatest of the pace `adaptive`."] = 1.0
    target_duration_ms: Annotated[float, "How long a batch should take."] = 100.0
    max_items_per_second: Annotated[float | None, "null: no limit."] = None
    default_batch_items: Annotated[int, "Of the first batch."] = 1
    min_batch_items: Annotated[int, "Of a later batch."] = 1
    max_batch_items: Annotated[int | None, "null: no limit."] = None
    windows: Annotated[tuple[WindowValues, ...], "When it may run; empty: always."] = ()
    time_zone: Annotated[str, "In which the windows are read, such as `Europe/Berlin`."] = "UTC"
    max_hold_ms: Annotated[float, "How long closed windows may hold it."] = 604_800_000.0
    needs_approval: Annotated[bool, "Whether it waits until somebody releases it."] = False


@attrs.frozen(kw_only=True)
class HeldBy:
    """What would hold an update now."""

    cause: Annotated[str, "Its short name, such as `window`."] = ""
    reason: Annotated[str, "For people."] = ""


@attrs.frozen(kw_only=True)
class Explanation:
    """What an update is, or would be, limited and held by."""

    update: str
    database: str = ""
    one_shot: Annotated[bool, "Whether it runs in one go."] = False
    rule: Annotated[
        str | None, "That matches first, such as `rule 0 (event_search)`; null: no rule matches."
    ] = None
    description: Annotated[str, "In one line."] = ""
    limits: Annotated[
        Mapping[str, str], "Each setting in force, as a text like those of the configuration."
    ] = attrs.field(factory=dict)
    limit_values: Annotated[LimitValues | None, NeverNull()] = None
    details: Annotated[tuple[str, ...], "Lines on what follows from the limits."] = ()
    held_by: Annotated[tuple[HeldBy, ...], "All that would hold it now."] = ()
    levers: Annotated[tuple[Lever, ...], "In force, that match it."] = ()
