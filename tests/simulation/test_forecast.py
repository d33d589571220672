"""The forecast against the whole simulation, where that is small enough to be run."""

import random
import time
from collections.abc import Callable
from typing import Any

import pytest

from synapse_bgthrottle.config import parse
from synapse_bgthrottle.forecast.forecasting import Question, forecast
from synapse_bgthrottle.forecast.job import Job
from synapse_bgthrottle.forecast.stretch import PEAK_PER_S
from synapse_bgthrottle.forecast.week import HOURS, WeeklyLoad, flat, office
from synapse_bgthrottle.limits import Settings
from synapse_bgthrottle.state import Facts
from synapse_bgthrottle.throttle import Throttle
from testbed.simulation.loads import Load
from testbed.simulation.model import ClientsModel, Streams, UpdateModel
from testbed.simulation.presets import REALISTIC, TWO_CORES
from testbed.simulation.record import Record
from testbed.simulation.world import World
from tests.simulation.runs import streams

pytestmark = pytest.mark.figures

# Monday 2026-01-05, 09:45 UTC.
START_S = 1_767_606_300.0
UPDATE = "event_search"

# From 10:00 on there are clients; until then nobody.
COMING = WeeklyLoad("coming", tuple(float(hour % 24 >= 10) for hour in range(HOURS)))
TWO_WINDOWS = [{"start": "09:50", "end": "10:05"}, {"start": "10:15", "end": "12:00"}]


def seeds(number: int) -> Streams:
    def stream(name: str) -> Callable[[], float]:
        return random.Random(f"forecast {number} {name}").random

    return stream


def simulated(raw: dict[str, Any], load: WeeklyLoad, items: float, seed: int) -> Record:
    """All of it, batch by batch and request by request."""
    config = parse(raw)
    update = UpdateModel(name=UPDATE, thread_s=1e-4, database_s=1e-4, items=items)
    most_per_s = load.most and PEAK_PER_S

    def per_s(now_s: float) -> float:
        return load.level(START_S + now_s) * PEAK_PER_S

    clients = ClientsModel(kinds=REALISTIC, load=Load(most_per_s, per_s))
    throttle = Throttle(config, Settings(), Facts(cores=2))
    world = World(TWO_CORES, clients, streams(seed), update, throttle, wall_s=START_S)
    for end_s in range(300, 4 * 3600, 300):
        if world.run(end_s).finished_s is not None:
            break
    return world.record


def foretold(raw: dict[str, Any], load: WeeklyLoad, items: float, per_batch_s: float) -> Any:
    """The present configuration's part of the forecast."""
    question = Question(
        jobs=(Job(update=UPDATE, items=items, per_batch_s=per_batch_s),),
        config=parse(raw),
        load=load,
        server=TWO_CORES,
        start_s=START_S,
        seeds=seeds,
        only=("present",),
    )
    return forecast(question).best


@pytest.mark.parametrize(
    ("raw", "load", "items", "error"),
    [
        ({"duty_cycle": "25%", "windows": TWO_WINDOWS}, COMING, 1_000_000, 0.03),
        (
            {"sleep": 0, "max_items_per_second": 800, "windows": TWO_WINDOWS},
            COMING,
            1_000_000,
            0.03,
        ),
        ({"sleep": "1s"}, COMING, 600_000, 0.03),
        ({"profile": "finish", "windows": TWO_WINDOWS}, COMING, 6_000_000, 0.03),
        ({"duty_cycle": "20%", "max_hold": "2m", "windows": [TWO_WINDOWS[1]]}, COMING, 1e5, 0.06),
        ({}, flat(value=0.0), 4_000_000, 0.03),
    ],
    ids=["duty cycle", "items per second", "sleep", "finish", "let go", "adaptive, idle"],
)
def test_agrees_with_the_whole_simulation(
    raw: dict[str, Any], load: WeeklyLoad, items: float, error: float
) -> None:
    """Over windows and a change of the load, the end is the simulation's within some per cent."""
    record = simulated(raw, load, items, seed=1)
    assert record.finished_s is not None
    per_batch_s = items / sum(batch.took_s for batch in record.batches)
    ends_s = foretold(raw, load, items, per_batch_s).ends_ms / 1000 - START_S
    assert record.finished_s == pytest.approx(ends_s, rel=error)


def test_agrees_where_clients_are_compared() -> None:
    """Among clients the adaptive pace is in part chance: a factor of two is all there is."""
    told, shares = foretold({}, flat(), 1e9, 5000.0), []
    config = parse({})
    for seed in range(1, 9):
        clients = ClientsModel(kinds=REALISTIC, load=Load(PEAK_PER_S, lambda now_s: PEAK_PER_S))
        update = UpdateModel(name=UPDATE, thread_s=1e-4, database_s=1e-4)
        made = Throttle(config, Settings(), Facts(cores=2))
        record = World(TWO_CORES, clients, streams(seed), update, made).run(300)
        shares.append(record.share_in_batches(60, 300))
    assert 0.5 < sum(shares) / len(shares) / told.share_in_batches < 2


def test_a_billion_items_over_a_month() -> None:
    """With windows, an office's load and all profiles to compare it takes less than 10 s."""
    raw = {"windows": [{"start": "22:00", "end": "06:00"}], "max_items_per_second": 2000}
    question = Question(
        jobs=(Job(update=UPDATE, items=1e9, per_batch_s=5000.0),),
        config=parse(raw),
        load=office(),
        server=TWO_CORES,
        start_s=START_S,
        seeds=seeds,
    )
    began_s = time.process_time()
    told = forecast(question)
    assert 10 > time.process_time() - began_s
    assert 25 < (told.best.ends_ms / 1000 - START_S) / 86400 < 60  # type: ignore[operator]
