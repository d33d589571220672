"""The operations of the HTTP API: each path with its parameters, its body, and an example."""

from typing import Any

import attrs

from synapse_bgthrottle.schema import (
    DatabaseStatus,
    Explanation,
    HeldBy,
    History,
    HistoryEntry,
    Lever,
    LeverAnswer,
    LimitValues,
    Load,
    PendingUpdate,
    Progress,
    RunningUpdate,
    SeenHour,
    StatedDecision,
    StatedPace,
    StatedRange,
    StatedSignal,
    ThrottleStatus,
    TimeLeft,
    Use,
    Uses,
)
from testbed.openapi import requests


@attrs.frozen(kw_only=True)
class Operation:
    """A path and its method. The records are examples; their classes say what is allowed.

    Attributes:
        name: of the path, below the version.
        summary: what it does or returns.
        query: parameters; None: it has none.
        body: of a POST; None: it is a GET.
        answer: None: any object.
    """

    name: str
    summary: str
    query: Any = None
    body: Any = None
    answer: Any = None


_NOW_MS = 1_767_571_200_000
_TOMORROW_MS = _NOW_MS + 86_400_000
_MADE: dict[str, Any] = {
    "author": "@admin:example.org",
    "created_ms": _NOW_MS,
    "ends_ms": _TOMORROW_MS,
}
_PAUSE = Lever(id="a1b2c3d4", kind="pause", update="event_*", reason="too slow at noon", **_MADE)
_RELEASE = Lever(id="c3d4e5f6", kind="release", update="user_ips_analyze", **_MADE)
_OVERRIDE = Lever(
    id="b2c3d4e5",
    kind="override",
    update="event_search",
    database="master",
    settings={"duty_cycle": "5%"},
    **_MADE,
)
_PROGRESS = Progress(ratio=0.66, done=496_900, total=752_865, left=255_965, unit="stream positions")
_CURRENT = RunningUpdate(
    name="event_search",
    since_ms=_NOW_MS,
    batches=40,
    items=4000,
    batch_time_ms=4100,
    last_batch_ms=98.2,
    target_duration_ms=100,
    items_per_second=66.7,
    waited_ms={"pace": 55_900},
    progress=_PROGRESS,
    time_left_s=TimeLeft(
        expected=3837.5, earliest=1210.0, latest=5620.0, at_this_pace=3837.5, unthrottled=262.4
    ),
    pace=StatedPace(
        left=255_965.0,
        per_batch_second=975.5,
        speed_error=0.16,
        without_clients=StatedRange(likely=1.0, low=0.85, high=1.15),
        with_clients=StatedRange(likely=0.0684, low=0.0513, high=0.0855),
        clients_ratio=1.0,
        slope=StatedRange(likely=0.43, low=0.3, high=0.56),
        fixed_s=0.002,
        item_s=0.00098,
    ),
    decision=StatedDecision(
        cause="pace",
        reason="clients are there, clients are 2% slower by it: duty cycle 7%: rests 369ms after a"
        " batch of 98.2ms",
        since_ms=_NOW_MS + 59_500,
    ),
    duty_cycle_ratio=0.07,
    limits="duty cycle adaptive, balanced, target duration 100ms",
    limit_values=LimitValues(pace="adaptive"),
)
_STATUS = ThrottleStatus(
    version="0.1.0",
    server_name="example.org",
    now_ms=_NOW_MS + 60_000,
    enabled=True,
    duty_cycle_ratio=0.07,
    databases=(
        DatabaseStatus(
            name="master",
            engine="postgres",
            state="waiting",
            pending=(
                PendingUpdate(
                    name="event_search",
                    known=True,
                    one_shot=False,
                    progress=_PROGRESS,
                    started_ms=_NOW_MS,
                ),
            ),
            current=_CURRENT,
            signals=(
                StatedSignal(
                    name="event_loop_lag",
                    kind="soft",
                    unit="ms",
                    value=3.2,
                    threshold=50,
                    pressure=0.06,
                    age_s=1.5,
                ),
            ),
        ),
    ),
    levers=(_OVERRIDE,),
)
_HISTORY = History(
    history=(
        HistoryEntry(
            database="master",
            update="event_search",
            started_ms=_NOW_MS,
            outcome="running",
            items=4000,
            batches=40,
            batch_time_ms=4100,
            waited_ms={"pace": 55_900},
        ),
    )
)
_USES = Uses(
    uses=(
        Use(
            at_ms=_NOW_MS,
            author="@admin:example.org",
            action="pause",
            update="event_*",
            reason="too slow at noon",
            ends_ms=_TOMORROW_MS,
        ),
    )
)
_LOAD = Load(
    load=(SeenHour(hour=33, watched_s=6120.25, present_ratio=0.62, requests_per_second=1.4),)
)
_EXPLANATION = Explanation(
    update="event_search",
    database="master",
    rule="rule 0 (event_search)",
    description="duty cycle adaptive, profile balanced",
    limits={"duty_cycle": "adaptive", "profile": "balanced"},
    limit_values=LimitValues(pace="adaptive"),
    held_by=(HeldBy(cause="window", reason="opens in 3h"),),
)

OPERATIONS = (
    Operation(name="status", summary="What goes on, and what waits", answer=_STATUS),
    Operation(
        name="history",
        summary="What ran, newest first",
        query=requests.HistoryQuery(update="event_*", database="master"),
        answer=_HISTORY,
    ),
    Operation(
        name="uses",
        summary="Who used which lever, newest first",
        query=requests.UsesQuery(),
        answer=_USES,
    ),
    Operation(name="load", summary="How busy clients were, by hour of the week", answer=_LOAD),
    Operation(
        name="explain",
        summary="What an update is, or would be, limited and held by",
        query=requests.ExplainQuery(update="event_search"),
        answer=_EXPLANATION,
    ),
    Operation(name="openapi.json", summary="This description"),
    Operation(
        name="pause",
        summary="Hold updates for a time",
        body=requests.Pause(update="event_*", reason="too slow at noon"),
        answer=LeverAnswer(made=(_PAUSE,), in_force=(_PAUSE,)),
    ),
    Operation(
        name="resume",
        summary="End pauses that the glob equals or matches",
        body=requests.Ending(update="event_*"),
        answer=LeverAnswer(ended=(_PAUSE,)),
    ),
    Operation(
        name="release",
        summary="Let pending updates go once: closed windows, missing approval, calm before"
        " one-shots, budgets",
        body=requests.Release(update="user_ips_analyze", reason="checked"),
        answer=LeverAnswer(made=(_RELEASE,), in_force=(_RELEASE,)),
    ),
    Operation(
        name="override",
        summary="Set other limits for a time",
        body=requests.Override(
            update="event_search",
            database="master",
            settings=requests.Settings(duty_cycle="5%"),
            for_="7d",
            reason="slow disks",
        ),
        answer=LeverAnswer(made=(_OVERRIDE,), in_force=(_OVERRIDE,)),
    ),
    Operation(
        name="reset",
        summary="End overrides and releases that the glob equals or matches",
        body=requests.Ending(),
        answer=LeverAnswer(ended=(_OVERRIDE,)),
    ),
)
