"""One server's series on Synapse's metrics endpoint, made at first use.

A registry keeps a series longer than the object that made it. So this module removes a server's
series when the server ends: a process may have several servers, at once or one after another.
"""

import weakref
from collections.abc import Iterator
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any

from prometheus_client import REGISTRY, Gauge

_Series = dict[tuple[Any, tuple[str, ...]], Any]

# By server name. No reference to the owner, so that a server that shuts down can be freed.
_shown: dict[str, _Series] = {}

# Series of freed servers. Python may free one at any moment, even while this thread holds the
# registry's lock. So it is only noted here, in the one queue that is safe for that.
_freed: SimpleQueue[tuple[str, _Series]] = SimpleQueue()


class ServerSeries:
    """One server's series, by metric and labels. The first label, the server, is added here."""

    def __init__(self, server_name: str) -> None:
        self._server_name = server_name
        self._series: _Series = {}
        freed = (server_name, self._series)
        weakref.finalize(self, _freed.put, freed).atexit = False

    def at(self, metric: Any, *labels: str) -> Any:
        """The series with these labels, to be increased, set or observed."""
        key = (metric, labels)
        series = self._series.get(key)
        if series is None:
            _forget_freed()
            before = _shown.get(self._server_name)
            if before is not self._series:  # an earlier server of this name has shut down
                _forget(self._server_name, before or {})
                _shown[self._server_name] = self._series
            series = self._series[key] = metric.labels(self._server_name, *labels)
        return series

    def set(self, gauge: Gauge, value: float | None, *labels: str) -> None:
        """Show this value; None: remove the series."""
        if value is None:
            self.drop_one(gauge, *labels)
        else:
            self.at(gauge, *labels).set(value)

    def drop_one(self, metric: Any, *labels: str) -> None:
        """Remove the series, if there is one."""
        if self._series.pop((metric, labels), None) is not None:
            _remove(metric, self._server_name, labels)

    def drop(self, metrics: frozenset[Gauge], database: str) -> None:
        """Remove all series of these metrics whose first label is this database."""
        for metric, labels in list(self._series):
            if labels[0] == database and metric in metrics:
                self.drop_one(metric, *labels)


class _Forgetting:
    """A collector without metrics. It runs first and removes the series of freed servers."""

    def collect(self) -> Iterator[Any]:
        _forget_freed()
        return iter(())

    describe = collect


def _forget_freed() -> None:
    with suppress(Empty):
        while True:
            _forget(*_freed.get_nowait())


def _forget(server_name: str, series: _Series) -> None:
    if _shown.get(server_name) is series:
        del _shown[server_name]
        for metric, labels in series:
            _remove(metric, server_name, labels)
        series.clear()


def _remove(metric: Any, server_name: str, labels: tuple[str, ...]) -> None:
    with suppress(KeyError):  # in old versions of the client there may be none
        metric.remove(server_name, *labels)


# before the metrics, because collectors run in the order of registration
REGISTRY.register(_Forgetting())
