"""What the HTTP API says, as records: the server makes them, and the client gets them back.

`codec` makes JSON of them, and them of JSON. `make openapi` describes the API by them.
"""

from collections.abc import Mapping
from typing import Annotated, Any

import attrs

from synapse_bgthrottle.codec import (
    EpochMs,
    Key,
    LeftOut,
    NeverNull,
    OneOf,
    Ratio,
    Shape,
    WaitedMs,
    Within,
)

Glob = Annotated[str, "The name of an update, or a glob such as `event_*`."]
OnlyDatabase = Annotated[str | None, "The only database that it is about; null: all."]


@attrs.frozen(kw_only=True)
class Lever:
    """Something that an administrator put in force until a given time."""

    id: Annotated[str, "Tells it from all others."] = ""
    kind: Annotated[str, OneOf("pause", "override", "release")] = ""
    update: Glob = "*"
    database: OnlyDatabase = None
    settings: Annotated[Mapping[str, Any], "As given; empty but for overrides."] = attrs.field(
        factory=dict
    )
    reason: Annotated[str, "As given; may be empty."] = ""
    author: Annotated[str, "The administrator's full user ID."] = ""
    created_ms: Annotated[EpochMs | None, NeverNull()] = None
    ends_ms: Annotated[EpochMs | None, NeverNull()] = None
    used_ms: Annotated[EpochMs | None, "When a release let its update go; null: not yet."] = None


@attrs.frozen(kw_only=True)
class LeverAnswer:
    """What the use of a lever changed."""

    made: Annotated[tuple[Lever, ...], "Levers that are new."] = ()
    ended: Annotated[tuple[Lever, ...], "Levers that are no longer in force."] = ()
    in_force: Annotated[tuple[Lever, ...], "All that are, afterwards."] = ()
    notes: Annotated[
        tuple[str, ...],
        "What else is to be known, for people: that nothing pending matches now, what still holds"
        " or limits an update, what it waits behind.",
    ] = ()


@attrs.frozen(kw_only=True)
class Use:
    """One use of a lever by somebody."""

    at_ms: EpochMs = 0
    author: Annotated[str, "The administrator's full user ID."] = ""
    action: Annotated[str, OneOf("pause", "resume", "release", "override", "reset", "restart")] = ""
    update: Glob = ""
    database: OnlyDatabase = None
    reason: Annotated[str, "As given; may be empty."] = ""
    settings: Annotated[Mapping[str, Any], "Of an override, as given."] = attrs.field(factory=dict)
    ends_ms: Annotated[EpochMs | None, "When what it made ends; null: it made nothing."] = None


@attrs.frozen
class Uses:
    """Uses of levers, newest first."""

    uses: tuple[Use, ...] = ()


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


@attrs.frozen(kw_only=True)
class Progress:
    """How far an update has come; null is unknown."""

    ratio: Ratio | None = None
    done: float | None = None
    total: float | None = None
    left: float | None = None
    unit: Annotated[str, "What the other three count, such as `stream positions`."] = ""


@attrs.frozen(kw_only=True)
class PendingUpdate:
    """One update of the queue."""

    name: str
    depends_on: Annotated[str | None, "The update that it names as its precondition."] = None
    waits_for: Annotated[str | None, "The one that it waits behind."] = None
    is_reachable: Annotated[
        bool, "Whether it will ever begin; not where updates wait for each other in a circle."
    ] = True
    known: Annotated[bool | None, "Whether this server can run it; null: not known."] = None
    one_shot: Annotated[bool | None, "Whether it runs in one go; null: not known."] = None
    progress: Progress | None = None
    paused: Annotated[bool, "Whether a pause matches it."] = False
    started_ms: Annotated[EpochMs | None, "null: it has not."] = None


@attrs.frozen(kw_only=True)
class StatedDecision:
    """The last decision on the current update."""

    cause: Annotated[str, "Its short name; `run`: nothing is in the way."] = "run"
    is_hold: Annotated[bool, "Whether it stops the update, rather than spacing its batches."] = (
        False
    )
    reason: Annotated[str, "For people."] = ""
    since_ms: Annotated[EpochMs | None, NeverNull()] = None
    next_try_ms: Annotated[
        EpochMs | None, "When the wait after a failure ends; null: it is no such wait."
    ] = None


@attrs.frozen(kw_only=True)
class TimeLeft:
    """Seconds that are left; null: unknown."""

    expected: Annotated[
        float | None,
        "As is likely, through windows and pauses, by the hours of the week; null also where"
        " something holds it of which no end is known.",
    ] = None
    earliest: Annotated[float | None, "It ends no sooner, as far as is known."] = None
    latest: Annotated[float | None, "It ends no later, as far as is known."] = None
    at_this_pace: Annotated[
        float | None, "As it goes now, rests included; holds are not in it."
    ] = None
    unthrottled: Annotated[float | None, "Without rests."] = None


@attrs.frozen(kw_only=True)
class StatedRange:
    """What is likely, and between which it is."""

    likely: float
    low: float
    high: float


