"""How updates went, and how busy clients were meanwhile."""

from typing import Annotated

import attrs

from synapse_bgthrottle.schema.codec import (
    EpochMs,
    NeverNull,
    OneOf,
    Ratio,
    Shape,
    WaitedMs,
    Within,
)


@attrs.frozen(kw_only=True)
class HistoryEntry:
    """How one update went, or goes."""

    database: str = ""
    update: str
    started_ms: Annotated[EpochMs | None, NeverNull()] = None
    ended_ms: Annotated[EpochMs | None, "null: not yet."] = None
    outcome: Annotated[str, OneOf("running", "done", "aborted", "gone")] = ""
    items: int = 0
    batches: int = 0
    batch_time_ms: Annotated[float, "Time in batches, in ms, without waits for locks."] = 0.0
    waited_ms: WaitedMs = attrs.field(factory=dict)
    failures: Annotated[int, "Failed batches."] = 0
    last_failure: Annotated[str, "The error of the last one; may be empty."] = ""


@attrs.frozen(kw_only=True)
class History:
    """Updates that went or go on, newest first."""

    history: tuple[HistoryEntry, ...] = ()


@attrs.frozen(kw_only=True)
class SeenHour:
    """How busy clients were in one hour of the week in UTC, as far as it was watched.

    It is watched while an update is pending and no window or pause holds it.
    """

    hour: Annotated[int, "0 is Monday's, from midnight.", Within(0, 167)]
    watched_s: Annotated[
        float, "For how long; what was two weeks ago counts for half.", Within(0)
    ] = 0.0
    present_ratio: Annotated[Ratio, "The share of that in which clients were active."] = 0.0
    requests_per_second: Annotated[
        float | None, "null where requests go to other processes.", Within(0)
    ] = None


@attrs.frozen(kw_only=True)
class Load:
    """The hours of the week that were watched."""

    load: Annotated[tuple[SeenHour, ...], Shape({"maxItems": 168})] = ()
