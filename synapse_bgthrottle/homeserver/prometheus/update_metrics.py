"""The metrics of background updates; docs/metrics.md explains each.

Values are set when they change, because a scrape runs in another thread and must not read the
module's state. Counters have no label for the update: when an update ends, its counter would lose
what came after the last scrape. Gauges have one, and are removed when their update ends.
"""

import functools
from collections.abc import Callable, Sequence
from types import MappingProxyType
from typing import Any, TypeVar, cast

from prometheus_client import Counter, Gauge, Histogram

from synapse_bgthrottle.core.config import windows
from synapse_bgthrottle.core.scheduling.decision import Cause, Decision
from synapse_bgthrottle.core.scheduling.throttle import Throttle
from synapse_bgthrottle.core.tracking.progress import Progress
from synapse_bgthrottle.core.tracking.queue import QueueRow
from synapse_bgthrottle.core.tracking.runs import UpdateRuns
from synapse_bgthrottle.homeserver.internals.database import Database
from synapse_bgthrottle.homeserver.internals.server import Homeserver
from synapse_bgthrottle.homeserver.prometheus.series import ServerSeries
from synapse_bgthrottle.homeserver.prometheus.signal_metrics import SignalMetrics
from synapse_bgthrottle.schema import TimeLeft

Method = TypeVar("Method", bound=Callable[..., None])

_P = "synapse_bgthrottle_"
_DATABASE = ("server_name", "database_name")
_UPDATE = (*_DATABASE, "update_name")
_REASON = (*_DATABASE, "reason")

# A batch takes 100 ms by default, an index build may take hours.
_BUCKETS_S = (0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)

# These last as long as the process.
ITEMS = Counter(f"{_P}items_total", "Items that batches did, as Synapse counts them", _DATABASE)
BATCH = Histogram(
    f"{_P}batch_duration_seconds", "How long batches took", _DATABASE, buckets=_BUCKETS_S
)
WAIT = Counter(f"{_P}wait_seconds_total", "Time in which no batch ran, by cause", _REASON)
FAILURES = Counter(f"{_P}iteration_failures_total", "Batches that failed", _DATABASE)
RESTARTS = Counter(
    f"{_P}restarts_total", "Times that the module started updates that stood still", _DATABASE
)

# For each database.
PENDING = Gauge(f"{_P}pending_updates", "Updates in the queue", _DATABASE)
UNKNOWN = Gauge(f"{_P}unknown_updates", "Pending updates that the server does not know", _DATABASE)
ABORTED = Gauge(f"{_P}aborted", "1 if Synapse gave up after five failures", _DATABASE)
STOPPED = Gauge(f"{_P}stopped", "1 if Synapse does not work on a queue with updates", _DATABASE)
PAUSED = Gauge(f"{_P}paused", "1 while a pause or Synapse's switch holds updates", _DATABASE)
PAUSE_END = Gauge(f"{_P}pause_end_timestamp_seconds", "When the pause ends", _DATABASE)
HELD = Gauge(f"{_P}held", "1 for the cause that holds updates now", _REASON)
WINDOW_OPEN = Gauge(f"{_P}window_open", "1 while the current update's windows are open", _DATABASE)

# For the current update.
CURRENT = Gauge(f"{_P}current_update", "1 for the current update", (*_UPDATE, "one_shot"))
STARTED = Gauge(f"{_P}update_start_timestamp_seconds", "When the update was first run", _UPDATE)
PROGRESS = Gauge(f"{_P}progress_ratio", "Share of the update that is done", _UPDATE)
ETA = Gauge(f"{_P}eta_seconds", "Time left, through windows and pauses", _UPDATE)
LAST_PROGRESS = Gauge(
    f"{_P}last_progress_timestamp_seconds", "When a batch last ended without failure", _UPDATE
)
TARGET = Gauge(f"{_P}target_duration_seconds", "How long a batch should take", _UPDATE)
DUTY_CYCLE = Gauge(f"{_P}duty_cycle_ratio", "The share of the time that batches may take", _UPDATE)

_OF_UPDATE = frozenset((CURRENT, STARTED, PROGRESS, ETA, LAST_PROGRESS, TARGET, DUTY_CYCLE))
_BY_HAND = frozenset((Cause.PAUSED, Cause.DISABLED))
_HOLDS = MappingProxyType({cause: cause.value for cause in Cause if cause.is_hold})


def _harmless(method: Method) -> Method:
    @functools.wraps(method)
    def guarded(self: "Metrics", *arguments: Any, **named: Any) -> None:
        with self.host.reporting("with its metrics"):
            method(self, *arguments, **named)

    return cast(Method, guarded)


