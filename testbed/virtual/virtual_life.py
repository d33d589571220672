"""Lives of servers in virtual time: configurations, failures, clients, an update."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import attrs
from prometheus_client import CollectorRegistry, Counter, Histogram

from testbed.virtual.outages import Full, Gone, Outage, Refusing, Silent
from testbed.virtual.server import VirtualServer, Work

_MARGIN_S = 2.0
# The wait after a second batch that found the disk full.
_SECOND_FAILURE_S = 60.0
# What an item of 1 ms takes with stock Synapse, and how many of them count as no time.
_STOCK_ITEM_S = 0.011
_FEW_ITEMS = 300
# For lives in which an error prevents the first restart after an abort.
_SECOND_RESTART_S = 130.0


@attrs.frozen
class Kind:
    """A kind of life.

    Attributes:
        config: the module's.
        postgres: whether the database looks like PostgreSQL.
        clients_s: for how many seconds there are clients, from the start.
        items: how many items the first update has, of 1 ms each.
        failures: how many of the first batches fail.
        outages: of the database. Injected errors start with the first one.
        tries_all: whether calls that failed in earlier lives fail here, too.
        aborts: whether Synapse gives up, so that the module must restart updates.
    """

    config: dict[str, Any]
    postgres: bool = False
    clients_s: int = 0
    items: int = _FEW_ITEMS
    failures: int = 0
    outages: tuple[Outage, ...] = ()
    tries_all: bool = False
    aborts: bool = False

    @property
    def from_s(self) -> int:
        """Seconds since the start from which errors are injected."""
        return min((outage.from_s for outage in self.outages), default=0)

    def most_failed(self, errors: int) -> int:
        """How many batches may fail with so many injected errors.

        An outage fails the batch in which it begins, and one more if an injected error hides it.
        """
        return self.failures + len(self.outages) + min(errors, len(self.outages))

    @property
    def latest_s(self) -> float:
        """How much later than with stock Synapse everything may be done after an injected error."""
        late_s = _SECOND_FAILURE_S if self.outages else 0.0
        late_s += (self.items - _FEW_ITEMS) * _STOCK_ITEM_S
        return _MARGIN_S + late_s + (_SECOND_RESTART_S if self.aborts else 0.0)

    def meanwhile(self, server: VirtualServer, at_s: int) -> None:
        """Begin or end the outages that are due at this second."""
        pool = server.pools["master"]
        for outage in self.outages:
            if at_s == outage.from_s:
                outage.begin(pool)
            elif at_s == outage.until_s:
                outage.end(pool)


KINDS = (
    Kind({}, clients_s=12),
    # What only PostgreSQL is asked. First without an approval, which could not be stored.
    Kind({}, postgres=True),
    Kind(
        {"duty_cycle": "20%", "max_batch_size": 60, "rules": [{"update": "built", "sleep": "1ms"}]},
        failures=2,
    ),
    Kind(
        {
            "max_items_per_second": 1000,
            "rules": [{"update": "e*", "windows": [{"start": "00:00", "end": "23:00"}]}],
            "signals": {
                "disk_free": {"path": "/", "threshold": "1kB"},
                "pause_file": "/nonexistent",
                "http": "http://localhost/",
                "sql": {"query": "SELECT 0", "threshold": 5},
            },
        },
    ),
    Kind(
        {
            "time_zone": "UTC",
            "rules": [
                {"update": "built", "approval": "required"},
                {"update": "more", "windows": [{"start": "00:01", "end": "23:00"}]},
            ],
            "signals": {"disk_free": {"threshold": "1kB"}, "replica_lag": "10s"},
        },
        postgres=True,
        clients_s=12,
        failures=1,
    ),
    # Long enough to learn from experiments what the update costs clients.
    Kind({}, clients_s=60, items=15_000),
    # Five failures in a row, after which Synapse gives up.
    Kind({"restart_aborted": "1m"}, failures=5, aborts=True),
    # Long enough for a budget that is no longer read to hold the rest.
    Kind(
        {
            "sleep": "8s",
            "max_batch_size": 60,
            "signals": {"disk_free": {"path": "/", "threshold": "1kB"}},
        },
        tries_all=True,
    ),
    Kind({"sleep": "900ms"}, postgres=True, outages=(Silent(1, 4),), tries_all=True),
    Kind({"duty_cycle": "5%"}, outages=(Gone(0, 2), Refusing(4, 7), Gone(13, 16)), tries_all=True),
    Kind({"duty_cycle": "10%", "max_batch_size": 60}, outages=(Full(1, 8),), tries_all=True),
    Kind(
        {"duty_cycle": "10%"},
        postgres=True,
        outages=(Full(1, 8), Gone(10, 13)),
        tries_all=True,
    ),
)


class Walk(Work):
    """An update with progress: `event_resign`, along the events."""

    def __init__(self, server: VirtualServer, total_items: int) -> None:
        super().__init__(server, total_items, cost_ms=1)
        self._total_items = total_items
        connection = server.pools["master"].connection
        connection.execute("CREATE TABLE events (stream_ordering INTEGER PRIMARY KEY)")
        rows = [(number,) for number in range(1, total_items + 1)]
        connection.executemany("INSERT INTO events VALUES (?)", rows)

    async def __call__(self, progress: dict[str, Any], batch_size: int) -> int:
        done = await super().__call__(progress, batch_size)
        connection = self._server.pools[self.database].connection
        connection.execute(
            "UPDATE background_updates SET progress_json = ? WHERE update_name = 'event_resign'",
            (json.dumps({"last_stream_pos": self._total_items - self.left_items}),),
        )
        return done


class Clients:
    """Clients' requests, in progress and answered.

    Attributes:
        are_there: whether there are clients now.
    """

    def __init__(self, server: VirtualServer) -> None:
        self._server = server
        self.are_there = False
        labels = ("method", "servlet", "tag", "server_name")
        self._registry = CollectorRegistry()
        name = "synapse_http_server_response"
        self._count = Counter(f"{name}_count", "", labels, registry=self._registry)
        self._time = Histogram(
            f"{name}_time_seconds", "", (*labels, "code"), registry=self._registry
        )

    @contextmanager
    def there(self) -> "Iterator[Clients]":
        """Make the module see these clients only."""
        metrics = "synapse_bgthrottle.homeserver.internals.synapse_metrics.ServerMetrics"
        of_these = f"{metrics}.__init__.__defaults__"
        with (
            patch("synapse_bgthrottle.homeserver.internals.server._requests", self),
            patch(of_these, (self._registry,)),
        ):
            yield self

    def __len__(self) -> int:
        return int(self.are_there)

    def __iter__(self) -> Iterator[Any]:
        if self.are_there:
            yield SimpleNamespace(start_ts=self._server.clock.time(), name="RoomSendServlet")

    def answered(self) -> None:
        """Answer half a second's requests, if there are clients."""
        if self.are_there:
            labels = ("PUT", "RoomSendServlet", "", "virtual.test")
            self._count.labels(*labels).inc(5)
            for _ in range(5):
                self._time.labels(*labels, "200").observe(0.01)
