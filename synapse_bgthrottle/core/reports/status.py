"""The status of the server's updates, as the HTTP API returns it. Pure."""

from collections.abc import Iterator, Mapping, Sequence

import attrs

from synapse_bgthrottle import schema
from synapse_bgthrottle._version import __version__
from synapse_bgthrottle.core.levers.lever import Lever, LeverKind, Levers
from synapse_bgthrottle.core.reports.explain import learned, limit_values
from synapse_bgthrottle.core.reports.log_lines import describe
from synapse_bgthrottle.core.reports.problems import of_configuration, problems
from synapse_bgthrottle.core.scheduling.decision import Cause
from synapse_bgthrottle.core.scheduling.effective_limits import IN_ONE_GO
from synapse_bgthrottle.core.scheduling.holds import backoff_left_s
from synapse_bgthrottle.core.scheduling.restarts import Restarts
from synapse_bgthrottle.core.scheduling.state import DatabaseState, UpdateState
from synapse_bgthrottle.core.scheduling.throttle import Throttle
from synapse_bgthrottle.core.tracking.history import HistoryEntry
from synapse_bgthrottle.core.tracking.progress import Progress
from synapse_bgthrottle.core.tracking.queue import Pending, QueueRow, in_order, why_it_stays
from synapse_bgthrottle.core.tracking.runs import UpdateRuns
from synapse_bgthrottle.core.tracking.time_left import Estimate

# So many updates of a queue are listed. Synapse has some dozens; thousands would block the server
# while the list is made.
MOST_PENDING = 500


@attrs.frozen
class Moment:
    """The present on both clocks, in seconds: monotonic and since the epoch."""

    now_s: float
    wall_s: float

    def ms_at(self, at_s: float) -> int:
        """Convert a monotonic time to ms since the epoch."""
        return round((self.wall_s - (self.now_s - at_s)) * 1000)

    def ms_of(self, at_s: float | None) -> int | None:
        """The same of a time that may be unknown."""
        return None if at_s is None else self.ms_at(at_s)


@attrs.frozen(kw_only=True)
class DatabaseLook:
    """What is known of one database."""

    name: str
    engine: str = "unknown"  # `postgres`, `sqlite` or `unknown`
    rows: Sequence[QueueRow] | None = ()  # its queue; None: it could not be read
    queue_problem: str = ""  # why not
    current: str | None = None  # the update that Synapse works on; None: none, or unknown
    has_aborted: bool = False  # whether Synapse gave up
    restarts: Restarts = attrs.field(factory=Restarts)
    known: frozenset[str] = frozenset()  # updates that the server can run; empty: unknown
    one_shots: frozenset[str] = frozenset()  # names of those that Synapse flags as one-shots
    progress: Mapping[str, Progress] = attrs.field(factory=dict)  # by update, where it is known
    estimate: Estimate = attrs.field(factory=Estimate)  # time left of the current update


@attrs.frozen(kw_only=True)
class ServerLook:
    """What is known of the server."""

    server_name: str
    enabled: bool  # Synapse's own switch for background updates
    store_problem: str  # why nothing can be stored; empty: it can
    missing: Sequence[schema.MissingDetail] = ()  # private attributes that this Synapse lacks
    warnings: Sequence[str] = ()


def status(
    throttle: Throttle,
    runs: UpdateRuns,
    looks: Sequence[DatabaseLook],
    moment: Moment,
    server: ServerLook,
) -> schema.ThrottleStatus:
    """The whole status."""
    enabled = server.enabled
    levers = (throttle.levers or Levers()).in_force(moment.wall_s)
    stated = tuple(lever.stated() for lever in levers)
    databases = tuple(_database(throttle, runs, look, levers, enabled, moment) for look in looks)
    now_ms = round(moment.wall_s * 1000)
    stays = {
        look.name: why_it_stays(look.rows, look.current) for look in looks if look.rows is not None
    }
    return schema.ThrottleStatus(
        version=__version__,
        server_name=server.server_name,
        now_ms=now_ms,
        enabled=enabled,
        duty_cycle_ratio=_duty_ratio(databases),
        databases=databases,
        levers=stated,
        problems=(
            *problems(enabled, server.store_problem, databases, stays, stated, now_ms),
            *of_configuration(server.warnings),
        ),
        missing=tuple(server.missing),
    )


