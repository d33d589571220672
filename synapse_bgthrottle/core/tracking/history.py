"""The history of updates, each from its first batch to its end, over restarts. Pure.

Synapse says when an iteration begins, never that an update is done. That shows when another one
begins, or when the update is no longer in the queue. Times are seconds since the epoch.
"""

import enum
import fnmatch
from collections.abc import Iterable, Mapping

import attrs

from synapse_bgthrottle import schema
from synapse_bgthrottle.core.scheduling.state import Totals, UpdateState

# What is kept.
MOST_ENTRIES = 1000


class Outcome(enum.Enum):
    """What became of an update."""

    RUNNING = "running"
    DONE = "done"
    ABORTED = "aborted"
    GONE = "gone"


@attrs.frozen(kw_only=True)
class HistoryEntry:
    """One run of an update."""

    database: str
    update: str
    started_s: float
    ended_s: float | None = None  # None: it has not ended
    # DONE; ABORTED by Synapse after five failures; GONE from the queue after a failure, so somebody
    # may have removed it; or RUNNING, which includes waiting.
    outcome: Outcome = Outcome.RUNNING
    items: int = 0
    batches: int = 0
    batch_s: float = 0.0
    waited_s: Mapping[str, float] = attrs.field(factory=dict)  # the time spent waiting, by cause
    failures: int = 0
    last_failure: str = ""  # the message of the last one
    first_progress: str | None = None  # its progress_json when it was first seen
    # Progress by one item, in the unit of the progress; None: unknown. Stored, because progress and
    # items are not counted from the same instant.
    progress_per_item: float | None = None

    @property
    def key(self) -> tuple[str, str]:
        """Database and update."""
        return self.database, self.update

    @property
    def waited_ms(self) -> dict[str, float]:
        """The time spent waiting, by cause, in whole ms."""
        return {cause: round(s * 1000) for cause, s in self.waited_s.items()}

    def stated(self) -> schema.HistoryEntry:
        """As the HTTP API states it: times in ms since the epoch."""
        return schema.HistoryEntry(
            database=self.database,
            update=self.update,
            started_ms=round(self.started_s * 1000),
            ended_ms=None if self.ended_s is None else round(self.ended_s * 1000),
            outcome=self.outcome.value,
            items=self.items,
            batches=self.batches,
            batch_time_ms=round(self.batch_s * 1000),
            waited_ms=self.waited_ms,
            failures=self.failures,
            last_failure=self.last_failure,
        )


def newest_first(
    entries: Iterable[HistoryEntry], update: str | None, database: str | None
) -> list[HistoryEntry]:
    """Each run once, as in its last entry. `update` is a glob; None: all updates."""
    # Compare the time as it is stored: so a running update replaces its stored entry.
    runs = {(entry.key, round(entry.started_s * 1000)): entry for entry in entries}
    return [
        entry
        for entry in sorted(runs.values(), key=lambda entry: -entry.started_s)
        if (update is None or fnmatch.fnmatchcase(entry.update, update))
        and database in (None, entry.database)
    ]


@attrs.define
class UpdateRun:
    """A run that has not ended."""

    entry: HistoryEntry  # as it was when the run began, or when the server started
    _before: Totals
    written_s: float | None = None  # when it was last written, since the epoch; None: it is due

    @classmethod
    def begin(cls, entry: HistoryEntry, state: UpdateState) -> "UpdateRun":
        """From now on, what `state` counts is added to `entry`."""
        return cls(entry, attrs.evolve(state.totals, waited_s=dict(state.totals.waited_s)))

    def so_far(self, state: UpdateState) -> HistoryEntry:
        """The entry, with what was counted since."""
        entry, now, before = self.entry, state.totals, self._before
        waited_s = dict(entry.waited_s)
        for cause, total_s in now.waited_s.items():
            since_s = total_s - before.waited_s.get(cause, 0.0)
            if since_s > 0:
                waited_s[cause.value] = waited_s.get(cause.value, 0.0) + since_s
        failures = now.failures - before.failures
        return attrs.evolve(
            entry,
            items=entry.items + now.items - before.items,
            batches=entry.batches + now.batches - before.batches,
            batch_s=entry.batch_s + now.batch_s - before.batch_s,
            waited_s=waited_s,
            failures=entry.failures + failures,
            last_failure=now.last_failure if failures else entry.last_failure,
        )

    def held_s(self, state: UpdateState) -> float:
        """The time in holds since it began, or since the server started."""
        return sum(
            waited_s - self._before.waited_s.get(cause, 0.0)
            for cause, waited_s in state.totals.waited_s.items()
            if cause.is_hold
        )
