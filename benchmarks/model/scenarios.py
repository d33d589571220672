"""What laws are compared on: modelled servers, their clients, and an update."""

from __future__ import annotations

import math

import attrs

from testbed.simulation import loads
from testbed.simulation.model import ClientsModel, RequestKind, ServerModel, UpdateModel
from testbed.simulation.presets import (
    AS_MEASURED,
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


def _quicker(kind: RequestKind, factor: float) -> RequestKind:
    return attrs.evolve(
        kind,
        reactor_s=kind.reactor_s * factor,
        thread_s=kind.thread_s * factor,
        database_s=kind.database_s * factor,
    )


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

# When the update of that cell turns harmful.
LATE_S = 600.0

# 34 requests/s as long as these would saturate the model: so they are shorter.
_QUICKER = tuple(_quicker(kind, 0.45) for kind in AS_MEASURED)


def _varied(load: loads.Load) -> ClientsModel:
    return ClientsModel(kinds=AS_MEASURED, load=load)


_STEADY = _varied(loads.steady(15))
_THIRTY_FOUR = ClientsModel(kinds=_QUICKER, load=loads.steady(34))
_LIGHT_ONES = attrs.evolve(_LIGHT, kinds=tuple(attrs.evolve(kind, shape=3) for kind in LIGHT))
_MORE_CORES = attrs.evolve(TWO_CORES, cores=2.2)
_WAITS = attrs.evolve(EVENT_SEARCH, works_from_s=math.inf)
_TURNS = attrs.evolve(EVENT_SEARCH, works_from_s=LATE_S)
_DEAR = attrs.evolve(EVENT_SEARCH, overhead_thread_s=0.004, overhead_database_s=0.006)

# What the scorecard has.
CELLS = (
    Scenario("harmless: only waits", TWO_CORES, _STEADY, _WAITS),
    Scenario("spare cores, state keys", SPARE_CORES, _STEADY, STATE_KEYS),
    Scenario("workers, `event_search`", WORKERS, _STEADY, EVENT_SEARCH),
    Scenario("small harm, state keys", _MORE_CORES, _STEADY, STATE_KEYS),
    Scenario("`event_search`", TWO_CORES, _STEADY, EVENT_SEARCH),
    Scenario("`event_resign`", TWO_CORES, _STEADY, EVENT_RESIGN),
    Scenario("state keys", TWO_CORES, _STEADY, STATE_KEYS),
    Scenario("SQLite, `event_search`", SQLITE, _STEADY, EVENT_SEARCH),
    Scenario("60 light requests/s, `event_resign`", TWO_CORES, _LIGHT_ONES, EVENT_RESIGN),
    Scenario("34 requests/s, 10 ms a batch", TWO_CORES, _THIRTY_FOUR, _DEAR),
    Scenario("34 requests/s, `event_resign`", TWO_CORES, _THIRTY_FOUR, EVENT_RESIGN),
    Scenario("near saturation, `event_search`", TWO_CORES, _varied(loads.steady(30)), EVENT_SEARCH),
    Scenario("bursts, `event_search`", TWO_CORES, _varied(loads.bursts(40, 1, 25)), EVENT_SEARCH),
    Scenario("idle, `event_search`", TWO_CORES, _varied(loads.steady(0)), EVENT_SEARCH),
    Scenario("harm that comes late", TWO_CORES, _STEADY, _TURNS),
)