class Metrics:
    """The metrics of one server. Its methods do not raise."""

    def __init__(self, host: Homeserver, throttle: Throttle, runs: UpdateRuns) -> None:
        self.host = host
        self._throttle = throttle
        self._runs = runs
        self._series = ServerSeries(host.server_name)
        self._current: dict[str, str] = {}
        self._decided: dict[str, tuple[Any, ...]] = {}
        self._of_signals = SignalMetrics(host, self._series)

    @_harmless
    def begin(self, database: str, update_name: str) -> None:
        """An iteration of this update begins. This is cheap if the update is the same as before."""
        if self._current.get(database) == update_name:
            return
        self._series.drop(_OF_UPDATE, database)
        for metric in (ITEMS, BATCH, FAILURES, RESTARTS):
            self._series.at(metric, database)  # a counter must start at 0 to show its first step
        self._series.set(ABORTED, 0, database)
        self._series.set(STOPPED, 0, database)
        self._hold(database, None)
        one_shot = self._throttle.updates[database, update_name].one_shot
        self._series.set(CURRENT, 1, database, update_name, "true" if one_shot else "false")
        self._series.set(LAST_PROGRESS, self.host.wall_s(), database, update_name)
        self._decided.pop(database, None)
        self._current[database] = update_name

    @_harmless
    def decided(self, database: str, update_name: str, decision: Decision) -> None:
        """A decision was made. This is cheap, because it is mostly the same as before."""
        update = self._throttle.updates[database, update_name]
        target_ms, is_open = update.limits.target_duration_ms, update.holds.is_window_open
        duty_ratio, cause = update.duty_ratio, decision.cause
        shown = (update_name, cause, decision.subject, target_ms, duty_ratio, is_open)
        before = self._decided.get(database)
        if shown == before:
            return
        self._decided[database] = shown
        self._series.set(DUTY_CYCLE, duty_ratio, database, update_name)
        if before is not None and (*shown[:4], is_open) == (*before[:4], before[5]):
            return  # an adaptive pace changes several times a second
        self._series.set(TARGET, target_ms / 1000, database, update_name)
        self._series.set(WINDOW_OPEN, is_open, database)
        self._hold(database, cause)
        if cause is Cause.PAUSED:
            self._series.set(PAUSE_END, self.host.wall_s() + decision.wait_s, database)

    @_harmless
    def waited(self, database: str, cause: Cause, wait_s: float) -> None:
        """An iteration waited `wait_s` for this cause."""
        self._series.at(WAIT, database, cause.value).inc(max(wait_s, 0))

    @_harmless
    def batch_ended(self, database: str, update_name: str, items: int | None, failed: bool) -> None:
        """A batch has ended. Call it after the throttle's `finish`."""
        took_s = self._throttle.updates[database, update_name].totals.last_batch_s
        self._series.at(BATCH, database).observe(took_s or 0.0)
        self._series.at(ITEMS, database).inc(max(items or 0, 0))
        if failed:
            self._series.at(FAILURES, database).inc()
        else:
            self._series.set(LAST_PROGRESS, self.host.wall_s(), database, update_name)

    @_harmless
    def observed(self, database: str | None) -> None:
        """A sample was taken, of this database or (None) of all."""
        for name, state in self._throttle.databases.items():
            if database not in (None, name) or not state.is_open:
                continue
            update = self._throttle.updates[name, state.update_name]
            if update.decision is None or update.decision.cause.is_unmeasured:
                continue  # otherwise outdated values would be shown for months
            self._of_signals.observed(name, state.signal_set, one_shot=update.one_shot)

    @_harmless
    def stalled(self, database: str, unattended: bool) -> None:
        """The queue was read. `unattended`: it has updates, but Synapse never began on them."""
        self._series.set(STOPPED, unattended, database)
        self._series.at(RESTARTS, database)

    @_harmless
    def restarted(self, database: str) -> None:
        """The module has restarted the updates."""
        self._series.at(RESTARTS, database).inc()

    @_harmless
    def looked(
        self,
        database: Database,
        rows: Sequence[QueueRow],
        progress: Progress | None,
        left_s: TimeLeft,
    ) -> None:
        """The queue was read. `progress` and `left` are of the current update."""
        name, wall_s = database.name, self.host.wall_s()
        names = {row.name for row in rows}
        known, aborted = database.known_updates(), database.has_aborted
        self._series.set(PENDING, len(names), name)
        self._series.set(UNKNOWN, len(names - known) if known else 0, name)
        self._series.set(ABORTED, aborted, name)
        state = self._throttle.databases.get(name)
        if state is None or not (state.is_open or state.update_name in names):
            self._stop(name)
            self._series.drop(_OF_UPDATE, name)
        elif not state.is_open and (aborted or not database.enabled):
            self._stop(name)
        if names and not database.enabled and (state is None or not state.is_open):
            self._hold(name, Cause.DISABLED)
        if state is None or self._current.get(name) is None:
            return
        limits = self._throttle.updates[name, state.update_name].limits
        is_open = windows.is_open(limits.windows, limits.time_zone, wall_s)
        self._series.set(WINDOW_OPEN, is_open, name)  # the next decision may be hours away
        course = self._runs.running.get(name)
        if course is not None and course.entry.update == state.update_name:
            self._series.set(STARTED, course.entry.started_s, name, state.update_name)
            ratio = None if progress is None else progress.ratio
            self._series.set(PROGRESS, ratio, name, state.update_name)
            self._series.set(ETA, left_s.expected, name, state.update_name)

    def _stop(self, database: str) -> None:
        """No update is in progress there."""
        self._current.pop(database, None)
        self._decided.pop(database, None)
        self._hold(database, None)
        self._of_signals.forget(database)
        self._series.drop_one(WINDOW_OPEN, database)

    def _hold(self, database: str, cause: Cause | None) -> None:
        for hold, reason in _HOLDS.items():
            self._series.set(HELD, hold is cause, database, reason)
        self._series.set(PAUSED, cause in _BY_HAND, database)
        if cause is not Cause.PAUSED:
            self._series.drop_one(PAUSE_END, database)
        if cause is not None and cause.is_unmeasured:
            self._of_signals.forget(database)
