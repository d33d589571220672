"""A status in lines for people: problems, each database, its update and its queue. Pure."""

from collections.abc import Iterator
from typing import TypeAlias

from synapse_bgthrottle.cli.render.levers import levers_lines
from synapse_bgthrottle.cli.render.text import (
    Line,
    duration,
    moment,
    number,
    quantity,
    share,
    since,
    time_of_day,
    waited,
)
from synapse_bgthrottle.core.units import format_ratio
from synapse_bgthrottle.schema import (
    DatabaseStatus,
    PendingUpdate,
    Progress,
    RunningUpdate,
    StatedDecision,
    StatedProblem,
    StatedSignal,
    ThrottleStatus,
    UpdatesStatus,
)

# The module's status or, of a server without the module, Synapse's own.
Status: TypeAlias = ThrottleStatus | UpdatesStatus

# From here on a signal is shown in full: half way to where it throttles.
_WORTH_A_LINE = 0.5

# The worst of them leave room for the updates on a terminal of 24 lines.
_MOST_PROBLEMS = 4

_NOT_OBSERVABLE = "not observable"

# A Synapse of which the module finds none may have updates all the same.
NO_DATABASE = "the server shows no database"


def status_lines(
    status: Status, now_ms: float | None, *, is_verbose: bool = False
) -> Iterator[Line]:
    """Problems, five lines for each database, levers; `now_ms` is for servers that state none."""
    if isinstance(status, UpdatesStatus):
        yield from _without_module(status)
        return
    now_ms = status.now_ms if status.now_ms is not None else now_ms
    shown = status.problems if is_verbose else status.problems[:_MOST_PROBLEMS]
    for problem in shown:
        yield from _problem_lines(problem, now_ms)
    more = len(status.problems) - len(shown)
    if more:
        yield Line(f"and {more} more that are less urgent: bgthrottle status -v", "problem")
    if is_verbose:
        name = status.server_name or "server"
        yield Line(f"{name}, module {status.version or 'unknown'}", "title")
    for database in status.databases:
        yield from _database_lines(database, now_ms, is_verbose)
    if not status.databases:
        yield Line(NO_DATABASE, "problem")
    # A pause is a problem, which stands above.
    levers = tuple(each for each in status.levers if is_verbose or each.kind != "pause")
    yield from levers_lines(levers, now_ms)
    for detail in status.missing if is_verbose else ():
        yield Line(f"this Synapse has no {detail.name}: {detail.cost}", "faint")


def _without_module(status: UpdatesStatus) -> Iterator[Line]:
    if not status.enabled:
        text = "PROBLEM: background updates are switched off; only a restart ends that by itself"
        yield Line(text, "problem")
        yield Line("  do: bgthrottle resume", "problem")
    yield from map(Line, official_lines(status))
    text = "without the module nothing more is known: no queue, no progress, no reasons"
    yield Line(text, "faint")


def problem_line(problem: StatedProblem) -> str:
    """What is the matter, and where."""
    where = f" in {problem.database}" if problem.database else ""
    return f"PROBLEM{where}: {problem.message or problem.kind}"


def _problem_lines(problem: StatedProblem, now_ms: float | None) -> Iterator[Line]:
    """What is the matter, since when, and what to do about it."""
    yield Line(problem_line(problem), "problem")
    seen = []
    if problem.since_ms is not None:
        lasts = duration(since(problem.since_ms, now_ms))
        seen.append(f"first seen {moment(problem.since_ms)} ({lasts} ago)")
    if problem.last_ms is not None:
        seen.append(f"last seen {moment(problem.last_ms)}")
    if seen:
        yield Line(f"  {', '.join(seen)}", "problem")
    if problem.advice:
        yield Line(f"  do: {problem.advice}", "problem")


