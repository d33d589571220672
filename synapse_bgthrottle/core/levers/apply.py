"""Which levers a request makes, and which it ends. Pure."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice

import attrs

from synapse_bgthrottle import schema
from synapse_bgthrottle.core.config.keys import KEYS
from synapse_bgthrottle.core.config.limits import Settings
from synapse_bgthrottle.core.config.parser import parse_settings
from synapse_bgthrottle.core.config.problems import InvalidConfigError
from synapse_bgthrottle.core.levers.lever import MOST_LEVERS, Lever, LeverKind, UpdateKey
from synapse_bgthrottle.core.levers.request import (
    OVERRIDE_KEYS,
    Action,
    LeverRequest,
    NothingMatchesError,
    TooManyLeversError,
)
from synapse_bgthrottle.core.levers.targets import first_names

_ENDED_BY = {
    Action.RESUME: (LeverKind.PAUSE,),
    Action.RESET: (LeverKind.OVERRIDE, LeverKind.RELEASE),
}


@attrs.frozen
class LeverResult:
    """Result of a lever request."""

    made: tuple[Lever, ...]
    ended: tuple[Lever, ...]
    in_force: tuple[Lever, ...]  # now

    def stated(self, notes: Iterable[str]) -> schema.LeverAnswer:
        """The result as the HTTP API returns it."""
        return schema.LeverAnswer(
            made=tuple(lever.stated() for lever in self.made),
            ended=tuple(lever.stated() for lever in self.ended),
            in_force=tuple(lever.stated() for lever in self.in_force),
            notes=tuple(notes),
        )


def change(
    request: LeverRequest,
    author: str,
    pending: Sequence[UpdateKey],
    in_force: Sequence[Lever],
    wall_s: float,
    new_id: Callable[[], str],
) -> tuple[tuple[Lever, ...], tuple[Lever, ...]]:
    """The levers that the request makes, and those that it ends.

    `author` is a Matrix user ID, and `wall_s` is in seconds since the epoch. Raises
    NothingMatchesError if it matches no pending update, or no lever, and TooManyLeversError if more
    than `MOST_LEVERS` would be in force.
    """
    made: tuple[Lever, ...] = ()
    kind = request.action.kind
    if kind is not None:
        made = tuple(islice(_made(request, kind, author, pending, wall_s, new_id), MOST_LEVERS + 1))
        if len(made) > MOST_LEVERS:  # before the comparison below, which takes quadratic time
            raise TooManyLeversError(
                f"this would make more than {MOST_LEVERS} {request.action.value}s at once, and"
                f" {MOST_LEVERS} may be in force: name fewer updates"
            )
        # A second release of the same update replaces the first, so the new end counts.
        ended = tuple(
            old
            for old in in_force
            for new in made
            if old.kind is new.kind is LeverKind.RELEASE
            and (old.update, old.database) == (new.update, new.database)
        )
        if not made:
            raise NothingMatchesError(_no_update(request, pending))
        if request.action is Action.OVERRIDE:
            # The newest takes precedence, even if the clock was set back.
            created_s = max([wall_s, *(old.created_s for old in in_force)])
            new = attrs.evolve(made[0], created_s=created_s)
            rest, ended = _set_anew(new, in_force, new_id)
            made = (*rest, new)
    else:
        ended = meant_by(request, in_force)
        if not ended:
            raise NothingMatchesError(_no_lever(request, in_force))
    if len(in_force) + len(made) - len(ended) > MOST_LEVERS:
        raise TooManyLeversError(
            f"{len(in_force)} pauses, overrides and releases are in force. This would add"
            f" {len(made) - len(ended)}, and at most {MOST_LEVERS} may be: end some first"
        )
    return made, ended


def _set_anew(
    new: Lever, in_force: Sequence[Lever], new_id: Callable[[], str]
) -> tuple[tuple[Lever, ...], tuple[Lever, ...]]:
    """What remains of older overrides of the same updates, and the overrides that end.

    The new override replaces keys for good: the old values do not come back when it ends.
    """
    rest, ended = [], []
    changed = {_setting(key) for key in new.written}
    for old in in_force:
        if old.kind is not new.kind or (old.update, old.database) != (new.update, new.database):
            continue
        kept = {key: value for key, value in old.written.items() if _setting(key) not in changed}
        if len(kept) == len(old.written):
            continue
        try:
            settings = parse_settings(kept, (), OVERRIDE_KEYS) if kept else Settings()
        # written by another version; the new override takes precedence anyway
        except InvalidConfigError:
            continue
        ended.append(old)
        if kept:
            again = attrs.evolve(old, lever_id=new_id(), written=kept, settings=settings)
            rest.append(again)
    return tuple(rest), tuple(ended)


def _setting(key: str) -> str:
    """The setting of a key: `sleep` and `duty_cycle` both set the pace."""
    return KEYS[key].setting if key in KEYS else key


def meant_by(request: LeverRequest, levers: Iterable[Lever]) -> tuple[Lever, ...]:
    """The levers that the request ends, by kind, update and database."""
    kinds = _ENDED_BY.get(request.action, ())
    return tuple(
        lever
        for lever in levers
        if lever.kind in kinds and lever.is_meant_by(request.update, request.database)
    )


def found_later(before: Sequence[Lever], after: Sequence[Lever]) -> Iterator[str]:
    """Changes that happened although their answer was lost, one line each."""
    for what, these, others in (("in force", after, before), ("over", before, after)):
        ids = {lever.lever_id for lever in others}
        for lever in these:
            if lever.lever_id not in ids:
                where = f" in {lever.database}" if lever.database else ""
                lost = f"{lever.kind.value} of {lever.update}{where} {lever.describe()}"
                yield f"{what}, though its answer was lost: {lost}"


def _made(
    request: LeverRequest,
    kind: LeverKind,
    author: str,
    pending: Sequence[UpdateKey],
    wall_s: float,
    new_id: Callable[[], str],
) -> Iterable[Lever]:
    lever = Lever(
        lever_id=new_id(),
        kind=kind,
        update=request.update,
        database=request.database,
        settings=request.settings,
        written=request.written,
        reason=request.reason,
        author=author,
        created_s=wall_s,
        ends_s=wall_s + request.duration_ms / 1000,
    )
    if request.action is not Action.RELEASE:
        yield lever
        return
    # a release is for one run of one update, so each update gets its own
    for database_name, update_name in pending:
        if lever.matches(update_name, database_name):
            yield attrs.evolve(lever, lever_id=new_id(), update=update_name, database=database_name)


def _no_update(request: LeverRequest, pending: Sequence[UpdateKey]) -> str:
    what = f"no pending update matches {request.update}"
    names = first_names([name for _, name in pending])
    return f"{what}; pending are: {names}" if names else f"{what}: none is pending"


def _no_lever(request: LeverRequest, in_force: Sequence[Lever]) -> str:
    is_resume = request.action is Action.RESUME
    names = ", ".join(
        f"{lever.update} in {lever.database}" if lever.database else lever.update
        for lever in in_force
        if lever.kind in _ENDED_BY[request.action]
    )
    if not names:
        return "nothing is paused" if is_resume else "no override and no release is in force"
    what = "pause" if is_resume else "override or release"
    where = f" in {request.database}" if request.database else ""
    return f"no {what} matches {request.update}{where}; in force for: {names}"
