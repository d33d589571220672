"""The whole status in lines for people: problems first. Pure."""

from collections.abc import Iterator
from typing import TypeAlias

from synapse_bgthrottle.cli.render.levers import levers_lines
from synapse_bgthrottle.cli.render.text import Line, duration, moment, quantity, since
from synapse_bgthrottle.cli.render.update import (
    official_line,
    queue_line,
    queue_lines,
    style,
    update_line,
    update_lines,
    work_lines,
)
from synapse_bgthrottle.schema import (
    DatabaseStatus,
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


def status_lines(
    status: Status, now_ms: float | None, *, is_verbose: bool = False
) -> Iterator[Line]:
    """Problems, five lines for each database, levers; verbose has all that the server tells.

    `now_ms` counts where the server tells no time.
    """
    if isinstance(status, UpdatesStatus):
        yield from _official_lines(status)
        return
    now_ms = status.now_ms if status.now_ms is not None else now_ms
    shown = status.problems if is_verbose else status.problems[:_MOST_PROBLEMS]
    for problem in shown:
        yield from problem_lines(problem, now_ms)
    more = len(status.problems) - len(shown)
    if more:
        yield Line(f"and {more} more of less weight: bgthrottle status -v", "problem")
    if is_verbose:
        name = status.server_name or "server"
        yield Line(f"{name}, module {status.version or 'unknown'}", "title")
    for database in status.databases:
        yield from database_lines(database, now_ms, is_verbose)
    # A pause is a problem, which stands above.
    levers = tuple(each for each in status.levers if is_verbose or each.kind != "pause")
    yield from levers_lines(levers, now_ms)
    for detail in status.missing if is_verbose else ():
        yield Line(f"this Synapse has no {detail.name}: {detail.cost}", "faint")


def _official_lines(status: UpdatesStatus) -> Iterator[Line]:
    if not status.enabled:
        text = "PROBLEM: background updates are switched off, without end but for a restart"
        yield Line(text, "problem")
        yield Line("  do: bgthrottle resume", "problem")
    for name, current in status.current_updates.items():
        yield Line(official_line(name, current))
    if not status.current_updates:
        yield Line("no update is running now")
    yield Line("without the module: no queue, no progress, no reasons", "faint")


def problem_lines(problem: StatedProblem, now_ms: float | None) -> Iterator[Line]:
    """What is the matter, since when, and what to do about it."""
    where = f" in {problem.database}" if problem.database else ""
    yield Line(f"PROBLEM{where}: {problem.message or problem.kind}", "problem")
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


def database_lines(
    database: DatabaseStatus, now_ms: float | None, is_verbose: bool
) -> Iterator[Line]:
    """One database: its state, what it is at, what waits; verbose: failures and signals too."""
    yield Line(_title(database, now_ms), style(database.state) or "title")
    yield from update_lines(database, now_ms)
    current, waiting = database.current, database.pending or ()
    unlisted = max(database.queued - len(waiting), 0)
    first = waiting[0].name if current is None and waiting else current and current.name
    waiting = tuple(update for update in waiting if update.name != first)
    if not is_verbose:
        yield from queue_line(waiting, unlisted)
        return
    if current is not None:
        yield from work_lines(current)
    if waiting:
        yield Line("  then:")
        yield from queue_lines(waiting, unlisted)
    yield from _failure_lines(database)
    if database.state != "idle":  # what was seen when the last update ended tells nothing now
        yield from signal_lines(database.signals, is_held=database.state == "held")


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


def signal_lines(signals: tuple[StatedSignal, ...], *, is_held: bool = False) -> Iterator[Line]:
    """The signals that matter now in full, the others in short, with how old each is.

    `is_held`: most are not read then, which is no fault of theirs.
    """
    unread = [signal for signal in signals if is_held and signal.is_stale and not signal.is_closed]
    seen = [
        signal
        for signal in signals
        if signal.is_closed or (signal.value is not None and signal not in unread)
    ]
    loud = [
        signal for signal in seen if signal.is_closed or (signal.pressure or 0) >= _WORTH_A_LINE
    ]
    quiet = [_in_short(signal) for signal in seen if signal not in loud]
    unseen = [
        f"{signal.name} ({signal.problem})"
        if signal.problem not in ("", _NOT_OBSERVABLE)
        else signal.name
        for signal in signals
        if signal not in seen and signal not in unread
    ]
    for signal in loud:
        yield _signal_line(signal)
    if quiet:
        yield Line(f"  pressures (threshold 1), and their age: {', '.join(quiet)}")
    if unread:
        names = ", ".join(signal.name for signal in unread)
        yield Line(f"  not read while it is held: {names}", "faint")
    if unseen:
        yield Line(f"  not observable: {', '.join(unseen)}", "faint")


def change_lines(status: ThrottleStatus, now_ms: float | None) -> Iterator[str]:
    """One line a database, for logs."""
    now_ms = status.now_ms if status.now_ms is not None else now_ms
    for database in status.databases:
        yield f"{database.name}: {update_line(database, now_ms)}"


def _title(database: DatabaseStatus, now_ms: float | None) -> str:
    decision = None if database.current is None else database.current.decision
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
