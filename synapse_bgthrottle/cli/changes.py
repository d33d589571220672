"""Follows statuses in plain lines: one a change, and one every so often while nothing changes."""

import math
from collections.abc import Iterator

from synapse_bgthrottle.cli.render.status import Status, official_line, update_line
from synapse_bgthrottle.cli.render.text import duration, moment
from synapse_bgthrottle.schema import UpdatesStatus

_STILL_S = 300.0
_STILL = (
    "it builds an index, or Synapse gave up after failures. Then its log says `aborting`, and"
    " `bgthrottle resume` starts updates again"
)


class Changes:
    """Which lines each look is worth; `every_s`: after so long even without a change."""

    def __init__(self, every_s: float) -> None:
        self.last: list[str] = []  # the lines that describe what was seen last, shown or not
        self._every_s = every_s
        self._shown_s = -math.inf
        self._shown: object = None
        self._official: object = None
        self._moved_s = -math.inf

    def lines(self, looked: object, now_s: float, wall_ms: float) -> Iterator[str]:
        """The lines, perhaps none, that this look (or an error instead of one) is worth."""
        if isinstance(looked, Status):
            key = _key(looked)
            self.last = [*_lines(looked, wall_ms), *self._still(looked, now_s)]
        else:
            key, self.last = type(looked), [f"no status: {looked}"]
        if key != self._shown or now_s - self._shown_s >= self._every_s:
            self._shown, self._shown_s = key, now_s
            yield from (f"{moment(wall_ms)} {line}" for line in self.last)

    def _still(self, status: Status, now_s: float) -> Iterator[str]:
        """Say that nothing moves: Synapse's own status shows no more of updates it gave up."""
        official = status if isinstance(status, UpdatesStatus) else None
        if official != self._official:
            self._official, self._moved_s = official, now_s
        still_s = now_s - self._moved_s
        if official is not None and official.current_updates and still_s >= _STILL_S:
            yield f"nothing has moved for {duration(still_s * 1000)}: {_STILL}"


def _lines(status: Status, wall_ms: float) -> Iterator[str]:
    if isinstance(status, UpdatesStatus):
        if not status.enabled:
            yield "background updates are switched off"
        for name, current in status.current_updates.items():
            yield official_line(name, current)
        if not status.current_updates:
            yield "no update is running now"
        return
    for problem in status.problems:
        where = f" in {problem.database}" if problem.database else ""
        yield f"PROBLEM{where}: {problem.message or problem.kind}"
    now_ms = wall_ms if status.now_ms is None else status.now_ms
    for database in status.databases:
        yield f"{database.name}: {update_line(database, now_ms)}"


def _key(status: Status) -> object:
    """What a change is: not progress, and not rests, which come and go with every batch."""
    if isinstance(status, UpdatesStatus):
        names = tuple((name, now.name) for name, now in status.current_updates.items())
        return status.enabled, names
    databases = []
    for database in status.databases:
        current, decision = database.current, database.decision
        hold = decision.cause if decision is not None and decision.is_hold else ""
        state = "" if database.state in ("running", "waiting") else database.state
        name = "" if current is None else current.name
        pending = None if database.pending is None else database.queued
        databases.append((database.name, state, name, hold, pending))
    problems = tuple((problem.kind, problem.database) for problem in status.problems)
    return status.enabled, tuple(databases), problems
