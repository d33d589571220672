"""The updates that are running, and what of their history must be written. Pure."""

import math
from collections.abc import Iterable
from collections.abc import Set as AbstractSet

import attrs

from synapse_bgthrottle.core.scheduling.throttle import Throttle
from synapse_bgthrottle.core.tracking.history import MOST_ENTRIES, HistoryEntry, Outcome, UpdateRun

# How often the history of a running update is written.
WRITE_EVERY_S = 60.0


class UpdateRuns:
    """The running update of each database, and those that have ended and are not written yet."""

    def __init__(self, throttle: Throttle) -> None:
        self.running: dict[str, UpdateRun] = {}  # by database
        self.ended: tuple[HistoryEntry, ...] = ()  # not written yet, at most `MOST_ENTRIES`
        self._throttle = throttle
        self._recalled: dict[tuple[str, str], HistoryEntry] = {}

    def recall(self, entries: Iterable[HistoryEntry]) -> None:
        """These had not ended when the server did. Of one update, the newest comes last."""
        self._recalled = {entry.key: entry for entry in entries}
        for run in self.running.values():
            before = self._recalled.pop(run.entry.key, None)
            if before is not None:
                run.entry = _resumed(before)

    def begin(self, database_name: str, update_name: str, wall_s: float) -> bool:
        """An iteration of this update begins. Return whether that is a new run, or a new start."""
        run = self.running.get(database_name)
        if run is not None and run.entry.update == update_name:
            if run.entry.outcome is Outcome.RUNNING:
                return False
            run.entry = _resumed(run.entry)
            return True
        if run is not None:  # Synapse only continues with another update when one is done
            self._end(database_name, _ended(run.entry), wall_s)
        key = (database_name, update_name)
        entry = HistoryEntry(database=database_name, update=update_name, started_s=wall_s)
        entry = _resumed(self._recalled.pop(key, entry))
        self.running[database_name] = UpdateRun.begin(entry, self._throttle.updates[key])
        return True

    def see_recalled(self, database_name: str, queued: AbstractSet[str], wall_s: float) -> None:
        """These are in the queue. Other updates from before the restart have ended.

        This also holds while an iteration is open, because it is one of another update.
        """
        for key, entry in list(self._recalled.items()):
            if entry.database == database_name and entry.update not in queued:
                self._note_end(entry, _ended(entry), wall_s)
                del self._recalled[key]

    def see(
        self, database_name: str, queued: AbstractSet[str], wall_s: float, *, aborted: bool
    ) -> None:
        """These are in the queue, and no iteration is open. So an update that is not has ended."""
        run = self.running.get(database_name)
        if run is None:
            return
        if run.entry.update not in queued:
            has_failed = self._throttle.databases[database_name].has_failed
            self._end(database_name, Outcome.GONE if has_failed else Outcome.DONE, wall_s)
        elif aborted and run.entry.outcome is Outcome.RUNNING:
            run.entry = attrs.evolve(run.entry, outcome=Outcome.ABORTED, ended_s=wall_s)
            run.written_s = None

    def newest_since_s(self, wall_s: float) -> float:
        """How long the newest run has been going on, in seconds; inf: none is running."""
        return min((wall_s - v.entry.started_s for v in self.running.values()), default=math.inf)

    def first_seen(self, database_name: str, progress_json: str) -> None:
        """The progress of the running update when it was first seen."""
        run = self.running[database_name]
        run.entry = attrs.evolve(run.entry, first_progress=progress_json)

    def measured(self, database_name: str, progress_per_item: float) -> None:
        """The progress of the running update by one item."""
        run = self.running[database_name]
        run.entry = attrs.evolve(run.entry, progress_per_item=progress_per_item)

    def so_far(self, database_name: str) -> HistoryEntry | None:
        """The history of the running update; None: none is running."""
        run = self.running.get(database_name)
        if run is None:
            return None
        return run.so_far(self._throttle.updates[run.entry.key])

    def due(self, wall_s: float) -> list[HistoryEntry]:
        """The running updates that must be written (again)."""
        return [
            run.so_far(self._throttle.updates[run.entry.key])
            for run in self.running.values()
            if run.written_s is None or abs(wall_s - run.written_s) >= WRITE_EVERY_S
        ]

    def written(self, entries: Iterable[HistoryEntry], wall_s: float) -> None:
        """These are written, or never will be. What has changed since must be written again."""
        written = {_state(entry) for entry in entries}
        self.ended = tuple(entry for entry in self.ended if _state(entry) not in written)
        for run in self.running.values():
            if _state(run.entry) in written:
                run.written_s = wall_s

    def _end(self, database_name: str, outcome: Outcome, wall_s: float) -> None:
        run = self.running.pop(database_name)
        self._throttle.ended(database_name, run.entry.update)
        self._note_end(run.so_far(self._throttle.updates[run.entry.key]), outcome, wall_s)

    def _note_end(self, entry: HistoryEntry, outcome: Outcome, wall_s: float) -> None:
        ended = attrs.evolve(entry, outcome=outcome, ended_s=entry.ended_s or wall_s)
        self.ended = (*self.ended, ended)[-MOST_ENTRIES:]


def _state(entry: HistoryEntry) -> tuple[tuple[str, str], float, Outcome]:
    """Which run it is of, and whether that has ended."""
    return entry.key, entry.started_s, entry.outcome


def _ended(entry: HistoryEntry) -> Outcome:
    # Only an administrator removes an update that was aborted.
    return Outcome.GONE if entry.outcome is Outcome.ABORTED else Outcome.DONE


def _resumed(entry: HistoryEntry) -> HistoryEntry:
    return attrs.evolve(entry, outcome=Outcome.RUNNING, ended_s=None)
