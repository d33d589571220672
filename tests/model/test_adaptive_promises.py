"""The promises of the adaptive pace, on the modelled server."""

import math
from functools import cache

import pytest

from synapse_bgthrottle.core.config.limits import Adaptive, FixedSleep, Pace
from testbed.simulation import faults, loads
from testbed.simulation.model import ClientsModel, RequestKind, ServerModel, UpdateModel
from testbed.simulation.presets import (
    AS_MEASURED,
    EVENT_RESIGN,
    EVENT_SEARCH,
    REALISTIC,
    SERVERS,
    SPARE_CORES,
    TWO_CORES,
    UPDATES,
)
from testbed.simulation.world import World
from tests.model.runs import NOBODY, streams, throttle, world

FAULTS = {
    "lost": faults.lost,
    "blind": faults.blind,
    "zero": faults.lying(0.0),
    "negative": faults.lying(-1.0),
    "huge": faults.lying(1e300),
    "nan": faults.lying(math.nan),
    "inf": faults.lying(math.inf),
    "flapping": faults.flapping(3),
    "flapping slowly": faults.flapping(40),
    "late": faults.delayed(8),
}


@cache
def alone_s(kinds: tuple[RequestKind, ...], seed: int, end_s: float) -> float:
    """Clients' mean latency from the second minute on without an update, 15 requests a second."""
    clients = ClientsModel(kinds=kinds, load=loads.steady(15))
    return World(TWO_CORES, clients, streams(seed)).run(end_s).latencies(60).geometric_mean_s


@pytest.mark.parametrize("update", UPDATES.values(), ids=UPDATES)
def test_idle(update: UpdateModel) -> None:
    """While nobody is there, 0.95 of the time and more is work."""
    assert 0.95 < world(update, clients=NOBODY).run(30).share_in_batches(1, 30)


@pytest.mark.parametrize("fault", [*FAULTS.values(), faults.frozen()], ids=[*FAULTS, "frozen"])
def test_faulty_signals(fault: faults.Fault) -> None:
    """Whatever signals say or leave out, nothing raises, and updates go on at 1 % and more."""
    clients = ClientsModel(kinds=REALISTIC, load=loads.bursts(20, 2, 25), long_polls=20)
    made = throttle(Adaptive())
    run = World(TWO_CORES, clients, streams(5), EVENT_SEARCH, made, fault=fault)
    record = run.run(60)
    assert 0.0085 < record.share_in_batches(0, 60)


@pytest.mark.parametrize("server", SERVERS.values(), ids=SERVERS)
@pytest.mark.parametrize("rate_per_s", [15, 32])
def test_never_below_the_floor(server: ServerModel, rate_per_s: float) -> None:
    """On a server that is nearly saturated too, a hundredth of the time is work."""
    clients = ClientsModel(kinds=REALISTIC, load=loads.steady(rate_per_s))
    record = world(EVENT_RESIGN, server=server, clients=clients).run(120)
    assert 0.0085 < record.share_in_batches(0, 120)


def test_tenfold_cost() -> None:
    """When items become ten times as dear, batches are within twice the target from the third."""
    update = UpdateModel(database_s=50e-6, cost_factor=lambda now_s: 10.0 if now_s >= 30 else 1.0)
    record = world(update, clients=NOBODY).run(60)
    after = [batch for batch in record.batches if batch.begin_s >= 30][:30]
    assert 500 < after[0].took_s * 1000
    assert 200 > max(batch.took_s * 1000 for batch in after[2:])


def test_load_comes() -> None:
    """When clients come to an idle server, the pace is half within a second."""
    clients = ClientsModel(kinds=REALISTIC, load=loads.step(60, 0, 25))
    for seed in range(3):
        record = world(EVENT_SEARCH, clients=clients, seed=seed).run(75)
        came_s = min(request.came_s for request in record.requests)
        assert 0.9 < record.share_in_batches(50, 60)
        assert 0.5 > record.share_in_batches(came_s, came_s + 1)
        assert 0.5 > record.share_in_batches(came_s + 1, came_s + 11)


