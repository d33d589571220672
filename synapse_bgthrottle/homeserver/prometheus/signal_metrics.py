"""The metrics of signals; docs/metrics.md explains each."""

from prometheus_client import Gauge

from synapse_bgthrottle.core.signals.signal import SignalClass
from synapse_bgthrottle.core.signals.signal_set import SignalSet
from synapse_bgthrottle.homeserver.internals.server import Homeserver
from synapse_bgthrottle.homeserver.prometheus.series import ServerSeries

_P = "synapse_bgthrottle_"
_SIGNAL = ("server_name", "database_name", "signal")

PRESSURE = Gauge(f"{_P}pressure_ratio", "A signal divided by its threshold", _SIGNAL)
READ_AT = Gauge(f"{_P}signal_timestamp_seconds", "When a signal was last read", _SIGNAL)
READABLE = Gauge(f"{_P}signal_readable", "0 if a signal cannot be read", _SIGNAL)
CLOSED = Gauge(f"{_P}budget_closed", "1 while a budget holds the update", _SIGNAL)

_ALL = frozenset((PRESSURE, READ_AT, READABLE, CLOSED))


class SignalMetrics:
    """The signal metrics of one server."""

    def __init__(self, host: Homeserver, series: ServerSeries) -> None:
        self._host = host
        self._series = series
        self._shown: dict[str, dict[str, dict[Gauge, float | None]]] = {}

    def observed(self, database: str, signal_set: SignalSet, *, one_shot: bool) -> None:
        """A sample was taken. This is cheap for signals that it did not change, which are most."""
        now_s = self._host.now_s()
        epoch_s = self._host.wall_s() - now_s
        closed = {budget.name for budget in signal_set.all_closed(now_s, one_shot=one_shot)}
        shown = self._shown.setdefault(database, {})
        for signal, state in signal_set.states.items():
            before = shown.get(signal, {})
            read_at = None if state.at_s is None else round(epoch_s + state.at_s, 3)
            is_seen, is_closed = state.value is not None, signal in closed
            # a failed read shows 0, but the signal may not be observable here at all
            is_known = bool(state.problem) or (
                read_at is not None and (is_seen or state.is_configured)
            )
            counts = is_seen and (state.is_timed or not state.is_stale(now_s))
            is_budget = state.signal.signal_class is SignalClass.BUDGET
            values = {
                READABLE: is_seen and not state.problem if is_known else None,
                READ_AT: read_at if is_seen else before.get(READ_AT),
                PRESSURE: state.pressure if counts else None,
                CLOSED: is_closed if is_budget and (is_seen or is_closed) else None,
            }
            if values != before:
                for gauge, value in values.items():
                    self._series.set(gauge, value, database, signal)
                shown[signal] = values

    def forget(self, database: str) -> None:
        """Remove all series of this database."""
        self._shown.pop(database, None)
        self._series.drop(_ALL, database)
