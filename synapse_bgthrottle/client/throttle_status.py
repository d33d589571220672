"""The module's status: what every database is at, and why it is no faster."""

from collections.abc import Mapping

import attrs

from synapse_bgthrottle.client.levers import Lever


@attrs.frozen
class Progress:
    """How far an update has come; None: unknown.

    Attributes:
        ratio: 0 to 1.
        done, total, left: in `unit`.
        unit: what is counted.
    """

    ratio: float | None = None
    done: float | None = None
    total: float | None = None
    left: float | None = None
    unit: str = ""


@attrs.frozen
class PendingUpdate:
    """One update of the queue.

    Attributes:
        name: of the update.
        depends_on: the update that it names as its precondition.
        waits_for: the one it waits behind.
        known: whether the server's version knows it; None: not told.
        one_shot: whether it runs in one go; None: not told.
        progress: if known.
        paused: whether a pause matches it.
        started_ms: since the epoch; None: it has not.
        is_reachable: whether it will ever begin; not where updates wait for each other.
    """

    name: str
    depends_on: str | None = None
    waits_for: str | None = None
    known: bool | None = None
    one_shot: bool | None = None
    progress: Progress | None = None
    paused: bool = False
    started_ms: int | None = None
    is_reachable: bool = True


@attrs.frozen
class StatedDecision:
    """The last decision on the current update.

    Attributes:
        cause: its short name; `run`: nothing is in the way.
        is_hold: whether it stops the update, rather than spacing its batches.
        reason: for people.
        since_ms: since the epoch.
        next_try_ms: when the wait after a failure ends, since the epoch; None: it is no such wait.
    """

    cause: str = "run"
    is_hold: bool = False
    reason: str = ""
    since_ms: int | None = None
    next_try_ms: int | None = None


@attrs.frozen
class TimeLeft:
    """Seconds that are left; None: unknown.

    Attributes:
        at_this_pace: rests included.
        unthrottled: without them.
    """

    at_this_pace: float | None = None
    unthrottled: float | None = None


@attrs.frozen
class IndexBuild:
    """What PostgreSQL tells of an index that is being built.

    Attributes:
        phase: its words.
        progress_ratio: of the phase, 0 to 1; None: unknown.
    """

    phase: str = ""
    progress_ratio: float | None = None


@attrs.frozen
class RunningUpdate:
    """The update that a database is at.

    Attributes:
        name: of the update.
        one_shot: whether it runs in one go.
        since_ms: since the epoch.
        batches, items, batch_time_ms: what ran since then.
        last_batch_ms, target_duration_ms: how long a batch took, and should take.
        items_per_second: rests included; None: unknown.
        waited_ms: by cause.
        progress, time_left_s, decision: see there.
        is_in_batch: whether one runs now.
        batch_since_ms: since the epoch; None: none runs.
        lock_wait_since_ms: since when that batch waits for a lock; None: it is not seen to.
        duty_cycle_ratio: what its pace allows now; None: it has none, or unknown.
        limits: one line.
        rule: that gave them; None: the top level alone.
        index_build: None: none is known of.
    """

    name: str
    one_shot: bool = False
    since_ms: int | None = None
    batches: int = 0
    items: int = 0
    batch_time_ms: float = 0.0
    last_batch_ms: float | None = None
    target_duration_ms: float | None = None
    items_per_second: float | None = None
    waited_ms: Mapping[str, float] = attrs.field(factory=dict)
    progress: Progress | None = None
    time_left_s: TimeLeft = TimeLeft()
    decision: StatedDecision | None = None
    is_in_batch: bool = False
    batch_since_ms: int | None = None
    lock_wait_since_ms: int | None = None
    duty_cycle_ratio: float | None = None
    limits: str = ""
    rule: str | None = None
    index_build: IndexBuild | None = None


@attrs.frozen
class LastFailure:
    """The batch that failed last.

    Attributes:
        at_ms: since the epoch.
        update: whose.
        message: the error.
    """

    at_ms: int | None = None
    update: str = ""
    message: str = ""


@attrs.frozen
class StatedSignal:
    """What one signal says.

    Attributes:
        name: of the signal.
        kind: `soft`, `budget` or `panic` (the key is `class`).
        unit: of `value` and `threshold`.
        value: None: not known.
        threshold: at which the pressure is 1.
        pressure: `value` by `threshold`; None: not known.
        age_s: of the value.
        is_stale: whether that is too old to be believed.
        is_closed: whether it holds the current update, or would if nobody had let that go.
        problem: why it cannot be read; may be empty.
    """

    name: str
    kind: str = attrs.field(default="", metadata={"key": "class"})
    unit: str = ""
    value: float | None = None
    threshold: float | None = None
    pressure: float | None = None
    age_s: float | None = None
    is_stale: bool = False
    is_closed: bool = False
    problem: str = ""


@attrs.frozen
class Restart:
    """What the module does about updates that Synapse gave up, or does not work on.

    Attributes:
        due_ms: when it starts them again, since the epoch; None: it does not.
        held_by: why it has not, although that was due.
        count: how often it did in a row, without a batch that ended well since.
        last_ms: when it last did, since the epoch.
    """

    due_ms: int | None = None
    held_by: str = ""
    count: int = 0
    last_ms: int | None = None


@attrs.frozen
class DatabaseStatus:
    """One database.

    Attributes:
        name: of the database.
        engine: `postgres`, `sqlite` or `unknown`.
        state: `running`, `waiting`, `held`, `aborted`, `stopped` (Synapse does not work on a
            queue that has updates), `disabled` or `idle`.
        pending: in the order in which they will run; None: the queue could not be read.
        queue_problem: why not.
        current: None: it is at none.
        failures_in_row: of the current update; 0 once what failed has left the queue.
        last_failure: None: none is known of.
        restart: None: they go on as ever, or the module is an older one.
        signals: all that count here.
    """

    name: str
    engine: str = "unknown"
    state: str = "unknown"
    pending: tuple[PendingUpdate, ...] | None = None
    queue_problem: str = ""
    current: RunningUpdate | None = None
    failures_in_row: int = 0
    last_failure: LastFailure | None = None
    restart: Restart | None = None
    signals: tuple[StatedSignal, ...] = ()


@attrs.frozen
class StatedProblem:
    """Something that needs somebody.

    Attributes:
        kind: its short name, such as `aborted`.
        database: None: all.
        message: what is the matter.
        advice: what to do.
    """

    kind: str = ""
    database: str | None = None
    message: str = ""
    advice: str = ""


@attrs.frozen
class MissingDetail:
    """A private detail of Synapse that this version of it lacks.

    Attributes:
        name: of the detail.
        cost: what the module cannot do without it.
    """

    name: str = ""
    cost: str = ""


@attrs.frozen
class ThrottleStatus:
    """All of it.

    Attributes:
        enabled: Synapse's own switch.
        databases: each.
        version: of the module.
        server_name: of the server.
        now_ms: the server's clock, since the epoch.
        duty_cycle_ratio: what the pace allows now; None: it has none, or unknown.
        levers: in force.
        problems: loudest first.
        missing: what the server's version of Synapse lacks, of what the module looks at.
    """

    enabled: bool
    databases: tuple[DatabaseStatus, ...]
    version: str = ""
    server_name: str = ""
    now_ms: int | None = None
    duty_cycle_ratio: float | None = None
    levers: tuple[Lever, ...] = ()
    problems: tuple[StatedProblem, ...] = ()
    missing: tuple[MissingDetail, ...] = ()
