"""Updates of one database, and their stored history."""

from typing import Any

from synapse_bgthrottle.core.config.limits import FixedSleep, Settings
from synapse_bgthrottle.core.config.parser import Config
from synapse_bgthrottle.core.scheduling.throttle import Throttle
from synapse_bgthrottle.core.tracking.history import HistoryEntry, Outcome
from synapse_bgthrottle.core.tracking.runs import UpdateRuns
from testbed.strategies.examples import NOON_S

DB = "master"


class CourseWorld:
    """Time is in seconds since noon."""

    def __init__(self) -> None:
        self.throttle = Throttle(Config(Settings(pace=FixedSleep(0))), Settings())
        self.runs = UpdateRuns(self.throttle)

    def begin(self, name: str, at_s: float) -> bool:
        self.throttle.begin(DB, name, False, at_s)
        return self.runs.begin(DB, name, NOON_S + at_s)

    def batch(self, name: str, at_s: float, items: int = 10, failure: str = "") -> None:
        """An iteration with a batch of a second, that ends then."""
        self.begin(name, at_s - 1)
        self.throttle.start(DB, name, at_s - 1)
        self.throttle.finish(DB, name, at_s, None if failure else items, bool(failure))
        if failure:
            self.throttle.failed(DB, name, NOON_S + at_s, failure)

    def see(self, at_s: float, *queued: str, aborted: bool = False) -> None:
        self.runs.see_recalled(DB, frozenset(queued), NOON_S + at_s)
        self.runs.see(DB, frozenset(queued), NOON_S + at_s, aborted=aborted)

    def so_far(self) -> HistoryEntry:
        entry = self.runs.so_far(DB)
        assert entry is not None
        return entry

    def ended(self) -> list[tuple[str, Outcome, float, int]]:
        """Name, outcome, time and batches of those that have ended and are not written."""
        return [
            (v.update, v.outcome, (v.ended_s or 0) - NOON_S, v.batches) for v in self.runs.ended
        ]

    def write(self, at_s: float) -> list[HistoryEntry]:
        """Write what is due, and tell what that was."""
        due = self.runs.due(NOON_S + at_s)
        self.runs.written(due, NOON_S + at_s)
        return due


def written(**changes: Any) -> HistoryEntry:
    """What was written of `a` before the restart."""
    values: dict[str, Any] = {
        "database": DB,
        "update": "a",
        "started_s": NOON_S - 1000,
        "items": 70,
        "batches": 7,
        "batch_s": 7.0,
        "waited_s": {"pace": 30.0, "window": 5.0},
        "failures": 1,
        "last_failure": "old",
        "first_progress": '{"at": 1}',
    }
    return HistoryEntry(**{**values, **changes})
