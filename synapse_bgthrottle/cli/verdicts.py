"""Whether a server is done, safe to upgrade, or stuck: statuses in, reasons out. Pure."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from synapse_bgthrottle.cli.update_lines import why

if TYPE_CHECKING:
    from synapse_bgthrottle.client.results import UpdatesStatus
    from synapse_bgthrottle.client.throttle_status import DatabaseStatus, ThrottleStatus

UNTOLD = (
    "without the module the official API tells of the update that runs now, not of those that"
    " wait or that this version does not know: look at the table background_updates too"
)

_WORTH_A_REASON = ("failing", "stuck", "store")


def against_upgrade(status: "ThrottleStatus") -> Iterator[str]:
    """Each reason not to upgrade now; none: it is safe."""
    if not status.databases:
        yield "the server tells of no database"
    for database in status.databases:
        yield from _against_upgrade(database)
    for problem in status.problems:
        if problem.kind in _WORTH_A_REASON:  # the others are told above, or below
            where = f" in {problem.database}" if problem.database else ""
            yield f"{problem.message or problem.kind}{where}"
    for lever in status.levers:
        if lever.kind == "pause":
            by = f" by {lever.author}" if lever.author else ""
            yield f"{lever.update} is paused{by}{': ' + lever.reason if lever.reason else ''}"
    if not status.enabled:
        yield "background updates are switched off"


def against_upgrade_officially(status: "UpdatesStatus") -> Iterator[str]:
    """The same of a server without the module."""
    for name, current in status.current_updates.items():
        yield f"{current.name} runs in {name}"
    if not status.enabled:
        yield "background updates are switched off"


def is_done(status: "ThrottleStatus") -> bool:
    """Whether nothing is pending, for all that is known."""
    return bool(status.databases) and all(
        database.pending == () and database.current is None for database in status.databases
    )


def is_done_officially(status: "UpdatesStatus") -> bool:
    """Whether nothing runs that could."""
    return status.enabled and not status.current_updates


def stopped(status: "ThrottleStatus") -> Iterator[str]:
    """Why it will not end by itself, or not before somebody's pause does."""
    if not status.enabled:
        yield "background updates are switched off"
    for database in status.databases:
        if database.state == "aborted" or (database.state == "disabled" and status.enabled):
            yield f"{database.name}: {why(database)}"
        head = database.pending[0] if database.pending else None
        if head is not None and head.paused:
            pauses = [lever for lever in status.levers if lever.kind == "pause"]
            who = f" by {pauses[0].author}" if pauses and pauses[0].author else ""
            yield f"{database.name}: {head.name} is paused{who}"


def _against_upgrade(database: "DatabaseStatus") -> Iterator[str]:
    if database.pending is None:
        problem = database.queue_problem or "no reason is known"
        yield f"the queue of {database.name} could not be read: {problem}"
    else:
        count = len(database.pending)
        if count:
            names = ", ".join(update.name for update in database.pending[:5])
            more = ", ..." if count > 5 else ""
            plural = "update is" if count == 1 else "updates are"
            yield f"{count} {plural} pending in {database.name}: {names}{more}"
        for update in database.pending:
            if update.known is False:
                yield f"{update.name} in {database.name} is not known to this version of Synapse"
    if database.state == "aborted":
        yield f"updates of {database.name} are {why(database)}"
