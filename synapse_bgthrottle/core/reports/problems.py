"""Problems, and what an administrator can do about each. Pure."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timezone
from functools import partial

from synapse_bgthrottle import schema
from synapse_bgthrottle.core.units import format_duration_ms
from synapse_bgthrottle.schema import StatedProblem

# An older hold or batch is reported.
_LONG_MS = 3_600_000

# A problem names at most so many updates.
_MOST_NAMES = 20

_START = (
    "`bgthrottle resume`, or POST"
    ' {"enabled": true} to /_synapse/admin/v1/background_updates/enabled'
)

_CONFIGURATION = (
    "Change the module's `config:` and restart Synapse. `bgthrottle check-config` shows the line."
)

_RESTART = "{why}. Restart Synapse: `bgthrottle resume` would fail again."

_TRIED_AGAIN = (
    "It is tried again after a wait. Synapse gives up after five failures in a row. The whole"
    " error is in Synapse's log, at `Error doing update`."
)

# By cause: advice for holds that no release ends.
_ENDINGS = {
    "database": "It goes on when the database answers. Look at the database, and at Synapse's log.",
    "levers": "It goes on when the module can read its tables bgthrottle_*. See Synapse's log.",
    "backoff": _TRIED_AGAIN,
}
# By signal: advice for closed budgets that no release ends; then for unreadable ones.
_STUBBORN = {
    "disk_free": "Free space on the disk. A release does not end this.",
    "pause_file": "Remove the file. Its path is `signals.pause_file` in the configuration.",
    "http": "Repair what `signals.http` asks, or take it out of the configuration.",
    "sql": "Look at what `signals.sql` asks the database for. A release does not end this.",
}
_UNREAD = (
    "Make it readable again, or take `signals.{name}` out of the configuration."
    " A release does not end this."
)


def problems(
    enabled: bool,
    store_problem: str,
    databases: Sequence[schema.DatabaseStatus],
    stays: Mapping[str, str],
    levers: Sequence[schema.Lever],
    now_ms: int,
) -> Iterator[StatedProblem]:
    """The problems of the server, then of each database, the worst first.

    `stays` says, by database name, why Synapse cannot continue after its current update.
    """
    if store_problem:
        yield StatedProblem(
            None,
            "store",
            f"pauses, releases and history are not stored as they should be: {store_problem}",
            "See Synapse's log. The tables bgthrottle_* are in the server's main database.",
        )
    if not enabled:
        yield StatedProblem(
            None,
            "disabled",
            "background updates are switched off by Synapse's own switch, until a restart",
            "Switch them on with `bgthrottle resume`. To hold updates for a while, pause them.",
        )
    for database in databases:
        yield from _of_database(database, stays.get(database.name, ""), now_ms)
    pauses = [_paused(lever) for lever in levers if lever.kind == "pause"]
    yield from (pause for at, pause in enumerate(pauses) if pause not in pauses[:at])


def of_configuration(warnings: Sequence[str]) -> Iterator[StatedProblem]:
    """Accepted values in the configuration that are probably mistakes."""
    for warning in warnings:
        yield StatedProblem(None, "configuration", warning, _CONFIGURATION)


def _paused(lever: schema.Lever) -> StatedProblem:
    ends = datetime.fromtimestamp((lever.ends_ms or 0) / 1000, timezone.utc)
    why = f": {lever.reason}" if lever.reason else ""
    words = ["bgthrottle", "resume", lever.update]
    if lever.database:
        words += ["--database", lever.database]
    is_wide = words[2:] == ["*"]
    paused = "all updates are" if lever.update == "*" else f"{lever.update} is"
    return StatedProblem(
        lever.database,
        "paused",
        f"{paused} paused by {lever.author} until {ends:%Y-%m-%d %H:%M} UTC{why}",
        "End it, and all other pauses, with `bgthrottle resume`."
        if is_wide
        else f"End it with `{shlex.join(words)}`.",
        lever.created_ms,
    )


def _of_database(
    database: schema.DatabaseStatus, stays: str, now_ms: int
) -> Iterator[StatedProblem]:
    name, failure, current = database.name, database.last_failure, database.current
    problem = partial(StatedProblem, name)
    last = f"; the last was: {failure.message}" if failure else ""
    stands_ms = database.restart.since_ms if database.restart else None
    last_ms = failure.at_ms if failure else None
    if database.state == "aborted":
        yield problem(
            "aborted",
            f"Synapse gave up on {name} after five failures in a row{last}",
            _RESTART.format(why=stays)
            if stays
            else f"{_itself(database.restart)} Repair the cause, then start the updates at once:"
            f" {_START}.",
            stands_ms,
        )
    elif database.state == "stopped":
        count = database.queued
        yield problem(
            "stopped",
            f"Synapse is not working on the queue of {name}, in which"
            f" {count} {'update is' if count == 1 else 'updates are'} pending",
            f"{_itself(database.restart)} At once: {_START}.",
            stands_ms,
        )
    elif database.failures_in_row:
        advice = _RESTART.format(why=stays) if stays else _TRIED_AGAIN
        yield problem("failing", _failing(database), advice, None, last_ms)
    if database.queue_problem:
        yield problem(
            "database",
            f"the queue of {name} cannot be read: {database.queue_problem}",
            "It is asked again. Updates go on when the database answers.",
        )
    queue = database.pending or ()
    unknown = [pending.name for pending in queue if pending.known is False]
    if unknown:
        yield problem(
            "unknown_update",
            f"this server does not know {listed(unknown)}, and stops there",
            "They belong to another version of Synapse, or to a module that is not loaded. Install"
            " that. Or, if you are certain that nobody needs them, delete their rows from the table"
            f" background_updates in the database {name}. Then restart Synapse: until then it stays"
            " at the first of them.",
        )
    circle = [pending.name for pending in queue if not pending.is_reachable]
    if circle:
        yield problem(
            "circle",
            f"these updates wait for each other, so that none of them begins: {listed(circle)}",
            "Compare `depends_on` in the table background_updates with Synapse's schema files.",
        )
    if current and current.decision:
        yield from _of_update(database, current, current.decision, now_ms)


def listed(names: Sequence[str]) -> str:
    """The first names in one line, and how many more there are."""
    more = len(names) - _MOST_NAMES
    return ", ".join(names[:_MOST_NAMES]) + (f", and {more} more" if more > 0 else "")


def _itself(restart: schema.Restart | None) -> str:
    """What the module does by itself, and when."""
    if restart is None or restart.due_ms is None:
        return "The module does not start them by itself."
    if restart.held_by:
        return f"The module starts them when this no longer holds them: {restart.held_by}."
    due = datetime.fromtimestamp(restart.due_ms / 1000, timezone.utc)
    again = f" (start {restart.count + 1} in a row)" if restart.count else ""
    return f"The module starts them at {due:%Y-%m-%d %H:%M} UTC{again}."


def _failing(database: schema.DatabaseStatus) -> str:
    count, failure = database.failures_in_row, database.last_failure
    if failure is None:
        return f"{count} failures in a row"
    what = "failed" if count == 1 else f"failed {count} times in a row"
    restart = database.restart
    started = "" if restart is None else f" after the module's start {restart.count} in a row"
    return f"{failure.update} {what}{started}; the last was: {failure.message}"


def _of_update(
    database: schema.DatabaseStatus,
    current: schema.RunningUpdate,
    decision: schema.StatedDecision,
    now_ms: int,
) -> Iterator[StatedProblem]:
    problem = partial(StatedProblem, database.name)
    for_ms = now_ms - (decision.since_ms or 0)
    if decision.is_hold and decision.cause not in ("paused", "disabled"):
        if decision.cause == "approval" or for_ms >= _LONG_MS:
            yield problem(
                "held",
                f"{current.name} has been held for {format_duration_ms(for_ms)}: {decision.reason}",
                _ending(database, current.name, decision.cause),
                decision.since_ms,
            )
    elif current.batch_since_ms and not current.one_shot:
        for_ms, waits_ms = now_ms - current.batch_since_ms, current.lock_wait_since_ms
        lasts = f"running for {format_duration_ms(for_ms)}"
        if waits_ms is not None:
            waits = format_duration_ms(now_ms - waits_ms)
            lasts += f", of which it has waited for a lock for {waits}"
        if for_ms >= _LONG_MS:
            yield problem(
                "stuck",
                f"a batch of {current.name} has been {lasts}",
                "Look at what its query waits for in the database (pg_stat_activity).",
                current.batch_since_ms,
            )


def _ending(database: schema.DatabaseStatus, update: str, cause: str) -> str:
    """What ends a hold."""
    if cause in _ENDINGS:
        return _ENDINGS[cause]
    if cause == "budget":
        for signal in database.signals:
            name = signal.name
            if signal.is_closed and name in _STUBBORN:
                is_read = signal.value is not None and not signal.is_stale
                return _STUBBORN[name] if is_read else _UNREAD.format(name=name)
    return f"Let it go once with `{shlex.join(['bgthrottle', 'release', update])}`."
