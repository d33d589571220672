"""The update that a database is at, and those behind it, in lines for people. Pure."""

from collections.abc import Iterator, Mapping

from synapse_bgthrottle.cli.render.text import (
    Line,
    duration,
    moment,
    number,
    share,
    short_share,
    since,
    time_of_day,
)
from synapse_bgthrottle.schema import (
    CurrentUpdate,
    DatabaseStatus,
    PendingUpdate,
    Progress,
    RunningUpdate,
)


def update_line(database: DatabaseStatus, now_ms: float | None) -> str:
    """One line in gh-ost's shape: how far, since when, how long still, and what throttles it."""
    current = database.current
    if current is None:
        return _without_current(database)
    parts = (_extent(current), _started(current, now_ms), _left(current), why(database, now_ms))
    return f"{current.name} {'; '.join(filter(None, parts))}"


def update_lines(database: DatabaseStatus, now_ms: float | None) -> Iterator[Line]:
    """The same in three lines, with a bar below the first: how far, how fast, and why not faster.

    Where none is under way, one line.
    """
    current = database.current
    look = style(database.state)
    if current is None:
        if database.state != "idle":
            yield Line(f"  {_without_current(database)}", look)
        return
    progress = current.progress
    unit = f" {progress.unit}" if progress is not None and progress.unit else ""
    ratio = None if progress is None else progress.ratio
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


def work_lines(current: RunningUpdate) -> Iterator[Line]:
    """What `update_lines` leaves out."""
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
    return _why_current(database.current, now_ms)


def _why_current(current: RunningUpdate | None, now_ms: float | None) -> str:
    decision = None if current is None else current.decision
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


def queue_line(waiting: tuple[PendingUpdate, ...], unlisted: int) -> Iterator[Line]:
    """The next of those that wait, and how many more there are; `unlisted`: the server's rest."""
    if waiting:
        more = len(waiting) - 1 + unlisted
        yield Line(f"  then {waiting[0].name}" + (f", and {more} more" if more else ""))


def queue_lines(waiting: tuple[PendingUpdate, ...], unlisted: int) -> Iterator[Line]:
    """All that wait, in order."""
    for place, update in enumerate(waiting, start=2):
        is_problem = update.known is False
        yield Line(f"    {place}. {_pending_text(update)}", "problem" if is_problem else "")
    if unlisted:
        yield Line(f"    and {unlisted} more", "faint")


def _pending_text(update: PendingUpdate) -> str:
    notes = "; ".join(note for applies, note in _pending_notes(update) if applies)
    return f"{update.name} ({notes})" if notes else update.name


def _pending_notes(update: PendingUpdate) -> Iterator[tuple[bool, str]]:
    """What may be said of an update that waits, and whether it applies."""
    ratio = None if update.progress is None else update.progress.ratio
    yield bool(update.one_shot), "one-shot"
    yield update.paused, "paused"
    yield update.known is False, "not known to this version of Synapse"
    yield bool(ratio), f"{share(ratio)} done"
    yield bool(update.depends_on), f"depends on {update.depends_on}"
    yield not update.is_reachable, "will never begin: updates wait for each other"


def official_line(name: str, current: CurrentUpdate) -> str:
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


def _without_current(database: DatabaseStatus) -> str:
    if database.pending is None:
        return f"the queue could not be read: {database.queue_problem or 'no reason is known'}"
    if not database.pending:
        return "nothing pending"
    return f"{database.pending[0].name} comes next; {why(database)}"


def _extent(current: RunningUpdate) -> str:
    progress = current.progress
    if progress is None or (progress.ratio is None and progress.done is None):
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
        yield f"duty cycle {short_share(current.duty_cycle_ratio)} at most now"
    if current.last_batch_ms is not None:
        yield f"last batch {duration(current.last_batch_ms)}"
    if current.target_duration_ms is not None and not current.one_shot:
        yield f"target {duration(current.target_duration_ms)}"
    if current.time_left_s.earliest is not None and current.time_left_s.latest is not None:
        earliest, latest = current.time_left_s.earliest, current.time_left_s.latest
        yield f"ETA between {duration(earliest * 1000)} and {duration(latest * 1000)}"
    if current.time_left_s.unthrottled is not None:
        yield f"unthrottled {duration(current.time_left_s.unthrottled * 1000)} left"