def _database_lines(
    database: DatabaseStatus, now_ms: float | None, is_verbose: bool
) -> Iterator[Line]:
    """One database: its state, what it is at, what waits; verbose: failures and signals too."""
    yield Line(_title(database, now_ms), style(database.state) or "title")
    yield from _update_lines(database, now_ms)
    current, waiting = database.current, database.pending or ()
    unlisted = max(database.queued - len(waiting), 0)
    first = waiting[0].name if current is None and waiting else current and current.name
    waiting = tuple(update for update in waiting if update.name != first)
    if not is_verbose:
        if waiting:
            more = len(waiting) - 1 + unlisted
            yield Line(f"  then {waiting[0].name}" + (f", and {more} more" if more else ""))
        return
    if current is not None:
        yield from _work_lines(current)
    if waiting:
        yield from _queue_lines(waiting, unlisted)
    yield from _failure_lines(database)
    if database.state != "idle":  # what was seen when the last update ended says nothing now
        yield from _signal_lines(database)


def _failure_lines(database: DatabaseStatus) -> Iterator[Line]:
    failure, restart = database.last_failure, database.restart
    if failure is not None:
        row = f", {database.failures_in_row} in a row" if database.failures_in_row > 1 else ""
        when = moment(failure.at_ms)
        text = f"  last failure: {failure.update} at {when}{row}: {failure.message}"
        yield Line(text, "problem" if database.failures_in_row else "faint")
    if restart is not None and restart.count:
        times = "once" if restart.count == 1 else f"{restart.count} times in a row"
        text = f"  started again by the module {times}, last at {moment(restart.last_ms)}"
        yield Line(text, "problem")


def _signal_lines(database: DatabaseStatus) -> Iterator[Line]:
    """The signals that matter now in full, the others in short, with how old each is."""
    loud, quiet, unread, unseen = [], [], [], []
    for signal in database.signals:
        if signal.is_closed:
            loud.append(_signal_line(signal))
        elif signal.is_stale and database.state == "held":
            unread.append(signal.name)  # most are not read then, which is no fault of theirs
        elif signal.value is None:
            is_plain = signal.problem in ("", _NOT_OBSERVABLE)
            unseen.append(signal.name if is_plain else f"{signal.name} ({signal.problem})")
        elif (signal.pressure or 0) >= _WORTH_A_LINE:
            loud.append(_signal_line(signal))
        else:
            quiet.append(_in_short(signal))
    yield from loud
    for names, words, look in (
        (quiet, "pressures (threshold 1), and their age", ""),
        (unread, "not read while it is held", "faint"),
        (unseen, "not observable", "faint"),
    ):
        if names:
            yield Line(f"  {words}: {', '.join(names)}", look)


def _title(database: DatabaseStatus, now_ms: float | None) -> str:
    decision = database.decision
    stated = f"{database.name} ({database.engine}): {database.state}"
    if database.state == "held" and decision is not None and decision.since_ms is not None:
        lasts = duration(since(decision.since_ms, now_ms))
        stated += f" since {moment(decision.since_ms)} ({lasts})"
    return f"{stated}, {database.queued} pending" if database.queued else stated


def _in_short(signal: StatedSignal) -> str:
    text = signal.name if signal.pressure is None else f"{signal.name} {signal.pressure:.2f}"
    text += "" if signal.age_s is None else f" {duration(signal.age_s * 1000)}"
    return f"{text} (stale)" if signal.is_stale else text


def _signal_line(signal: StatedSignal) -> Line:
    text = (
        f"  {signal.name}: {quantity(signal.value, signal.unit)}, threshold"
        f" {quantity(signal.threshold, signal.unit)}"
    )
    if signal.pressure is not None:
        smoothed = "smoothed pressure" if signal.kind == "soft" else "pressure"
        text += f", {smoothed} {signal.pressure:.2f}"
    if signal.age_s is not None:
        text += f", {duration(signal.age_s * 1000)} ago"
    notes = [signal.kind] if signal.kind else []
    notes += ["CLOSED"] * signal.is_closed + ["stale"] * signal.is_stale
    notes += [signal.problem] if signal.problem else []
    return Line(
        f"{text} ({', '.join(notes)})" if notes else text,
        "held" if signal.is_closed else "faint" if signal.is_stale else "",
    )


