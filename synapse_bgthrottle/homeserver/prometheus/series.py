"""The series that one server shows on Synapse's metrics endpoint, made when first used.

A series outlives the object that shows it, because the client's registry keeps it. So what a server
shows ends with the server: a process may have several, one after the other or beside each other.
"""

import weakref
from collections.abc import Iterator
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any

from prometheus_client import REGISTRY, Gauge

_Series = dict[tuple[Any, tuple[str, ...]], Any]

# What is shown of each server, by its name. Not by whom: a server that shuts down must be freed.
_shown: dict[str, _Series] = {}

# Of servers that are freed. That may be amid anything, also while the same thread holds the lock
# without which nothing is removed: so it is only put down here, as this queue alone can be.
_freed: SimpleQueue[tuple[str, _Series]] = SimpleQueue()


class ServerSeries:
    """By metric and labels; the label of the server, the first of each metric, is given here."""

    def __init__(self, server_name: str) -> None:
        self._server_name = server_name
        self._series: _Series = {}
        freed = (server_name, self._series)
        weakref.finalize(self, _freed.put, freed).atexit = False

    def at(self, metric: Any, *labels: str) -> Any:
        """The series with these labels, to be counted up, set or observed."""
        key = (metric, labels)
        series = self._series.get(key)
        if series is None:
            _forget_freed()
            before = _shown.get(self._server_name)
            if before is not self._series:  # a server of this name was there, and has shut down
                _forget(self._server_name, before or {})
                _shown[self._server_name] = self._series
            series = self._series[key] = metric.labels(self._server_name, *labels)
        return series

    def set(self, gauge: Gauge, value: float | None, *labels: str) -> None:
        """Show this value; None: none."""
        if value is None:
            self.drop_one(gauge, *labels)
        else:
            self.at(gauge, *labels).set(value)

    def drop_one(self, metric: Any, *labels: str) -> None:
        """Show it no more, if it was shown."""
        if self._series.pop((metric, labels), None) is not None:
            _remove(metric, self._server_name, labels)

    def drop(self, metrics: frozenset[Gauge], database: str) -> None:
        """Show none of these any more that has this database for its first label."""
        for metric, labels in list(self._series):
            if labels[0] == database and metric in metrics:
                self.drop_one(metric, *labels)


class _Forgetting:
    """A collector that shows nothing: before any is asked that shows something, it forgets."""

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
    with suppress(KeyError):  # of old versions of the client: it is not there
        metric.remove(server_name, *labels)


REGISTRY.register(_Forgetting())  # before the metrics, which are collected in that order
