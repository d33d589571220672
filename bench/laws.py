"""`make bench-laws`: paces on a modelled server, in virtual time; the same figures each time.

Not a measurement: the model is calibrated by one (`docs/benchmarks.md`), so trust the order of the
paces and not their digits. With the name of a document, the tables in it are made anew.
"""

from __future__ import annotations

import argparse
import functools
import random
import statistics
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import attrs

from bench import document
from bench.other_laws import OTHER_LAWS, OtherLaw
from bench.scenarios import SCENARIOS, Scenario
from synapse_bgthrottle.config import Config
from synapse_bgthrottle.limits import Adaptive, DutyCycle, FixedSleep, Settings
from synapse_bgthrottle.state import Facts
from synapse_bgthrottle.throttle import Throttle
from testbed.simulation.model import ClientsModel, ServerModel, Streams
from testbed.simulation.record import Latencies, Record
from testbed.simulation.updater import Decider
from testbed.simulation.world import World

_SEEDS = (1, 2, 3)
_DISCARDED_S, _END_S = 60.0, 300.0

_SETTINGS: Mapping[str, Settings] = {
    "unthrottled": Settings(pace=FixedSleep(0)),
    "stock": Settings(pace=FixedSleep(1000)),
    "nice": Settings(pace=DutyCycle(0.5)),
    "25%": Settings(pace=DutyCycle(0.25)),
    "10%": Settings(pace=DutyCycle(0.1)),
    "gentle": Settings(pace=Adaptive(), profile="gentle"),
    "balanced": Settings(pace=Adaptive(), profile="balanced"),
    "fast": Settings(pace=Adaptive(), profile="fast"),
}
LAWS = (*_SETTINGS, *OTHER_LAWS)
COLUMNS = ("of unthrottled", "share of time", "p50", "p95", "geometric mean")


@attrs.frozen
class Cell:
    """What a law did with a scenario: speed in items/s, share in batches, latencies by none's."""

    speed: float
    share: float
    p50: float | None = None
    p95: float | None = None
    mean: float | None = None


def cell(scenario: Scenario, law: str) -> Cell:
    """Run it with each seed; means over them."""
    return _mean([_run(scenario, law, seed) for seed in _SEEDS])


def line(law: str, found: Cell, unthrottled: Cell) -> str:
    """It as a row of Markdown."""
    slower = ("" if each is None else f"{each:.2f}" for each in (found.p50, found.p95, found.mean))
    speed = f"{found.speed / unthrottled.speed:.2f}"
    return f"| {' | '.join((law, speed, f'{found.share:.0%}', *slower))} |"


def lines(scenario: Scenario) -> Iterator[str]:
    """The rows of its table; takes half a minute of a processor."""
    unthrottled = cell(scenario, "unthrottled")
    for law in LAWS:
        yield line(law, cell(scenario, law), unthrottled)


def main() -> None:
    """Print the tables, or write them."""
    parser = argparse.ArgumentParser(prog="bench.laws", description=__doc__)
    parser.add_argument("document", type=Path, nargs="?", help="Markdown that has the tables")
    options = parser.parse_args()
    for scenario in SCENARIOS:
        table_head = document.head((scenario.title, *COLUMNS))
        print(f"\n{table_head}", flush=True)
        rows = []
        for row in lines(scenario):
            print(row, flush=True)
            rows.append(row)
        if options.document is not None:
            text = options.document.read_text()
            options.document.write_text(document.with_rows(text, table_head, rows))


def _run(scenario: Scenario, law: str, seed: int) -> Cell:
    alone = _alone(scenario.server, scenario.clients, seed)
    record = _record(scenario, _decider(law, scenario.server), seed)
    speed = record.items(_DISCARDED_S, _END_S) / (_END_S - _DISCARDED_S)
    share = record.share_in_batches(_DISCARDED_S, _END_S)
    if not alone.count:
        return Cell(speed, share)
    found = record.latencies(_DISCARDED_S)
    mean = found.geometric_mean_s / alone.geometric_mean_s
    return Cell(speed, share, found.p50_s / alone.p50_s, found.p95_s / alone.p95_s, mean)


def _mean(cells: list[Cell]) -> Cell:
    def of(values: list[float | None]) -> float | None:
        there = [value for value in values if value is not None]
        return statistics.fmean(there) if there else None

    return Cell(
        statistics.fmean(c.speed for c in cells),
        statistics.fmean(c.share for c in cells),
        of([c.p50 for c in cells]),
        of([c.p95 for c in cells]),
        of([c.mean for c in cells]),
    )


@functools.cache
def _alone(server: ServerModel, clients: ClientsModel, seed: int) -> Latencies:
    """The same for each law."""
    return World(server, clients, _streams(seed)).run(_END_S).latencies(_DISCARDED_S)


def _record(scenario: Scenario, throttle: Decider, seed: int) -> Record:
    clients, update = scenario.clients, scenario.update
    return World(scenario.server, clients, _streams(seed), update, throttle).run(_END_S)


def _decider(law: str, server: ServerModel) -> Decider:
    if law in OTHER_LAWS:
        return OtherLaw.on(OTHER_LAWS[law](), server)
    facts = Facts(
        cores=round(server.cores),
        sees_requests=not server.clients_elsewhere,
        sqlite_databases=frozenset({"master"} if server.connections == 1 else ()),
    )
    return Throttle(Config(_SETTINGS[law]), Settings(), facts)


def _streams(seed: int) -> Streams:
    def stream(name: str) -> Callable[[], float]:
        return random.Random(f"{seed} {name}").random

    return stream


if __name__ == "__main__":
    main()