def update_line(database: DatabaseStatus, now_ms: float | None) -> str:
    """One line in gh-ost's shape: how far, since when, how long still, and what throttles it."""
    current = database.current
    if current is None:
        return _without_current(database)
    parts = (_extent(current), _started(current, now_ms), _left(current), why(database, now_ms))
    return f"{current.name} {'; '.join(filter(None, parts))}"


def _update_lines(database: DatabaseStatus, now_ms: float | None) -> Iterator[Line]:
    """The same in three lines, with a bar below the first; where none is under way, in one."""
    current = database.current
    look = style(database.state)
    if current is None:
        if database.state != "idle":
            yield Line(f"  {_without_current(database)}", look)
        return
    progress = current.progress or Progress()
    unit, ratio = f" {progress.unit}" if progress.unit else "", progress.ratio
    build = current.index_build
    if build is not None:
        ratio = build.progress_ratio
        unit += f": {build.phase}" + ("" if ratio is None else f" {share(ratio)}")
    yield Line(f"  {current.name} {_extent(current)}{unit}", look, ratio)
    pace = filter(None, (_rate(current), _started(current, now_ms), _left(current)))
    yield Line(f"  {'; '.join(pace)}")
    yield Line(f"  {why(database, now_ms)}", look)
    if database.pending is None:
        yield Line(f"  the queue could not be read: {database.queue_problem}", "problem")


def _work_lines(current: RunningUpdate) -> Iterator[Line]:
    """What `_update_lines` leaves out."""
    yield Line(f"    {'; '.join(_work(current))}")
    if current.waited_ms:
        yield Line(f"    waited: {waited(current.waited_ms)}")
    rule = current.rule or ""
    limits = "; ".join(filter(None, (current.limits, "" if rule in current.limits else rule)))
    if limits:
        yield Line(f"    limits: {limits}")
    for line in current.learned:
        yield Line(f"    learned: {line}")


def _started(current: RunningUpdate, now_ms: float | None) -> str:
    if current.since_ms is None:
        return ""
    has_begun = current.batches or current.is_in_batch
    lasts = duration(since(current.since_ms, now_ms))
    return f"{'started' if has_begun else 'its turn came'} {lasts} ago"


def _rate(current: RunningUpdate) -> str:
    rate = current.items_per_second
    return "" if rate is None or current.one_shot else f"{number(rate)} items/s"


def _left(current: RunningUpdate) -> str:
    """The time that is left; where a hold has no known end, of what runs."""
    left = current.time_left_s
    if current.one_shot:
        return ""
    if left.expected is not None:
        return f"ETA {duration(left.expected * 1000)}"
    if left.at_this_pace is None:
        return "ETA unknown"
    return f"{duration(left.at_this_pace * 1000)} once it goes on"


def why(database: DatabaseStatus, now_ms: float | None = None) -> str:
    """What throttles the current update, or stops it."""
    if database.state == "aborted":
        failure = database.last_failure
        last = f", the last: {failure.message}" if failure is not None else ""
        return f"aborted: Synapse gave up after failures in a row{last}{_again(database)}"
    if database.state == "stopped":
        return f"stopped: Synapse is not working on this queue{_again(database)}"
    if database.state == "disabled":
        return "disabled: background updates are switched off"
    return _why_current(database.current, database.decision, now_ms)


def _why_current(
    current: RunningUpdate | None, decision: StatedDecision | None, now_ms: float | None
) -> str:
    if decision is not None and decision.is_hold:
        when = "" if decision.next_try_ms is None else f" ({time_of_day(decision.next_try_ms)})"
        return f"held: {decision.reason or decision.cause}{when}"
    if current is not None and current.is_in_batch:
        return f"in a batch{_batch(current, now_ms)}"
    if decision is None or decision.cause == "run":
        return "not throttled"
    return f"throttled: {decision.reason or decision.cause}"


def _batch(current: RunningUpdate, now_ms: float | None) -> str:
    """Since when it runs, and waits for somebody's lock."""
    lasts_ms = since(current.batch_since_ms, now_ms)
    lasts = "" if lasts_ms is None else f" for {duration(lasts_ms)}"
    if current.lock_wait_since_ms is None:
        return lasts
    return f"{lasts}; waits for a lock {duration(since(current.lock_wait_since_ms, now_ms))}"


