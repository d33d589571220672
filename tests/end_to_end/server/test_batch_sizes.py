"""Sizes of batches on real servers, of updates that are not as cheap as they should be."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest

from testbed.faults.misbehaving_updates import MODULE as ODD_MODULE
from testbed.faults.misbehaving_updates import TABLE, Oddity
from testbed.faults.misbehaving_worlds import OddSource
from testbed.faults.restarts import API
from testbed.observe import batch_log
from testbed.servers.matrix import MatrixClient
from testbed.servers.server import MODULE, SynapseServer
from testbed.waiting import wait_until

_FIXED_S, _ITEM_S = 0.5, 0.0002
_LONGEST_S = {"postgres": 2.0, "sqlite": 1.0}


@attrs.frozen
class _Running:
    """A server that works on an odd update, and on nothing else that counts."""

    synapse: SynapseServer
    admin: MatrixClient

    @property
    def first_database(self) -> Any:
        """What the status says of it."""
        return self.admin.call("GET", f"{API}/status")["databases"][0]

    @property
    def learned(self) -> list[str]:
        """What is known of the update under way; empty: none is under way."""
        current = self.first_database["current"]
        return list(current["learned"]) if current else []

    def to_the_end(self) -> list[batch_log.Batch]:
        """Each batch, once nothing is pending."""
        wait_until(lambda: self.first_database["pending"] == [])
        return batch_log.batches(self.synapse.log(), "odd")


@pytest.fixture(params=["postgres", "sqlite"])
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def running(engine: str, request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Oddity], Any]:
    """Starts a server with this update pending, on either database, with nothing configured."""

    @contextmanager
    def on_postgres(odd: Oddity) -> Iterator[_Running]:
        source: OddSource = request.getfixturevalue("odd_source")
        name = request.node.name.split("[")[0]
        world = source.world(tmp_path, name, {}, (odd,))
        with world.server:
            yield _Running(world.server, world.admin)
        assert 0 == world.wrong()

    @contextmanager
    def on_sqlite(odd: Oddity) -> Iterator[_Running]:
        modules = [
            {"module": MODULE, "config": {}},
            {"module": ODD_MODULE, "config": {"updates": [attrs.asdict(odd)]}},
        ]
        server = request.getfixturevalue("make_server")(None, {"modules": modules})
        with closing(sqlite3.connect(server.synapse.database_path)) as database, database:
            database.execute(TABLE)
            database.execute(odd.queue_sql(1))
        with server.synapse:
            yield _Running(server.synapse, server.admin)

    return on_postgres if engine == "postgres" else on_sqlite


def test_fixed_cost_makes_batches_longer(running: Callable[[Oddity], Any], engine: str) -> None:
    """With 0.5 s a batch, at least half of the best fixed size's speed; the status tells why."""
    odd = Oddity("odd", 30_000, cost_ms=_ITEM_S * 1000, fixed_ms=_FIXED_S * 1000)
    with running(odd) as server:
        told = "whatever its size"
        wait_until(lambda: any(told in line for line in server.learned))
        batches = server.to_the_end()
    items, took_s = sum(each.items for each in batches), sum(each.took_s for each in batches)
    assert odd.items == items
    # An item also costs its row, and on a busy machine more than on a quiet one.
    item_s = (took_s - _FIXED_S * len(batches)) / items
    longest_s = _LONGEST_S[engine]
    best = (longest_s - _FIXED_S) / item_s / longest_s
    assert 0.5 * best < items / took_s
    assert _FIXED_S + _ITEM_S * max(each.size for each in batches) < 1.1 * longest_s


def test_dear_update_begins_with_one_item(running: Callable[[Oddity], Any]) -> None:
    """With 1.5 s an item, no batch has two: a hundred would keep SQLite's lock for minutes."""
    with running(Oddity("odd", 4, cost_ms=1500)) as server:
        assert [1, 1, 1, 1] == [batch.size for batch in server.to_the_end()]


def test_cheap_update_grows(running: Callable[[Oddity], Any]) -> None:
    """It begins with one item too, and most of its items are in batches of hundreds."""
    with running(Oddity("odd", 20_000, cost_ms=0.005)) as server:
        sizes = [batch.size for batch in server.to_the_end()]
    assert 1 == sizes[0]
    assert sum(size for size in sizes if size >= 100) > 10_000
