"""Pauses, overrides and releases, each with an end. Pure.

A pause holds the updates that it matches. An override sets values that come before the
configuration. A release lets one update run once, and ends with that update. Times are seconds
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

# Each lever is checked for each update. More than this at a time are a mistake.
MOST_LEVERS = 100

# So many ended levers are kept. If the clock was ahead and is set back, they count again.
MOST_ENDED = 100

# So many uses are kept.
MOST_USES = 1000

# Name of the database, name of the update.
UpdateKey = tuple[str, str]


class LeverKind(enum.Enum):
    """What a lever does."""

    PAUSE = "pause"
    OVERRIDE = "override"
    RELEASE = "release"


@attrs.frozen(kw_only=True)
class Lever:
    """One lever."""

    lever_id: str
    kind: LeverKind
    update: str  # name of the update, or a glob; a release always has a name
    author: str  # who made it, a Matrix user ID
    created_s: float  # since when
    ends_s: float  # until when; a release in use lasts longer
    database: str | None = None  # the only database that it concerns; None: all
    settings: Settings = attrs.field(factory=Settings)  # what an override sets, checked
    written: Mapping[str, Any] = attrs.field(factory=dict)  # the same, as it was written
    reason: str = ""  # why, in the author's words
    used_s: float | None = None  # since when a release is in use; None: it is not
    _regex: Pattern[str] = attrs.field(init=False, eq=False, repr=False)

    @_regex.default
    def _compile(self) -> Pattern[str]:
        return re.compile(fnmatch.translate(self.update))

    def matches(self, update_name: str, database_name: str) -> bool:
        """Whether it concerns this update."""
        return self.database in (None, database_name) and self._regex.match(update_name) is not None

    def is_in_force(self, wall_s: float) -> bool:
        """Whether it has not ended."""
        is_used = self.kind is LeverKind.RELEASE and self.used_s is not None
        return wall_s < self.ends_s or is_used

    def is_meant_by(self, update: str, database: str | None) -> bool:
        """Whether a request for this name or glob and this database (None: all) means it."""
        named = update == self.update or fnmatch.fnmatchcase(self.update, update)
        return named and database in (None, self.database)

    def describe(self) -> str:
        """The author, the end and the reason."""
        ends = datetime.fromtimestamp(self.ends_s, timezone.utc)
        why = f": {self.reason}" if self.reason else ""
        return f"by {self.author} until {ends:%Y-%m-%d %H:%M:%S} UTC{why}"

    def stated(self) -> schema.Lever:
        """The lever as the HTTP API returns it: times in ms since the epoch."""
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
        """The levers that concern one update."""
        return Levers(tuple(v for v in self.all if v.matches(update_name, database_name)))

    def in_force(self, wall_s: float, kind: LeverKind | None = None) -> tuple[Lever, ...]:
        """The levers that have not ended, of one kind or (None) of all."""
        return tuple(v for v in self.all if kind in (None, v.kind) and v.is_in_force(wall_s))

    def kept(self, wall_s: float) -> "Levers":
        """Without ended levers, except the `MOST_ENDED` that ended last."""
        ended = sorted((v for v in self.all if not v.is_in_force(wall_s)), key=lambda v: v.ends_s)
        return self.changed(ended=ended[:-MOST_ENDED])

    def changed(self, made: Iterable[Lever] = (), ended: Iterable[Lever] = ()) -> "Levers":
        """With the levers made, and without those that ended."""
        gone = {lever.lever_id for lever in ended}
        levers = (*(v for v in self.all if v.lever_id not in gone), *made)
        return Levers(tuple(sorted(levers, key=lambda v: v.created_s)))