@attrs.frozen(kw_only=True)
class StatedPace:
    """What the time left rests on, and forecasts."""

    left: Annotated[float, "In the unit of the progress; rests under way are counted as done."]
    per_batch_second: Annotated[float, "Of that for each second in batches."]
    speed_error: Annotated[float, "By what share that may be off."] = 0.0
    without_clients: Annotated[StatedRange, "Share of the time in batches."]
    with_clients: Annotated[StatedRange, "Share of the time in batches."]
    with_clients_ratio: Annotated[
        Ratio, "For how much of the time clients were there when that was measured."
    ] = 1.0
    clients_ratio: Annotated[
        Ratio | None, "For how much of the last half minute clients were there; null: unknown."
    ] = None
    slope: Annotated[
        StatedRange | None,
        "By what share requests are slower while batches take all of the time; null: not learned.",
    ] = None
    fixed_s: Annotated[float, "How long a batch takes whatever its size."] = 0.0
    item_s: Annotated[float | None, "How long each item takes besides; null: not known yet."] = None


@attrs.frozen(kw_only=True)
class IndexBuild:
    """What PostgreSQL says of an index that is being built."""

    phase: Annotated[str, "In its words."] = ""
    progress_ratio: Annotated[Ratio | None, "Of the phase; null: unknown."] = None


@attrs.frozen(kw_only=True)
class RunningUpdate:
    """The update that a database is at."""

    name: str
    one_shot: Annotated[bool, "Whether it runs in one go."] = False
    since_ms: Annotated[EpochMs | None, NeverNull()] = None
    batches: Annotated[int, "Since then."] = 0
    items: Annotated[int, "Since then."] = 0
    batch_time_ms: Annotated[float, "Time in batches since then, in ms."] = 0.0
    last_batch_ms: Annotated[float | None, "How long the last batch took; null: unknown."] = None
    target_duration_ms: Annotated[float | None, "How long a batch should take.", NeverNull()] = None
    items_per_second: Annotated[
        float | None, "At the pace of now, rests included; null: unknown."
    ] = None
    waited_ms: WaitedMs = attrs.field(factory=dict)
    progress: Progress | None = None
    time_left_s: TimeLeft = TimeLeft()
    pace: Annotated[StatedPace | None, "null: not known yet."] = None
    decision: StatedDecision | None = None
    is_in_batch: Annotated[bool, "Whether a batch runs now."] = False
    batch_since_ms: Annotated[EpochMs | None, "null: no batch runs."] = None
    lock_wait_since_ms: Annotated[
        EpochMs | None, "Since when the batch waits for somebody's lock; null: no wait is seen."
    ] = None
    duty_cycle_ratio: Annotated[
        Ratio | None, "What its pace allows now; null: it has no duty cycle, or it is not known."
    ] = None
    limits: Annotated[str, "In one line."] = ""
    limit_values: Annotated[LimitValues | None, NeverNull()] = None
    rule: Annotated[str | None, "That gave the limits; null: no rule matches."] = None
    learned: Annotated[
        tuple[str, ...],
        "What its batches have shown so far, in lines: how much they slow clients, what they cost.",
    ] = ()
    index_build: Annotated[IndexBuild | None, "null: none is known of."] = None


@attrs.frozen(kw_only=True)
class LastFailure:
    """The batch that failed last."""

    at_ms: Annotated[EpochMs | None, NeverNull()] = None
    update: str = ""
    message: Annotated[str, "The error."] = ""


@attrs.frozen(kw_only=True)
class Restart:
    """What the module does about updates that Synapse gave up, or does not work on."""

    since_ms: Annotated[EpochMs | None, "Since when they stand still; null: they do not."] = None
    due_ms: Annotated[EpochMs | None, "When it starts them again; null: it does not."] = None
    held_by: Annotated[str, "Why it has not, although that was due; empty: it was not."] = ""
    count: Annotated[int, "How often it did in a row, without a batch that ended well since."] = 0
    last_ms: Annotated[EpochMs | None, "When it last did; null: it has not."] = None


@attrs.frozen(kw_only=True)
class StatedSignal:
    """What one signal says."""

    name: str
    kind: Annotated[str, Key("class"), OneOf("soft", "budget", "panic")] = ""
    unit: Annotated[str, "Of value and threshold, such as `ms`, `count`, `bytes`."] = ""
    value: Annotated[float | None, "null: not known."] = None
    threshold: Annotated[float | None, "At which the pressure is 1.", NeverNull()] = None
    pressure: Annotated[float | None, "1 is the threshold.", NeverNull()] = None
    age_s: Annotated[float | None, "Of the value."] = None
    is_stale: Annotated[bool, "Whether that is too old to be believed."] = False
    is_closed: Annotated[
        bool, "Whether it holds the current update, or would without a release."
    ] = False
    problem: Annotated[str, "Why it cannot be read; may be empty."] = ""


