"""Which updates are under way, and what is to be written of them. Pure."""

import math
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from typing import Any

import attrs

from synapse_bgthrottle.core.scheduling.throttle import Throttle
from synapse_bgthrottle.core.tracking.history import MOST_ENTRIES, HistoryEntry, Outcome, UpdateRun

# How often the history of an update that goes on is written.
WRITE_EVERY_S = 60.0


class UpdateRuns:
    """The update under way in each database, and those that have ended since the last question."""

    def __init__(self, throttle: Throttle) -> None:
        self.running: dict[str, UpdateRun] = {}  # by database
        self._throttle = throttle
        self._recalled: dict[tuple[str, str], HistoryEntry] = {}
        self._ended: list[HistoryEntry] = []
        self._in_writing: list[HistoryEntry] = []
        self._written_s: dict[str, float] = {}

    def recall(self, entries: Iterable[HistoryEntry]) -> None:
        """These had not ended when the server did; the newest of one update come last."""
        self._recalled = {entry.key: entry for entry in entries}
        for run in self.running.values():
            before = self._recalled.pop(run.entry.key, None)
            if before is not None:
                run.entry = _resumed(before)

    def begin(self, database_name: str, update_name: str, wall_s: float) -> bool:
        """An iteration of this update begins; answers whether that is news."""
        run = self.running.get(database_name)
        if run is not None and run.entry.update == update_name:
            if run.entry.outcome is Outcome.RUNNING:
                return False
            run.entry = _resumed(run.entry)
            return True
        if run is not None:  # Synapse goes on to another one only when one is done
            self._end(database_name, _ended(run.entry), wall_s)
        key = (database_name, update_name)
        entry = HistoryEntry(database=database_name, update=update_name, started_s=wall_s)
        entry = _resumed(self._recalled.pop(key, entry))
        self.running[database_name] = UpdateRun.begin(entry, self._throttle.updates[key])
        return True

    def see_recalled(self, database_name: str, queued: AbstractSet[str], wall_s: float) -> None:
        """These are in the queue, so that what was there before the restart and is not has ended.

        Also while an iteration is open: it is one of another update.
        """
        for key, entry in list(self._recalled.items()):
            if entry.database == database_name and entry.update not in queued:
                ended_s = entry.ended_s or wall_s
                self._ended.append(attrs.evolve(entry, outcome=_ended(entry), ended_s=ended_s))
                del self._recalled[key]

    def see(
        self, database_name: str, queued: AbstractSet[str], wall_s: float, *, aborted: bool
    ) -> None:
        """These are in the queue, and no iteration is open, so that what is not there has ended."""
        run = self.running.get(database_name)
        if run is None:
            return
        if run.entry.update not in queued:
            has_failed = self._throttle.databases[database_name].has_failed
            self._end(database_name, Outcome.GONE if has_failed else Outcome.DONE, wall_s)
        elif aborted and run.entry.outcome is Outcome.RUNNING:
            run.entry = attrs.evolve(run.entry, outcome=Outcome.ABORTED, ended_s=wall_s)
            self._written_s.pop(database_name, None)

    def newest_since_s(self, wall_s: float) -> float:
        """For how long the newest of those under way has been so, in seconds."""
        return min((wall_s - v.entry.started_s for v in self.running.values()), default=math.inf)

    def first_seen(self, database_name: str, progress_json: str) -> None:
        """How far the update under way there was when it was first seen."""
        self._note(database_name, first_progress=progress_json)

    def measured(self, database_name: str, progress_per_item: float) -> None:
        """How far an item takes the update under way there."""
        self._note(database_name, progress_per_item=progress_per_item)

    def _note(self, database_name: str, **changes: Any) -> None:
        run = self.running[database_name]
        run.entry = attrs.evolve(run.entry, **changes)

    def so_far(self, database_name: str) -> HistoryEntry | None:
        """The history of the update under way there."""
        run = self.running.get(database_name)
        if run is None:
            return None
        return run.so_far(self._throttle.updates[run.entry.key])

    def ended(self) -> list[HistoryEntry]:
        """Those that have ended since this was asked; until `written` or `put_back`, in writing."""
        self._in_writing, self._ended = self._ended, []
        return self._in_writing

    def written(self) -> None:
        """What was in writing is written, or never will be."""
        self._in_writing = []

    @property
    def unwritten(self) -> tuple[HistoryEntry, ...]:
        """Those that have ended and are not written yet."""
        return (*self._in_writing, *self._ended)

    def put_back(self, ended: Iterable[HistoryEntry], due: Iterable[HistoryEntry] = ()) -> None:
        """These could not be written: those that have ended, and those that were due."""
        self._ended = [*ended, *self._ended][-MOST_ENTRIES:]
        self._in_writing = []
        for entry in due:
            self._written_s.pop(entry.database, None)

    def due(self, wall_s: float) -> list[HistoryEntry]:
        """Those under way that are to be written (again); until `put_back`, taken as written."""
        due = []
        for name, run in self.running.items():
            if abs(wall_s - self._written_s.get(name, 0.0)) >= WRITE_EVERY_S:
                self._written_s[name] = wall_s
                due.append(run.so_far(self._throttle.updates[run.entry.key]))
        return due

    def _end(self, database_name: str, outcome: Outcome, wall_s: float) -> None:
        run = self.running.pop(database_name)
        entry = run.so_far(self._throttle.updates[run.entry.key])
        self._throttle.ended(database_name, entry.update)
        self._written_s.pop(database_name, None)
        ended_s = entry.ended_s or wall_s
        self._ended.append(attrs.evolve(entry, outcome=outcome, ended_s=ended_s))


def _ended(entry: HistoryEntry) -> Outcome:
    # Only a hand removes what was aborted.
    return Outcome.GONE if entry.outcome is Outcome.ABORTED else Outcome.DONE


def _resumed(entry: HistoryEntry) -> HistoryEntry:
    return attrs.evolve(entry, outcome=Outcome.RUNNING, ended_s=None)
