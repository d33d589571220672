"""The update that a database is at, in lines for people. Pure."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from synapse_bgthrottle.cli.render.text import (
    Line,
    duration,
    moment,
    number,
    share,
    since,
    time_of_day,
)

if TYPE_CHECKING:
    from synapse_bgthrottle.schema import (
        CurrentUpdate,
        DatabaseStatus,
        PendingUpdate,
        Progress,
        RunningUpdate,
    )


def update_line(database: "DatabaseStatus", now_ms: float | None) -> str:
    """One line in gh-ost's shape: how far, since when, how long still, and what throttles it."""
    current = database.current
    if current is None:
        return _without_current(database)
    parts = [f"{current.name} {_extent(current)}".rstrip()]
    if current.since_ms is not None:
        parts.append(f"running {duration(since(current.since_ms, now_ms))}")
    if not current.one_shot:
        parts.append(_left(current))
    parts.append(why(database))
    if current.lock_wait_since_ms is not None:
        parts.append(f"waits for a lock {duration(since(current.lock_wait_since_ms, now_ms))}")
    return "; ".join(parts)


def _left(current: "RunningUpdate") -> str:
    """The time that is left; where a hold has no known end, of what runs."""
    told = current.time_left_s
    if told.expected is not None:
        return f"ETA {duration(told.expected * 1000)}"
    if told.at_this_pace is None:
        return "ETA unknown"
    return f"{duration(told.at_this_pace * 1000)} once it goes on"


def why(database: "DatabaseStatus") -> str:
    """What throttles the current update, or stops it."""
    if database.state == "aborted":
        failure = database.last_failure
        last = f", the last: {failure.message}" if failure is not None else ""
        return f"aborted: Synapse gave up after failures in a row{last}{_again(database)}"
    if database.state == "stopped":
        return f"stopped: Synapse is not working on this queue{_again(database)}"
    if database.state == "disabled":
        return "disabled: background updates are switched off"
    return _why_current(database.current)


def _why_current(current: "RunningUpdate | None") -> str:
    decision = None if current is None else current.decision
    if decision is not None and decision.is_hold:
        when = "" if decision.next_try_ms is None else f" ({time_of_day(decision.next_try_ms)})"
        return f"held: {decision.reason or decision.cause}{when}"
    if current is not None and current.is_in_batch:
        return "in a batch"
    if decision is None or decision.cause == "run":
        return "not throttled"
    return f"throttled: {decision.reason or decision.cause}"


def _again(database: "DatabaseStatus") -> str:
    """When the module starts it again, if it does."""
    restart = database.restart
    if restart is None or restart.due_ms is None:
        return ""
    if restart.held_by:
        return f"; the module starts it again after this hold: {restart.held_by}"
    return f"; the module starts it again at {moment(restart.due_ms)}"


def current_lines(database: "DatabaseStatus", now_ms: float | None) -> Iterator[Line]:
    """The update at work in full, with a bar."""
    current = database.current
    if current is None:
        if database.state != "idle":
            yield Line(f"  {_without_current(database)}", style(database.state))
        return
    ratio = None if current.progress is None else current.progress.ratio
    yield Line(f"  {update_line(database, now_ms)}", style(database.state), ratio)
    yield Line(f"    {'; '.join(_work(current))}")
    if current.waited_ms:
        yield Line(f"    waited: {waited(current.waited_ms)}")
    rule = current.rule or ""
    limits = "; ".join(filter(None, (current.limits, "" if rule in current.limits else rule)))
    if limits:
        yield Line(f"    limits: {limits}")
    for line in current.learned:
        yield Line(f"    {line}")
    if current.index_build is not None:
        done = current.index_build.progress_ratio
        far = "" if done is None else f", {share(done)} done"
        yield Line(f"    index build: {current.index_build.phase}{far}", ratio=done)


