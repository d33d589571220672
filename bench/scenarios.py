"""What laws are compared on: modelled servers, their clients, and an update."""

from __future__ import annotations

import attrs

from testbed.simulation import loads
from testbed.simulation.model import ClientsModel, ServerModel, UpdateModel
from testbed.simulation.presets import (
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
_BURSTS = _clients(loads.bursts(40, 1, 25))
_LIGHT = ClientsModel(kinds=LIGHT, load=loads.steady(60))

SCENARIOS = (
    Scenario("idle, `event_search`", TWO_CORES, _clients(loads.steady(0)), EVENT_SEARCH),
    Scenario("30 long polls, the same", TWO_CORES, _clients(loads.steady(0), 30), EVENT_SEARCH),
    Scenario("15 requests/s, the same", TWO_CORES, _FIFTEEN, EVENT_SEARCH),
    Scenario("15 requests/s, `event_resign`", TWO_CORES, _FIFTEEN, EVENT_RESIGN),
    Scenario("15 requests/s, state keys", TWO_CORES, _FIFTEEN, STATE_KEYS),
    Scenario("bursts of 25 requests/s, `event_search`", TWO_CORES, _BURSTS, EVENT_SEARCH),
    Scenario("60 light requests/s, `event_resign`", TWO_CORES, _LIGHT, EVENT_RESIGN),
    Scenario("15 requests/s, SQLite, `event_search`", SQLITE, _FIFTEEN, EVENT_SEARCH),
    Scenario("15 requests/s, spare cores, state keys", SPARE_CORES, _FIFTEEN, STATE_KEYS),
    Scenario("15 requests/s, workers, `event_search`", WORKERS, _FIFTEEN, EVENT_SEARCH),
)
