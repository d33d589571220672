"""Whole runs: repeatable, nothing lost, and known paces as computed by hand."""

import statistics

import attrs
import pytest
from synapse.storage.background_updates import BackgroundUpdatePerformance

from synapse_bgthrottle.core.config.limits import Adaptive, DutyCycle, FixedSleep, Pace
from testbed.simulation import loads
from testbed.simulation.model import ClientsModel, RequestKind, ServerModel, UpdateModel
from testbed.simulation.presets import (
    EVENT_RESIGN,
    EVENT_SEARCH,
    REALISTIC,
    SERVERS,
    STATE_KEYS,
    TWO_CORES,
)
from testbed.simulation.sizing import SynapseSizing
from testbed.simulation.world import World
from tests.model.runs import FIFTEEN, NOBODY, streams, world

UNTHROTTLED, STOCK = FixedSleep(0), FixedSleep(1000)


@pytest.mark.parametrize("server", SERVERS.values(), ids=SERVERS)
def test_same_seed_same_run(server: ServerModel) -> None:
    """A run can be repeated to the last bit, and another seed makes another one."""
    first, same, other = (
        world(EVENT_SEARCH, server=server, seed=seed).run(15) for seed in (1, 1, 2)
    )
    assert first == same
    assert first != other


@pytest.mark.parametrize("server", SERVERS.values(), ids=SERVERS)
def test_requests_are_conserved(server: ServerModel) -> None:
    """Every request that came was answered, once the load has ended."""
    clients = ClientsModel(kinds=REALISTIC, load=loads.step(20, 30, 0), long_polls=5)
    record = world(EVENT_RESIGN, server=server, clients=clients).run(60)
    assert 400 < record.arrivals == len(record.requests)


def test_same_requests_under_each_pace() -> None:
    """What runs beside them does not change which requests come."""
    paces: list[Pace] = [UNTHROTTLED, STOCK, Adaptive()]
    came = [
        sorted(r.came_s for r in world(EVENT_RESIGN, pace).run(40).requests if r.came_s < 30)
        for pace in paces
    ]
    assert came[0] == came[1] == came[2]


@pytest.mark.parametrize(
    ("expected", "pace"),
    [
        (1.0, UNTHROTTLED),
        (0.1 / 1.1, STOCK),
        (0.5, DutyCycle(0.5)),
        (0.25, DutyCycle(0.25)),
        (0.01, DutyCycle(0.01)),
    ],
    ids=["unthrottled", "stock", "50%", "25%", "1%"],
)
@pytest.mark.parametrize("clients", [NOBODY, FIFTEEN], ids=["idle", "fifteen"])
def test_shares_of_time(expected: float, pace: Pace, clients: ClientsModel) -> None:
    """Of the time, as much is spent in batches as the arithmetic of each pace says."""
    record = world(EVENT_SEARCH, pace, clients=clients).run(140)
    assert expected == pytest.approx(record.share_in_batches(20, 140), rel=0.12)


@pytest.mark.parametrize(
    ("update", "items_per_s", "slower"),
    [(EVENT_SEARCH, 9000, 1.83), (EVENT_RESIGN, 890, 1.95), (STATE_KEYS, 30900, 1.5)],
    ids=["event_search", "event_resign", "state keys"],
)
def test_calibration(update: UpdateModel, items_per_s: float, slower: float) -> None:
    """Unthrottled updates are as quick, and hurt as much, as on the server that was measured."""
    record = world(update, UNTHROTTLED).run(200)
    alone = World(TWO_CORES, FIFTEEN, streams(1)).run(200)
    assert items_per_s == pytest.approx(record.items(10, 200) / 190, rel=0.1)
    assert slower == pytest.approx(record.latencies().p50_s / alone.latencies().p50_s, rel=0.1)


def test_size_of_batches_is_synapses() -> None:
    """The law for batch sizes is that of Synapse's own class, over any course."""
    ours, theirs = SynapseSizing(), BackgroundUpdatePerformance("an_update")
    end_s = 0.0
    for number in range(200):
        rate = theirs.average_items_per_ms()
        expected = 100 if rate is None else max(int(70 * rate), 1)
        items = ours.next_items(70)
        assert expected == items
        begin_s, end_s = end_s + 0.01, end_s + 0.01 + items * (0.0001 + 0.00001 * (number % 13))
        ours.record(items, begin_s, end_s)
        theirs.update(items, int(end_s * 1000) - int(begin_s * 1000))


def test_end_of_an_update() -> None:
    """When all items are done the update is, and no item was done twice."""
    update = UpdateModel(database_s=1e-4, items=5000, dear_share=0.01, dear_factor=50)
    record = world(update, UNTHROTTLED, clients=NOBODY).run(60)
    assert record.finished_s is not None
    assert 5000 == sum(batch.items for batch in record.batches)
    assert 5000 * 1e-4 * 1.49 == pytest.approx(record.finished_s, rel=0.5)


def test_sqlite_keeps_everybody_out() -> None:
    """With one connection requests wait for the whole batch; with ten they need not."""
    update = UpdateModel(database_s=1e-4)
    shared, apart = (
        world(update, DutyCycle(0.25), server=ServerModel(cores=4, connections=connections))
        .run(100)
        .latencies()
        for connections in (1, 10)
    )
    assert 1.3 * apart.p50_s < shared.p50_s


def test_an_update_that_only_waits() -> None:
    """Its batches take as long, and nobody is slower until it begins to work."""
    update = attrs.evolve(EVENT_SEARCH, works_from_s=100.0)
    record = world(update, UNTHROTTLED).run(200)
    alone = World(TWO_CORES, FIFTEEN, streams(1)).run(200)
    slower = [
        record.latencies(*span).geometric_mean_s / alone.latencies(*span).geometric_mean_s
        for span in ((0, 100), (105, 200))
    ]
    assert 1.0 == pytest.approx(slower[0], abs=0.03)
    assert 1.3 < slower[1]
    assert 0.98 < record.share_in_batches(5, 100)


def test_kinds_vary_by_their_shape() -> None:
    """The mean stays; the greater the shape, the less requests of one kind differ."""
    means, variances = [], []
    for shape in (1, 3):
        kind = RequestKind(name="one", reactor_s=0.01, shape=shape)
        clients = ClientsModel(kinds=(kind,), load=loads.steady(1))
        found = World(TWO_CORES, clients, streams(1)).run(3000).requests
        means.append(statistics.fmean(request.latency_s for request in found))
        variances.append(statistics.variance(request.latency_s for request in found))
    assert means[0] == pytest.approx(means[1], rel=0.1)
    assert 3 == pytest.approx(variances[0] / variances[1], rel=0.3)
