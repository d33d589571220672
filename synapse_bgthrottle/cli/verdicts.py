"""Whether a server is done, safe to upgrade, or stuck: statuses in, reasons out. Pure."""

import fnmatch
from collections.abc import Iterator

from synapse_bgthrottle.cli.render.status import NO_DATABASE, Status, why
from synapse_bgthrottle.schema import (
    DatabaseStatus,
    Lever,
    PendingUpdate,
    ThrottleStatus,
    UpdatesStatus,
)

UNSEEN = (
    "without the module Synapse shows the update that runs now, not those that wait or that this"
    " version does not know: look at the table background_updates too"
)

_WORTH_A_REASON = ("failing", "stuck", "store", "paused")


def against_upgrade(status: Status) -> Iterator[str]:
    """Each reason not to upgrade now; none: it is safe."""
    if isinstance(status, UpdatesStatus):
        for name, current in status.current_updates.items():
            yield f"{current.name} runs in {name}"
    else:
        yield from _against_upgrade(status)
    if not status.enabled:
        yield "background updates are switched off"


def _against_upgrade(status: ThrottleStatus) -> Iterator[str]:
    if not status.databases:
        yield NO_DATABASE
    for database in status.databases:
        yield from _against_upgrade_of(database)
    for problem in status.problems:
        if problem.kind in _WORTH_A_REASON:  # of the others there is a reason above, or below
            where = f"{problem.database}: " if problem.database else ""
            yield f"{where}{problem.message or problem.kind}"


def is_done(status: Status) -> bool:
    """Whether nothing is pending or, by Synapse's own status, nothing runs now."""
    if isinstance(status, UpdatesStatus):
        return status.enabled and not status.current_updates
    return bool(status.databases) and all(
        database.pending == () and database.current is None for database in status.databases
    )


def stopped(status: Status) -> Iterator[str]:
    """Why it will not end by itself, or not before somebody's pause does."""
    if not status.enabled:
        yield "background updates are switched off"
    if isinstance(status, UpdatesStatus):
        return
    for database in status.databases:
        ends = database.state == "aborted" or (database.state == "disabled" and status.enabled)
        is_due = database.restart is not None and database.restart.due_ms is not None
        if ends or (database.state == "stopped" and not is_due):
            yield f"{database.name}: {why(database)}"
        head = database.pending[0] if database.pending else None
        if head is not None:
            yield from _stopped_at(head, database, status)


def _stopped_at(
    head: PendingUpdate, database: DatabaseStatus, status: ThrottleStatus
) -> Iterator[str]:
    name = f"{database.name}: {head.name}"
    if head.paused:
        pause = next((v for v in status.levers if is_about(v, "pause", head, database)), None)
        yield f"{name} is paused{f' by {pause.author}' if pause and pause.author else ''}"
    if head.known is False:
        yield f"{name} is not known to this version of Synapse, which stops there"
    if not head.is_reachable:
        yield f"{name} will never begin: updates wait for each other"
    is_current = database.current is not None and database.current.name == head.name
    if is_current and database.decision and database.decision.cause == "approval":
        yield f"{name} needs approval: bgthrottle release {head.name}"


def is_about(lever: Lever, kind: str, update: PendingUpdate, database: DatabaseStatus) -> bool:
    """Whether it is of this kind, and acts on this update of this database."""
    return (
        lever.kind == kind
        and lever.database in (None, database.name)
        and fnmatch.fnmatchcase(update.name, lever.update)
    )


def _against_upgrade_of(database: DatabaseStatus) -> Iterator[str]:
    if database.pending is None:
        problem = database.queue_problem or "no reason is known"
        yield f"the queue of {database.name} could not be read: {problem}"
    else:
        count = database.queued
        if count:
            names = ", ".join(update.name for update in database.pending[:5])
            more = ", ..." if count > 5 else ""
            plural = "update is" if count == 1 else "updates are"
            yield f"{count} {plural} pending in {database.name}: {names}{more}"
        for update in database.pending:
            if update.known is False:
                yield f"{update.name} in {database.name} is not known to this version of Synapse"
    decision = database.decision
    is_held = database.state == "held" and decision is not None and decision.cause != "paused"
    if is_held or database.state in ("aborted", "stopped"):
        yield f"updates of {database.name} are {why(database)}"
