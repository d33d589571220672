"""Runs of the modelled server for the tests of this folder."""

from __future__ import annotations

import random
from collections.abc import Callable

from synapse_bgthrottle.core.config.limits import Adaptive, Pace, Settings
from synapse_bgthrottle.core.config.parser import Config
from synapse_bgthrottle.core.scheduling.state import Facts
from synapse_bgthrottle.core.scheduling.throttle import Throttle
from testbed.simulation import loads
from testbed.simulation.model import ClientsModel, ServerModel, Streams, UpdateModel
from testbed.simulation.presets import REALISTIC, TWO_CORES
from testbed.simulation.world import World

NOBODY = ClientsModel(kinds=REALISTIC, load=loads.steady(0.0))
FIFTEEN = ClientsModel(kinds=REALISTIC, load=loads.steady(15.0))


def streams(seed: int) -> Streams:
    """Independent sources of chance by name, the same for the same seed."""

    def stream(name: str) -> Callable[[], float]:
        return random.Random(f"{seed} {name}").random

    return stream


def throttle(pace: Pace, server: ServerModel = TWO_CORES, profile: str | None = None) -> Throttle:
    """The real decision code, with the facts of this server."""
    facts = Facts(
        cores=round(server.cores),
        sees_requests=not server.clients_elsewhere,
        sqlite_databases=frozenset({"master"} if server.connections == 1 else ()),
    )
    return Throttle(Config(Settings(pace=pace, profile=profile)), Settings(), facts)


def world(
    update: UpdateModel,
    pace: Pace | None = None,
    *,
    server: ServerModel = TWO_CORES,
    clients: ClientsModel = FIFTEEN,
    seed: int = 1,
    profile: str | None = None,
) -> World:
    """A server with clients and this update; adaptive unless said otherwise."""
    made = throttle(pace or Adaptive(), server, profile)
    return World(server, clients, streams(seed), update, made)