def _again(database: DatabaseStatus) -> str:
    """When the module starts it again, if it does."""
    restart = database.restart
    if restart is None or restart.due_ms is None:
        return ""
    if restart.held_by:
        return f"; the module starts it again after this hold: {restart.held_by}"
    return f"; the module starts it again at {moment(restart.due_ms)}"


def _queue_lines(waiting: tuple[PendingUpdate, ...], unlisted: int) -> Iterator[Line]:
    """All that wait, in order; `unlisted`: the server's rest."""
    yield Line("  then:")
    for place, update in enumerate(waiting, start=2):
        notes = "; ".join(note for applies, note in _pending_notes(update) if applies)
        text = f"    {place}. {update.name}" + (f" ({notes})" if notes else "")
        yield Line(text, "problem" if update.known is False else "")
    if unlisted:
        yield Line(f"    and {unlisted} more", "faint")


def _pending_notes(update: PendingUpdate) -> Iterator[tuple[bool, str]]:
    """What may be said of an update that waits, and whether it applies."""
    ratio = (update.progress or Progress()).ratio
    yield bool(update.one_shot), "one-shot"
    yield update.paused, "paused"
    yield update.known is False, "not known to this version of Synapse"
    yield bool(ratio), f"{share(ratio)} done"
    yield bool(update.depends_on), f"depends on {update.depends_on}"
    yield not update.is_reachable, "will never begin: updates wait for each other"


def official_lines(status: UpdatesStatus) -> Iterator[str]:
    """What Synapse itself says of the updates that run now."""
    for name, current in status.current_updates.items():
        rate = current.average_items_per_ms
        pace = "rate unknown" if rate is None else f"{number(rate * 1000)} items/s in batches"
        yield (
            f"{name}: {current.name} {number(current.total_item_count)} items;"
            f" {duration(current.total_duration_ms)} in batches; {pace}; ETA unknown"
        )
    if not status.current_updates:
        yield "no update is running now"


def style(state: str) -> str:
    """How a state is shown."""
    if state in ("aborted", "stopped", "disabled"):
        return "problem"
    return {"held": "held", "running": "good"}.get(state, "")


def _without_current(database: DatabaseStatus) -> str:
    if database.pending is None:
        return f"the queue could not be read: {database.queue_problem or 'no reason is known'}"
    if not database.pending:
        return "nothing pending"
    return f"{database.pending[0].name} comes next; {why(database)}"


def _extent(current: RunningUpdate) -> str:
    progress = current.progress or Progress()
    if progress.ratio is None and progress.done is None:
        return "(one-shot)" if current.one_shot else f"{number(current.items)} items"
    parts = [] if progress.ratio is None else [share(progress.ratio)]
    parts.extend(_counts(progress))
    return " ".join(parts)


def _counts(progress: Progress) -> Iterator[str]:
    if progress.done is not None and progress.total is not None:
        yield f"{number(progress.done)}/{number(progress.total)}"
    elif progress.done is not None:
        yield f"{number(progress.done)} done"
    elif progress.left is not None:
        yield f"{number(progress.left)} left"


def _work(current: RunningUpdate) -> Iterator[str]:
    batches = "1 batch" if current.batches == 1 else f"{current.batches} batches"
    yield f"{batches}, {number(current.items)} items, {duration(current.batch_time_ms)} in batches"
    if current.duty_cycle_ratio is not None:
        yield f"duty cycle {format_ratio(current.duty_cycle_ratio)} at most now"
    if current.last_batch_ms is not None:
        yield f"last batch {duration(current.last_batch_ms)}"
    if current.target_duration_ms is not None and not current.one_shot:
        yield f"target {duration(current.target_duration_ms)}"
    if current.time_left_s.earliest is not None and current.time_left_s.latest is not None:
        earliest, latest = current.time_left_s.earliest, current.time_left_s.latest
        yield f"ETA between {duration(earliest * 1000)} and {duration(latest * 1000)}"
    if current.time_left_s.unthrottled is not None:
        yield f"unthrottled {duration(current.time_left_s.unthrottled * 1000)} left"