def test_load_goes() -> None:
    """When the last client has gone, batches take all of the time again within five seconds."""
    clients = ClientsModel(kinds=REALISTIC, load=loads.step(60, 25, 0))
    for seed in range(3):
        record = world(EVENT_SEARCH, clients=clients, seed=seed).run(80)
        gone_s = max(request.came_s for request in record.requests)
        assert 0.9 < record.share_in_batches(gone_s + 6, 80)


@pytest.mark.parametrize(
    ("update", "most"),
    [(EVENT_SEARCH, 1.08), (EVENT_RESIGN, 1.1)],
    ids=["event_search", "event_resign"],
)
def test_harm_is_bounded(update: UpdateModel, most: float) -> None:
    """Balanced, clients are hardly slower where unthrottled makes them slower by 0.7 and up.

    In the mean of some runs: early experiments may be lucky or unlucky.
    """
    slower = []
    for seed in (1, 2, 3, 4):
        record = world(update, seed=seed).run(300)
        slower.append(record.latencies(60).geometric_mean_s / alone_s(REALISTIC, seed, 300))
        assert 0.03 < record.share_in_batches(60, 300)
    assert most > sum(slower) / len(slower)
    assert 1.2 > max(slower)


def test_profiles_are_in_order() -> None:
    """From gentle to finish, each profile is quicker than the one before, in the sum of some runs.

    In a single one of two minutes the first experiments may be lucky or unlucky.
    """
    items = [
        sum(world(EVENT_SEARCH, profile=p, seed=seed).run(100).items(60, 100) for seed in range(4))
        for p in ("gentle", "balanced", "fast", "finish")
    ]
    assert items == sorted(items)


def test_quick_where_it_harms_nobody() -> None:
    """On spare cores, an update that clients do not feel has most of the time within minutes.

    In the mean of some runs: early experiments may be lucky or unlucky.
    """
    update = UpdateModel(database_s=1e-4)  # on another machine, with cores to spare
    records = [world(update, server=SPARE_CORES, seed=seed).run(300) for seed in range(1, 9)]
    shares = [record.share_in_batches(120, 300) for record in records]
    assert 0.65 < sum(shares) / len(shares)
    assert 0.25 < min(shares)


def test_finding_out_is_bounded() -> None:
    """In its first minute a harmful update slows clients by some percent, and never by a third."""
    clients = ClientsModel(kinds=REALISTIC, load=loads.steady(15))
    slower = []
    for seed in range(1, 5):
        alone = World(TWO_CORES, clients, streams(seed)).run(60).latencies()
        record = world(EVENT_SEARCH, seed=seed).run(60)
        slower.append(record.latencies().geometric_mean_s / alone.geometric_mean_s)
    assert 1.15 > sum(slower) / len(slower)
    assert 1.3 > max(slower)


@pytest.mark.parametrize("update", UPDATES.values(), ids=UPDATES)
def test_cheaper_than_stock(update: UpdateModel) -> None:
    """After a minute, balanced does more than stock, and each item costs clients less.

    Requests vary as on a real server: what an experiment tells depends on that.
    """
    clients = ClientsModel(kinds=AS_MEASURED, load=loads.steady(15))
    items, slower = [0.0, 0.0], [0.0, 0.0]
    for seed in (1, 2, 3):
        paces: tuple[Pace, Pace] = (FixedSleep(1000), Adaptive())
        for number, pace in enumerate(paces):
            record = world(update, pace, clients=clients, seed=seed).run(240)
            items[number] += record.items(60, 240)
            mean_s = record.latencies(60).geometric_mean_s
            slower[number] += (mean_s / alone_s(AS_MEASURED, seed, 240) - 1) / 3
    assert items[1] > 1.1 * items[0]
    assert slower[1] / items[1] < slower[0] / items[0]
    assert 0.1 > slower[1]
