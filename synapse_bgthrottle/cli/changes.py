"""Follows statuses in plain lines: one a change, and one every so often while nothing changes."""

from collections.abc import Iterator

from synapse_bgthrottle.cli.render.status import Status, official_lines, problem_line, update_line
from synapse_bgthrottle.cli.render.text import duration, moment
from synapse_bgthrottle.schema import UpdatesStatus

_STILL_S = 300.0
_STILL = (
    "it builds an index, or Synapse gave up after failures. If Synapse's log says `aborting`,"
    " `bgthrottle resume` starts updates again"
)


class Changes:
    """Which lines each look is worth; `every_s`: after so long even without a change."""

    def __init__(self, every_s: float) -> None:
        self.last: list[str] = []  # the lines that describe what was seen last, shown or not
        self._every_s = every_s
        # What was last shown, and when it is due again, without a change too; None: nothing was.
        self._shown: tuple[object, float] | None = None
        # Synapse's own status, and since when it has been the same; None: none was seen.
        self._still_since: tuple[UpdatesStatus, float] | None = None

    def lines(self, looked: object, now_s: float, wall_ms: float) -> Iterator[str]:
        """The lines, perhaps none, that this look (or an error instead of one) is worth."""
        if isinstance(looked, Status):
            key = _key(looked)
            self.last = [*_lines(looked, wall_ms), *self._still(looked, now_s)]
        else:
            key, self.last = type(looked), [f"no status: {looked}"]
        if self._shown is None or key != self._shown[0] or now_s >= self._shown[1]:
            self._shown = key, now_s + self._every_s
            yield from (f"{moment(wall_ms)} {line}" for line in self.last)

    def _still(self, status: Status, now_s: float) -> Iterator[str]:
        """Say that nothing moves: Synapse's own status shows no more of updates it gave up."""
        if not isinstance(status, UpdatesStatus):
            self._still_since = None
            return
        if self._still_since is None or status != self._still_since[0]:
            self._still_since = status, now_s
        still_s = now_s - self._still_since[1]
        if status.current_updates and still_s >= _STILL_S:
            yield f"nothing has moved for {duration(still_s * 1000)}: {_STILL}"


def _lines(status: Status, wall_ms: float) -> Iterator[str]:
    if isinstance(status, UpdatesStatus):
        if not status.enabled:
            yield "background updates are switched off"
        yield from official_lines(status)
        return
    yield from map(problem_line, status.problems)
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
