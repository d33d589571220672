"""One run of a pace on a modelled server; every command of this folder makes the same ones."""

from __future__ import annotations

import functools
import random
from collections.abc import Callable

from benchmarks.model.other_laws import OTHER_LAWS, OtherLaw
from benchmarks.model.scenarios import Scenario
from synapse_bgthrottle.core.config.limits import Adaptive, DutyCycle, FixedSleep, Settings
from synapse_bgthrottle.core.config.parser import Config
from synapse_bgthrottle.core.scheduling.state import Facts
from synapse_bgthrottle.core.scheduling.throttle import Throttle
from testbed.simulation.model import ServerModel, Streams
from testbed.simulation.record import Record
from testbed.simulation.updater import Decider
from testbed.simulation.world import World

SETTINGS = {
    "unthrottled": Settings(pace=FixedSleep(0)),
    "stock": Settings(pace=FixedSleep(1000)),
    "nice": Settings(pace=DutyCycle(0.5)),
    "25%": Settings(pace=DutyCycle(0.25)),
    "10%": Settings(pace=DutyCycle(0.1)),
    "gentle": Settings(pace=Adaptive(), profile="gentle"),
    "balanced": Settings(pace=Adaptive(), profile="balanced"),
    "fast": Settings(pace=Adaptive(), profile="fast"),
}


@functools.lru_cache(maxsize=2)
def alone(scenario: Scenario, seed: int, end_s: float) -> Record:
    """The same clients without an update."""
    return World(scenario.server, scenario.clients, _streams(seed)).run(end_s)


def run(scenario: Scenario, law: str, seed: int, end_s: float) -> Record:
    """The update, at this pace."""
    streams, throttle = _streams(seed), _decider(law, scenario.server)
    world = World(scenario.server, scenario.clients, streams, scenario.update, throttle)
    return world.run(end_s)


def _decider(law: str, server: ServerModel) -> Decider:
    if law in OTHER_LAWS:
        return OtherLaw.on(OTHER_LAWS[law](), server)
    facts = Facts(
        cores=round(server.cores),
        sees_requests=not server.clients_elsewhere,
        sqlite_databases=frozenset({"master"} if server.connections == 1 else ()),
    )
    return Throttle(Config(SETTINGS[law]), Settings(), facts)


def _streams(seed: int) -> Streams:
    def stream(name: str) -> Callable[[], float]:
        return random.Random(f"{seed} {name}").random

    return stream
