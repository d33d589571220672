"""What administrators did by hand: pauses, overrides, releases, each with an end. Pure.

A pause holds the updates that it matches. An override puts settings before those of the
configuration. A release lets one update go, once: it ends when the update has. Times are seconds
since the epoch, because levers outlive the process.
"""

import enum
import fnmatch
import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from re import Pattern
from typing import Any

import attrs

from synapse_bgthrottle import schema
from synapse_bgthrottle.core.config.limits import Settings

# More of them at a time are a mistake, and each is looked at for each update.
MOST_LEVERS = 100

# Of those that have ended by the clock so many are kept: it may have been ahead, and be set back.
MOST_ENDED = 100

# How many uses are remembered.
MOST_USES = 1000

# Database and name of an update.
UpdateKey = tuple[str, str]


class LeverKind(enum.Enum):
    """What a lever does."""

    PAUSE = "pause"
    OVERRIDE = "override"
    RELEASE = "release"


@attrs.frozen(kw_only=True)
class Lever:
    """One lever.

    Attributes:
        lever_id: tells it from all others.
        kind: what it does.
        update: name of the update, or a glob; of a release always a name.
        database: the only database that it is about; None: all.
        settings: what an override sets, checked.
        written: the same as it was written.
        reason: why, in the words of whoever did it.
        author: who did it, a Matrix user ID.
        created_s: since when.
        ends_s: until when; a release that is in use goes on.
        used_s: since when a release is in use; None: not yet, or no release.
    """

    lever_id: str
    kind: LeverKind
    update: str
    author: str
    created_s: float
    ends_s: float
    database: str | None = None
    settings: Settings = attrs.field(factory=Settings)
    written: Mapping[str, Any] = attrs.field(factory=dict)
    reason: str = ""
    used_s: float | None = None
    _regex: Pattern[str] = attrs.field(init=False, eq=False, repr=False)

    @_regex.default
    def _compile(self) -> Pattern[str]:
        return re.compile(fnmatch.translate(self.update))

    def matches(self, update_name: str, database_name: str) -> bool:
        """Whether it is about this update."""
        return self.database in (None, database_name) and self._regex.match(update_name) is not None

    def is_in_force(self, wall_s: float) -> bool:
        """Whether it has not ended."""
        is_used = self.kind is LeverKind.RELEASE and self.used_s is not None
        return wall_s < self.ends_s or is_used

    def is_meant_by(self, update: str, database: str | None) -> bool:
        """Whether who names these (a name or glob, a database or all) means this lever."""
        named = update == self.update or fnmatch.fnmatchcase(self.update, update)
        return named and database in (None, self.database)

    def describe(self) -> str:
        """Who did it, until when, and why."""
        ends = datetime.fromtimestamp(self.ends_s, timezone.utc)
        why = f": {self.reason}" if self.reason else ""
        return f"by {self.author} until {ends:%Y-%m-%d %H:%M:%S} UTC{why}"

    def stated(self) -> schema.Lever:
        """As the HTTP API states it: times in ms since the epoch."""
        return schema.Lever(
            id=self.lever_id,
            kind=self.kind.value,
            update=self.update,
            database=self.database,
            settings=self.written,
            reason=self.reason,
            author=self.author,
            created_ms=round(self.created_s * 1000),
            ends_ms=round(self.ends_s * 1000),
            used_ms=None if self.used_s is None else round(self.used_s * 1000),
        )


@attrs.frozen
class Levers:
    """All levers, oldest first."""

    all: tuple[Lever, ...] = ()

    def about(self, update_name: str, database_name: str) -> "Levers":
        """Those that are about one update."""
        return Levers(tuple(v for v in self.all if v.matches(update_name, database_name)))

    def in_force(self, wall_s: float, kind: LeverKind | None = None) -> tuple[Lever, ...]:
        """Those that have not ended; of one kind, or of all."""
        return tuple(v for v in self.all if kind in (None, v.kind) and v.is_in_force(wall_s))

    def kept(self, wall_s: float) -> "Levers":
        """Without those that ended before the last `MOST_ENDED` did."""
        ended = sorted((v for v in self.all if not v.is_in_force(wall_s)), key=lambda v: v.ends_s)
        return self.changed(ended=ended[:-MOST_ENDED])

    def changed(self, made: Iterable[Lever] = (), ended: Iterable[Lever] = ()) -> "Levers":
        """With and without some."""
        gone = {lever.lever_id for lever in ended}
        return Levers((*(v for v in self.all if v.lever_id not in gone), *made))