def pending_lines(
    pending: "tuple[PendingUpdate, ...]", most: int | None, unlisted: int = 0
) -> Iterator[Line]:
    """What waits, in order; with `most`, no more than so many and then a count.

    The server left `unlisted` more out.
    """
    shown = pending[:most]
    for place, update in enumerate(shown, start=2):
        notes = [note for applies, note in _pending_notes(update) if applies]
        text = f"    {place}. {update.name}{': ' if notes else ''}{'; '.join(notes)}"
        yield Line(text, "problem" if update.known is False else "")
    more = len(pending) - len(shown) + unlisted
    if more > 0:
        yield Line(f"    and {more} more", "faint")


def _pending_notes(update: "PendingUpdate") -> Iterator[tuple[bool, str]]:
    """What may be said of an update that waits, and whether it applies."""
    ratio = None if update.progress is None else update.progress.ratio
    yield bool(update.one_shot), "one-shot"
    yield update.paused, "paused"
    yield update.known is False, "not known to this version of Synapse"
    yield ratio is not None, f"{share(ratio or 0.0)} done"
    yield bool(update.depends_on), f"depends on {update.depends_on}"
    is_other = bool(update.waits_for) and update.waits_for != update.depends_on
    yield is_other, f"waits behind {update.waits_for}"
    yield not update.is_reachable, "will never begin: updates wait for each other"


def official_line(name: str, current: "CurrentUpdate") -> str:
    """What Synapse itself tells of an update."""
    rate = current.average_items_per_ms
    pace = "rate unknown" if rate is None else f"{number(rate * 1000)} items/s in batches"
    return (
        f"{name}: {current.name} {number(current.total_item_count)} items;"
        f" {duration(current.total_duration_ms)} in batches; {pace}; ETA unknown"
    )


def waited(waited_ms: Mapping[str, float]) -> str:
    """Times waited, longest first."""
    longest = sorted(waited_ms.items(), key=lambda item: -item[1])
    return ", ".join(f"{cause} {duration(time_ms)}" for cause, time_ms in longest)


def style(state: str) -> str:
    """How a state is shown."""
    if state in ("aborted", "stopped", "disabled"):
        return "problem"
    return {"held": "held", "running": "good"}.get(state, "")


def _without_current(database: "DatabaseStatus") -> str:
    if database.pending is None:
        return f"the queue could not be read: {database.queue_problem or 'no reason is known'}"
    if not database.pending:
        return "nothing pending"
    return f"{database.pending[0].name} comes next; {why(database)}"


def _extent(current: "RunningUpdate") -> str:
    progress = current.progress
    if progress is None or (progress.ratio is None and progress.done is None):
        return "(one-shot)" if current.one_shot else f"{number(current.items)} items"
    parts = [] if progress.ratio is None else [share(progress.ratio)]
    parts.extend(_counts(progress))
    return " ".join(parts)


def _counts(progress: "Progress") -> Iterator[str]:
    if progress.done is not None and progress.total is not None:
        yield f"{number(progress.done)}/{number(progress.total)}"
    elif progress.done is not None:
        yield f"{number(progress.done)} done"
    elif progress.left is not None:
        yield f"{number(progress.left)} left"


def _work(current: "RunningUpdate") -> Iterator[str]:
    batches = "1 batch" if current.batches == 1 else f"{current.batches} batches"
    yield f"{batches}, {number(current.items)} items, {duration(current.batch_time_ms)} in batches"
    if current.progress is not None and current.progress.unit:
        yield f"progress in {current.progress.unit}"
    if current.last_batch_ms is not None:
        yield f"last batch {duration(current.last_batch_ms)}"
    if current.target_duration_ms is not None and not current.one_shot:
        yield f"target {duration(current.target_duration_ms)}"
    if current.items_per_second is not None:
        yield f"{number(current.items_per_second)} items/s"
    if current.time_left_s.earliest is not None and current.time_left_s.latest is not None:
        earliest, latest = current.time_left_s.earliest, current.time_left_s.latest
        yield f"ETA between {duration(earliest * 1000)} and {duration(latest * 1000)}"
    if current.time_left_s.unthrottled is not None:
        yield f"unthrottled {duration(current.time_left_s.unthrottled * 1000)} left"
