"""`make bench-laws`: paces on a modelled server, in virtual time; the same figures each time.

Not a measurement: the model is calibrated by one (`docs/benchmarks.md`), so trust the order of the
paces and not their digits. With the name of a document, the tables in it are made anew.
"""

from __future__ import annotations

import argparse
import os
import statistics
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import attrs

from benchmarks.model import runs
from benchmarks.model.other_laws import OTHER_LAWS
from benchmarks.model.scenarios import SCENARIOS, Scenario
from benchmarks.plots import document

_SEEDS = (1, 2, 3)
_DISCARDED_S, _END_S = 60.0, 300.0

LAWS = (*runs.SETTINGS, *OTHER_LAWS)
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
    parser = argparse.ArgumentParser(prog="benchmarks.model.laws", description=__doc__)
    parser.add_argument("document", type=Path, nargs="?", help="Markdown that has the tables")
    options = parser.parse_args()
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        tables = pool.map(_table, range(len(SCENARIOS)))
        for scenario, rows in zip(SCENARIOS, tables, strict=True):
            table_head = document.head((scenario.title, *COLUMNS))
            print("\n".join(("", table_head, *rows)), flush=True)
            if options.document is not None:
                text = options.document.read_text()
                options.document.write_text(document.with_rows(text, table_head, rows))


def _table(number: int) -> list[str]:
    return list(lines(SCENARIOS[number]))


def _run(scenario: Scenario, law: str, seed: int) -> Cell:
    alone = runs.alone(scenario, seed, _END_S).latencies(_DISCARDED_S)
    record = runs.run(scenario, law, seed, _END_S)
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


if __name__ == "__main__":
    main()