@attrs.frozen(kw_only=True)
class DatabaseStatus:
    """One database."""

    name: str
    engine: Annotated[str, OneOf("postgres", "sqlite", "unknown")] = "unknown"
    state: Annotated[
        str,
        "running: a batch runs; waiting: rests; held: something holds it; aborted: Synapse gave up;"
        " stopped: Synapse does not work on a queue that has updates; idle: nothing pending.",
        OneOf("running", "waiting", "held", "aborted", "stopped", "disabled", "idle"),
    ] = "unknown"
    pending: Annotated[
        tuple[PendingUpdate, ...] | None,
        "In the order in which Synapse runs them, the first 500; null: the queue could not be"
        " read.",
    ] = None
    pending_count: Annotated[
        int | None, "Of the whole queue; left out: it could not be read.", Within(0), LeftOut()
    ] = None
    queue_problem: Annotated[str, "Why the queue could not be read; empty: it was."] = ""
    current: Annotated[RunningUpdate | None, "null: it is at none."] = None
    failures_in_row: Annotated[
        int, "Of the current update; 0 once what failed has left the queue."
    ] = 0
    last_failure: Annotated[LastFailure | None, "null: none is known of."] = None
    restart: Annotated[Restart | None, "null: they go on as ever."] = None
    signals: tuple[StatedSignal, ...] = ()

    @property
    def queued(self) -> int:
        """How many updates are in the queue, as far as it is known; older servers list all."""
        return self.pending_count or len(self.pending or ())

    @property
    def decision(self) -> StatedDecision | None:
        """The last one on the current update."""
        return None if self.current is None else self.current.decision


@attrs.frozen
class StatedProblem:
    """What is wrong, or stands in the way."""

    database: Annotated[str | None, "null: all."] = None
    kind: Annotated[
        str,
        OneOf(
            *("store", "disabled", "aborted", "stopped", "failing", "database", "unknown_update"),
            *("circle", "configuration", "held", "stuck", "paused"),
        ),
    ] = ""
    message: Annotated[str, "What is the matter."] = ""
    advice: Annotated[str, "What to do."] = ""
    since_ms: Annotated[EpochMs | None, "When it began; null: not known."] = None
    last_ms: Annotated[
        EpochMs | None, "When it was last met, of failures; null: it is there now."
    ] = None


@attrs.frozen(kw_only=True)
class MissingDetail:
    """A private detail of Synapse that this version of it lacks."""

    name: str = ""
    cost: Annotated[str, "What the module cannot do without it."] = ""


@attrs.frozen(kw_only=True)
class ThrottleStatus:
    """What goes on, and what waits."""

    version: Annotated[str, "Of the module."] = ""
    server_name: str = ""
    now_ms: Annotated[EpochMs | None, "The server's clock.", NeverNull()] = None
    enabled: Annotated[bool, "Synapse's own switch."]
    duty_cycle_ratio: Annotated[
        Ratio | None, "What the pace allows now; null: it has no duty cycle, or it is not known."
    ] = None
    databases: tuple[DatabaseStatus, ...]
    levers: Annotated[tuple[Lever, ...], "In force."] = ()
    problems: Annotated[tuple[StatedProblem, ...], "The worst first."] = ()
    missing: Annotated[
        tuple[MissingDetail, ...],
        "Private details of Synapse that the module looks at and this version of Synapse lacks."
        " Updates are throttled without them.",
    ] = ()


@attrs.frozen(kw_only=True)
class CurrentUpdate:
    """The update that a database is at."""

    name: str
    total_item_count: Annotated[
        int, "Items since the server started; what one is depends on the update."
    ] = 0
    total_duration_ms: Annotated[float, "Time in batches, without the rests between them."] = 0.0
    average_items_per_ms: Annotated[
        float | None, "Within batches; null: no batch has ended yet."
    ] = None


@attrs.frozen(kw_only=True)
class UpdatesStatus:
    """What all databases are at: neither the queue behind it nor its progress."""

    enabled: Annotated[bool, "Synapse's own switch."]
    current_updates: Annotated[
        Mapping[str, CurrentUpdate], "By name of database; one that is at none is not there."
    ] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class Enabled:
    """The answer of the switch."""

    enabled: Annotated[bool, "How it stands now."]


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


@attrs.frozen
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


@attrs.frozen
class Load:
    """The hours of the week that were watched."""

    load: Annotated[tuple[SeenHour, ...], Shape({"maxItems": 168})] = ()


@attrs.frozen
class Problem:
    """Something that a configuration or a request gets wrong."""

    path: Annotated[tuple[str, ...], "The keys that lead there."] = ()
    message: Annotated[str, "What was found, and what is accepted."] = ""

    def __str__(self) -> str:
        return ": ".join(part for part in (".".join(self.path), self.message) if part)


@attrs.frozen(kw_only=True)
class ErrorAnswer:
    """Why it is not done."""

    errcode: str = ""
    error: Annotated[str, "For people."] = ""
    retry_after_ms: Annotated[int | None, LeftOut(), "With 429 for too many at once."] = None
    is_worker: Annotated[
        bool | None,
        LeftOut(),
        "With 404: this is a worker, and the main process answers this. Left out elsewhere.",
    ] = None
    may_be_done: Annotated[
        bool | None,
        LeftOut(),
        "With 503: what was asked for may have been done, or still be. Where it is left out, it is"
        " not.",
    ] = None
    problems: Annotated[tuple[Problem, ...] | None, LeftOut(), "With 400: all that is wrong."] = (
        None
    )
