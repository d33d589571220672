"""`make bench-laws`: paces on a modelled server, in virtual time; the same figures each time.

Not a measurement: the model is calibrated by one (`docs/benchmarks.md`), so trust the order of the
paces and not their digits. `--endurance` tries a million iterations instead.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable

import attrs

from synapse_bgthrottle.config import Config
from synapse_bgthrottle.limits import Adaptive, DutyCycle, FixedSleep, Settings
from synapse_bgthrottle.simulation import loads
from synapse_bgthrottle.simulation.endurance import longest_wait_s
from synapse_bgthrottle.simulation.model import ClientsModel, ServerModel, Streams, UpdateModel
from synapse_bgthrottle.simulation.presets import (
    EVENT_RESIGN,
    EVENT_SEARCH,
    LIGHT,
    REALISTIC,
    SPARE_CORES,
    SQLITE,
    STATE_KEYS,
    TWO_CORES,
    WORKERS,
)
from synapse_bgthrottle.simulation.record import Record
from synapse_bgthrottle.simulation.world import World
from synapse_bgthrottle.state import Facts
from synapse_bgthrottle.throttle import Throttle

_ITERATIONS = 1_000_000

_LAWS = {
    "unthrottled": Settings(pace=FixedSleep(0)),
    "stock": Settings(pace=FixedSleep(1000)),
    "nice": Settings(pace=DutyCycle(0.5)),
    "25%": Settings(pace=DutyCycle(0.25)),
    "10%": Settings(pace=DutyCycle(0.1)),
    "gentle": Settings(pace=Adaptive(), profile="gentle"),
    "balanced": Settings(pace=Adaptive(), profile="balanced"),
    "fast": Settings(pace=Adaptive(), profile="fast"),
}


@attrs.frozen
class Scenario:
    """A server, its clients and an update."""

    title: str
    server: ServerModel
    clients: ClientsModel
    update: UpdateModel


def _clients(load: loads.Load, long_polls: int = 0) -> ClientsModel:
    return ClientsModel(kinds=REALISTIC, load=load, long_polls=long_polls)


_FIFTEEN = _clients(loads.steady(15))
_SCENARIOS = (
    Scenario("idle", TWO_CORES, _clients(loads.steady(0)), EVENT_SEARCH),
    Scenario("30 long polls", TWO_CORES, _clients(loads.steady(0), 30), EVENT_SEARCH),
    Scenario("realistic", TWO_CORES, _FIFTEEN, EVENT_SEARCH),
    Scenario("realistic", TWO_CORES, _FIFTEEN, EVENT_RESIGN),
    Scenario("realistic", TWO_CORES, _FIFTEEN, STATE_KEYS),
    Scenario("bursts of 25/s", TWO_CORES, _clients(loads.bursts(40, 1, 25)), EVENT_SEARCH),
    Scenario(
        "light, 60/s", TWO_CORES, ClientsModel(kinds=LIGHT, load=loads.steady(60)), EVENT_RESIGN
    ),
    Scenario("realistic, SQLite", SQLITE, _FIFTEEN, EVENT_SEARCH),
    Scenario("realistic, spare cores", SPARE_CORES, _FIFTEEN, STATE_KEYS),
    Scenario("realistic, workers", WORKERS, _FIFTEEN, EVENT_SEARCH),
)


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=300.0, help="of virtual time, each run")
    parser.add_argument("--discarded", type=float, default=60.0, help="at the start of each run")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--endurance", action="store_true", help="a million iterations")
    arguments = parser.parse_args()
    if arguments.endurance:
        waited_s = longest_wait_s(
            _throttle(_LAWS["balanced"], TWO_CORES), _ITERATIONS, random.Random(1).random
        )
        print(f"{_ITERATIONS} iterations, the longest wait of one: {waited_s:.1f} s")
        return
    for scenario in _SCENARIOS:
        _table(scenario, arguments.seed, arguments.discarded, arguments.seconds)


def _table(scenario: Scenario, seed: int, begin_s: float, end_s: float) -> None:
    print(f"\n{scenario.update.name}, {scenario.title}\n")
    print("| pace | items/s | of unthrottled | share of time | p50 | p95 | geometric mean |")
    print("|---|---|---|---|---|---|---|")
    alone = _run(scenario, None, seed, end_s).latencies(begin_s)
    most = 0.0
    for name, law in _LAWS.items():
        record = _run(scenario, law, seed, end_s)
        rate = record.items(begin_s, end_s) / (end_s - begin_s)
        most = most or rate
        found = record.latencies(begin_s)
        share = record.share_in_batches(begin_s, end_s)
        slower = " | | |"
        if alone.count:
            slower = (
                f" {found.p50_s / alone.p50_s:.2f} | {found.p95_s / alone.p95_s:.2f}"
                f" | {found.geometric_mean_s / alone.geometric_mean_s:.2f} |"
            )
        print(f"| {name} | {rate:.0f} | {rate / most:.2f} | {share:.0%} |{slower}", flush=True)


def _run(scenario: Scenario, law: Settings | None, seed: int, end_s: float) -> Record:
    throttle = None if law is None else _throttle(law, scenario.server)
    world = World(scenario.server, scenario.clients, _streams(seed), scenario.update, throttle)
    return world.run(end_s)


def _throttle(law: Settings, server: ServerModel) -> Throttle:
    facts = Facts(
        cores=round(server.cores),
        sees_requests=not server.clients_elsewhere,
        sqlite_databases=frozenset({"master"} if server.connections == 1 else ()),
    )
    return Throttle(Config(law), Settings(), facts)


def _streams(seed: int) -> Streams:
    def stream(name: str) -> Callable[[], float]:
        return random.Random(f"{seed} {name}").random

    return stream


if __name__ == "__main__":
    main()