def _duty_ratio(databases: Sequence[schema.DatabaseStatus]) -> float | None:
    # All databases share one adaptive pace. The highest ratio shows what it allows.
    ratios = [database.current.duty_cycle_ratio for database in databases if database.current]
    return max((ratio for ratio in ratios if ratio is not None), default=None)


def _database(
    throttle: Throttle,
    runs: UpdateRuns,
    look: DatabaseLook,
    levers: Sequence[Lever],
    enabled: bool,
    moment: Moment,
) -> schema.DatabaseStatus:
    state = throttle.databases.get(look.name)
    current: schema.RunningUpdate | None = None
    entry = runs.so_far(look.name)
    names = None if look.rows is None else {row.name for row in look.rows}
    if entry is not None and state is not None and (names is None or entry.update in names):
        update = throttle.as_of(entry.key, moment.wall_s)
        current = _update_status(entry, update, state, look, moment)
    first = current.name if current else look.current
    pauses = [lever for lever in levers if lever.kind is LeverKind.PAUSE]
    failure = _last_failure(throttle, look.name)
    # An update that is no longer pending is not tried again: ignore its failure.
    is_over = failure is not None and names is not None and failure.update not in names
    return schema.DatabaseStatus(
        name=look.name,
        engine=look.engine,
        state=_state(look, current, enabled),
        pending=None
        if look.rows is None
        else tuple(
            _pending(item, look, pauses, runs) for item in in_order(look.rows, first, MOST_PENDING)
        ),
        pending_count=None if look.rows is None else len(look.rows),
        queue_problem=look.queue_problem,
        current=current,
        failures_in_row=0 if state is None or is_over else state.failures,
        last_failure=failure,
        restart=_restart(look.restarts, moment),
        signals=()
        if state is None
        else tuple(_signals(state, throttle.updates[look.name, state.update_name], moment.now_s)),
    )


def _update_status(
    entry: HistoryEntry,
    update: UpdateState,
    database: DatabaseState,
    look: DatabaseLook,
    moment: Moment,
) -> schema.RunningUpdate:
    """The current update; `entry` is its history."""
    decision, totals, estimate = update.decision, update.totals, look.estimate
    progress, build = look.progress.get(entry.update), database.signal_set.index_build
    batch_since_s, lock_wait_since_s = update.batch.start_s, update.batch.lock_wait.since_s
    if batch_since_s is None:  # these are of an earlier batch, or of an earlier update
        build = lock_wait_since_s = None
    took_s = moment.wall_s - entry.started_s
    # Before a pace is measured, use all its time, including all waits.
    rate = entry.items / took_s if entry.items and took_s > 0 else None
    left_s = backoff_left_s(database, moment.now_s)
    # With another hold the end of the wait is no next try.
    tries_again = decision is not None and decision.cause is Cause.BACKOFF and left_s > 0
    return schema.RunningUpdate(
        name=entry.update,
        one_shot=update.one_shot,
        since_ms=round(entry.started_s * 1000),
        batches=entry.batches,
        items=entry.items,
        batch_time_ms=round(entry.batch_s * 1000),
        last_batch_ms=None if totals.last_batch_s is None else totals.last_batch_s * 1000,
        target_duration_ms=update.limits.target_duration_ms,
        items_per_second=estimate.items_per_second or rate,
        waited_ms=entry.waited_ms,
        progress=None if progress is None else progress.stated(),
        time_left_s=estimate.time_left_s,
        pace=estimate.stated_pace(),
        decision=None
        if decision is None
        else schema.StatedDecision(
            cause=decision.cause.value,
            is_hold=decision.cause.is_hold,
            reason=decision.reason,
            since_ms=moment.ms_at(update.decision_since_s),
            next_try_ms=moment.ms_at(moment.now_s + left_s) if tries_again else None,
        ),
        is_in_batch=batch_since_s is not None,
        batch_since_ms=moment.ms_of(batch_since_s),
        lock_wait_since_ms=moment.ms_of(lock_wait_since_s),
        duty_cycle_ratio=update.duty_ratio,
        limits=describe(update),
        limit_values=limit_values(update.limits),
        rule=None if update.rule is None else str(update.rule),
        learned=tuple(learned(update)),
        index_build=None
        if build is None
        else schema.IndexBuild(phase=build[0], progress_ratio=build[1]),
    )


