"""The metrics of signals; docs/metrics.md explains each."""

from typing import Any

from prometheus_client import Gauge

from synapse_bgthrottle.core.signals.signal import SignalClass
from synapse_bgthrottle.core.signals.signal_set import SignalSet
from synapse_bgthrottle.core.signals.signal_state import SignalState
from synapse_bgthrottle.homeserver.internals.server import Homeserver
from synapse_bgthrottle.homeserver.prometheus.series import ServerSeries

_P = "synapse_bgthrottle_"
_SIGNAL = ("server_name", "database_name", "signal")

PRESSURE = Gauge(f"{_P}pressure_ratio", "A signal against its threshold: 1 is there", _SIGNAL)
READ_AT = Gauge(f"{_P}signal_timestamp_seconds", "When a signal was last read", _SIGNAL)
READABLE = Gauge(f"{_P}signal_readable", "0 if a signal cannot be read", _SIGNAL)
CLOSED = Gauge(f"{_P}budget_closed", "1 while a budget holds the update", _SIGNAL)

ALL = (PRESSURE, READ_AT, READABLE, CLOSED)
_ALL = frozenset(ALL)


class SignalMetrics:
    """The signal metrics of one server."""

    def __init__(self, host: Homeserver, series: ServerSeries) -> None:
        self._host = host
        self._series = series
        self._shown: dict[str, dict[str, tuple[Any, ...]]] = {}

    def observed(self, database: str, signal_set: SignalSet, *, one_shot: bool) -> None:
        """A sample was taken. This is cheap for signals that it did not change, which are most."""
        now_s = self._host.now_s()
        epoch_s = self._host.wall_s() - now_s
        closed = {budget.name for budget in signal_set.all_closed(now_s, one_shot=one_shot)}
        before = self._shown.setdefault(database, {})
        for signal, level in signal_set.states.items():
            is_seen, is_closed = level.value is not None, signal in closed
            counts = is_seen and (level.is_timed or not level.is_stale(now_s))
            read_at = None if level.at_s is None else round(epoch_s + level.at_s, 3)
            shown = (read_at, is_seen, level.problem, level.pressure, counts, is_closed)
            if before.get(signal) != shown:
                self._show(level, read_at, (database, signal), counts=counts, is_closed=is_closed)
                before[signal] = shown

    def forget(self, database: str) -> None:
        """Remove all series of this database."""
        self._shown.pop(database, None)
        self._series.drop(_ALL, database)

    def _show(
        self,
        level: SignalState,
        read_at: float | None,
        labels: tuple[str, str],
        *,
        counts: bool,
        is_closed: bool,
    ) -> None:
        is_seen = level.value is not None
        if level.problem or (read_at is not None and (is_seen or level.is_configured)):
            self._series.set(READABLE, is_seen and not level.problem, *labels)
        else:  # a failed read showed 0, but the signal may not be observable here at all
            self._series.drop_one(READABLE, *labels)
        if is_seen and read_at is not None:
            self._series.set(READ_AT, read_at, *labels)
        self._series.set(PRESSURE, level.pressure if counts else None, *labels)
        if level.signal.signal_class is SignalClass.BUDGET:
            self._series.set(CLOSED, is_closed if is_seen or is_closed else None, *labels)
