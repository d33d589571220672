"""Follows statuses in plain lines: one a change, and one every so often while nothing changes."""

from collections.abc import Iterator

from synapse_bgthrottle.cli.polling import Look
from synapse_bgthrottle.cli.render.status import change_lines
from synapse_bgthrottle.cli.render.text import duration, moment
from synapse_bgthrottle.cli.render.update import official_line

_STILL_S = 300.0
_STILL = (
    "it builds an index, or Synapse gave up after failures. Then its log says `aborting`, and"
    " `bgthrottle resume` starts updates again"
)


class Changes:
    """What was told last.

    Attributes:
        last: the lines that describe what was seen last, told or not.
    """

    def __init__(self, every_s: float) -> None:
        """`every_s`: tell again after so long, even if nothing has changed."""
        self.last: list[str] = []
        self._every_s = every_s
        self._told_s = -float("inf")
        self._told: object = None
        self._official: object = None
        self._moved_s = -float("inf")

    def tell(self, looked: object, now_s: float, wall_ms: float) -> Iterator[str]:
        """The lines, perhaps none, that this look (or an error instead of one) is worth."""
        if isinstance(looked, Look):
            key, self.last = _key(looked), list(_lines(looked, wall_ms))
            self.last += self._still(looked, now_s)
        else:
            key, self.last = type(looked), [f"no status: {looked}"]
        if key == self._told and now_s - self._told_s < self._every_s:
            return
        self._told, self._told_s = key, now_s
        for line in self.last:
            yield f"{moment(wall_ms)} {line}"

    def _still(self, look: Look, now_s: float) -> Iterator[str]:
        """Whether nothing moves, which is all that can be seen of a Synapse that gave up."""
        if look.official != self._official:
            self._official, self._moved_s = look.official, now_s
        still_s = now_s - self._moved_s
        if look.official is not None and look.official.current_updates and still_s >= _STILL_S:
            yield f"nothing has moved for {duration(still_s * 1000)}: {_STILL}"


def _lines(look: Look, wall_ms: float) -> Iterator[str]:
    if look.full is not None:
        for problem in look.full.problems:
            where = f" in {problem.database}" if problem.database else ""
            yield f"PROBLEM{where}: {problem.message or problem.kind}"
        yield from change_lines(look.full, wall_ms)
    elif look.official is not None:
        if not look.official.enabled:
            yield "background updates are switched off"
        for name, current in look.official.current_updates.items():
            yield official_line(name, current)
        if not look.official.current_updates:
            yield "no update is running now"


def _key(look: Look) -> object:
    """What a change is: not progress, and not rests, which come and go with every batch."""
    if look.official is not None:
        names = tuple((name, now.name) for name, now in look.official.current_updates.items())
        return look.official.enabled, names
    assert look.full is not None
    databases = []
    for database in look.full.databases:
        current = database.current
        decision = None if current is None else current.decision
        hold = decision.cause if decision is not None and decision.is_hold else ""
        state = "" if database.state in ("running", "waiting") else database.state
        name = "" if current is None else current.name
        pending = None if database.pending is None else database.queued
        databases.append((database.name, state, name, hold, pending))
    problems = tuple((problem.kind, problem.database) for problem in look.full.problems)
    return look.full.enabled, tuple(databases), problems