def _signals(
    database: DatabaseState, update: UpdateState, now_s: float
) -> Iterator[schema.StatedSignal]:
    """Every signal of a database, readable or not; `update` is at the queue's head."""
    budgets = database.signal_set.all_closed(now_s, one_shot=update.one_shot)
    # Without regard to releases.
    closed = {budget.name for budget in budgets} if database.is_measured(update) else ()
    for name, level in database.signal_set.states.items():
        problem = level.problem
        if not problem and level.at_s is not None and level.value is None:
            refused = f"refused by the database: {level.refusal}"
            problem = refused if level.refusal else "not observable"
        yield schema.StatedSignal(
            name=name,
            kind=level.signal.signal_class.value,
            unit=level.signal.unit.value,
            value=level.value,
            threshold=level.threshold,
            pressure=level.pressure,
            age_s=None if level.at_s is None else max(now_s - level.at_s, 0.0),
            is_stale=level.is_stale(now_s),
            is_closed=name in closed,
            problem=problem,
        )


def _pending(
    item: Pending, look: DatabaseLook, pauses: Sequence[Lever], runs: UpdateRuns
) -> schema.PendingUpdate:
    name = item.row.name
    run = runs.running.get(look.name)
    is_known = name in look.known if look.known else None
    one_shot = name in look.one_shots or name in IN_ONE_GO
    started = run is not None and run.entry.update == name
    return schema.PendingUpdate(
        name=name,
        depends_on=item.row.depends_on or None,
        waits_for=item.waits_for,
        is_reachable=item.is_reachable,
        known=is_known,
        one_shot=one_shot if is_known else None,
        progress=progress.stated() if (progress := look.progress.get(name)) else None,
        paused=any(pause.matches(name, look.name) for pause in pauses),
        started_ms=round(run.entry.started_s * 1000) if run and started else None,
    )


def _state(look: DatabaseLook, current: schema.RunningUpdate | None, enabled: bool) -> str:
    if look.has_aborted:
        return "aborted"
    if look.rows is not None and not look.rows:
        return "idle"
    if not enabled:
        return "disabled"
    if look.restarts.is_unattended:
        return "stopped"
    if current is not None and current.decision is not None:
        held = "held" if current.decision.is_hold else "waiting"
        return "running" if current.is_in_batch else held
    return "waiting"


def _restart(restarts: Restarts, moment: Moment) -> schema.Restart | None:
    """What the module does about updates that stand still; None: they do not stand still."""
    stall, last_s = restarts.stall, restarts.last_wall_s
    if stall is None and not restarts.count:
        return None
    return schema.Restart(
        since_ms=None if stall is None else moment.ms_at(stall.since_s),
        due_ms=None if stall is None else moment.ms_of(stall.due_s),
        held_by="" if stall is None else stall.held_by,
        count=restarts.count,
        last_ms=None if last_s is None else round(last_s * 1000),
    )


def _last_failure(throttle: Throttle, database_name: str) -> schema.LastFailure | None:
    failed = [
        (update.totals.last_failure_s, name, update.totals.last_failure)
        for (database, name), update in throttle.updates.items()
        if database == database_name and update.totals.failures
    ]
    if not failed:
        return None
    at_s, name, message = max(failed)
    return schema.LastFailure(at_ms=round(at_s * 1000), update=name, message=message)
