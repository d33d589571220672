"""Which updates a lever concerns, and what still holds them once it is in force. Pure."""

import fnmatch
from collections.abc import Callable, Iterable, Iterator, Sequence

import attrs

from synapse_bgthrottle.core.config.problems import InvalidConfigError, did_you_mean, refused
from synapse_bgthrottle.core.levers.lever import Lever, LeverKind
from synapse_bgthrottle.core.levers.request import Action, LeverRequest, NothingMatchesError

# Returns what holds an update of a database, and its limits in one line, as `explain` shows them.
Explain = Callable[[str, str], tuple[Sequence[str], str]]

_MOST_NAMES = 5


@attrs.frozen
class Target:
    """The updates of one database."""

    database: str
    pending: tuple[str, ...] | None  # its queue, in order; None: unreadable, or not asked for
    known: frozenset[str]  # names of the updates that the server can run; empty: unknown

    def knows(self, update: str) -> bool:
        """Whether the server can run the update, as far as is known."""
        return not self.known or update in self.known


def is_known(request: LeverRequest, targets: Sequence[Target]) -> bool:
    """Whether the server knows the request's updates, so that no queue must be read."""
    if request.action.kind is None or not _are_known(targets):
        return True
    return any(_matching(request.update, target.known) for target in _about(request, targets))


def check_exists(database: str | None, targets: Sequence[Target]) -> None:
    """Refuse an unknown database. None (all) passes, and so does any name if names are unknown.

    Raises InvalidConfigError if there is no such database.
    """
    names = [target.database for target in targets]
    if database in (None, *names) or not _are_known(targets):
        return
    raise InvalidConfigError([refused(("database",), database, ", ".join(names))])


def check(request: LeverRequest, targets: Sequence[Target]) -> None:
    """Refuse a request that concerns nothing on this server, if the server's updates are known.

    An update of a later version of Synapse is not known yet. A glob for all updates includes it.
    Raises InvalidConfigError if there is no such database, and NothingMatchesError if the server
    has no such update, or cannot run it.
    """
    if request.action.kind is None or not _are_known(targets):
        return
    check_exists(request.database, targets)
    about = _about(request, targets)
    pending = [name for target in about for name in target.pending or ()]
    if request.action is Action.RELEASE:
        matching = _matching(request.update, pending)
        if matching and not _matching(request.update, [name for _, name in runnable(about)]):
            message = f"this server does not know {first_names(matching)}, and cannot run it"
            raise NothingMatchesError(message)
    elif not is_known(request, targets) and not _matching(request.update, pending):
        known = {name for target in about for name in target.known}
        raise NothingMatchesError(_nothing_named(request, known, pending))


def runnable(targets: Iterable[Target]) -> list[tuple[str, str]]:
    """Pending updates that the server can run: database and name."""
    return [
        (target.database, name)
        for target in targets
        for name in target.pending or ()
        if target.knows(name)
    ]


def notes(
    request: LeverRequest, made: Sequence[Lever], targets: Sequence[Target], explain: Explain
) -> Iterator[str]:
    """Sentences for the administrator about the effect of a request.

    `targets` are all databases, as they were before it; `explain` answers for the state after it.
    """
    if request.action.kind is None:
        return
    about = _about(request, targets)
    pending = [name for target in about for name in target.pending or ()]
    if not _matching(request.update, pending):
        if all(target.pending is not None for target in about):
            yield f"nothing pending matches {request.update} now"
        if not _are_known(targets):
            yield "this server does not say which updates and databases it knows: check the name"
    for target in about:
        yield from _of_database(request, made, target, explain)


def _of_database(
    request: LeverRequest, made: Sequence[Lever], target: Target, explain: Explain
) -> Iterator[str]:
    if not target.pending or request.action is Action.PAUSE:
        return
    head, where = target.pending[0], f"in {target.database}"
    matching = _matching(request.update, target.pending)
    strange = [name for name in matching if not target.knows(name)]
    if strange and request.action is Action.RELEASE:
        yield f"left out {where}, because this server does not know it: {first_names(strange)}"
    if head in matching and head not in strange:
        held_by, limits = explain(target.database, head)
        if request.action is Action.OVERRIDE:
            yield f"{head} {where} has now: {limits}"
        if held_by:
            yield f"{head} {where} is still held: {'; '.join(held_by)}"
    behind = [
        lever.update
        for lever in made
        if lever.kind is LeverKind.RELEASE
        and (lever.database, lever.update == head) == (target.database, False)
    ]
    if behind and head not in matching:
        held_by, _ = explain(target.database, head)
        why = "which this server does not know" if not target.knows(head) else "; ".join(held_by)
        wait = "waits" if len(behind) == 1 else "wait"
        yield f"{first_names(behind)} {where} {wait} behind {head}" + (f", {why}" if why else "")


def _are_known(targets: Sequence[Target]) -> bool:
    # Without Synapse's private attributes, databases appear later, and updates' names never.
    return bool(targets) and all(target.known for target in targets)


def _about(request: LeverRequest, targets: Sequence[Target]) -> list[Target]:
    return [target for target in targets if request.database in (None, target.database)]


def _matching(update: str, names: Iterable[str]) -> list[str]:
    return [name for name in names if fnmatch.fnmatchcase(name, update)]


def _nothing_named(request: LeverRequest, known: set[str], pending: Sequence[str]) -> str:
    where = f" in {request.database}" if request.database is not None else ""
    hint = did_you_mean(request.update, known)
    waiting = f"pending are: {first_names(pending)}" if pending else "none is pending"
    what = f"no update that this server knows matches {request.update}{where}"
    return f"{what}{hint or ';'} {waiting}; for all of them: *"


def first_names(names: Sequence[str]) -> str:
    """The first names in one line."""
    return ", ".join(names[:_MOST_NAMES]) + (", ..." if len(names) > _MOST_NAMES else "")
