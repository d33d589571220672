"""`make bench-laws`, the scorecard: the default pace from its first minute on, in virtual time.

Each cell is a server, its clients and an update that the module has never seen. `balanced` is run
for twenty minutes, stock Synapse for ten minutes, with the same requests as without an update. The
oracle knows what full work costs clients, and works for min(1, tolerance / s) of the time.
With the name of a document, its tables are made anew; the same figures each time.
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import attrs

from benchmarks.model.runs import alone, run
from benchmarks.model.scenarios import CELLS, LATE_S, Scenario
from benchmarks.plots import document
from synapse_bgthrottle.core.config.profiles import PROFILES
from testbed.simulation.record import Record

SEEDS = tuple(range(1, 9))

# Spans in s from the update's begin; where harm comes late, from then on.
_SPANS = ((0.0, 60.0), (60.0, 300.0), (300.0, 600.0), (600.0, 1200.0))
_LATE_SPANS = tuple((LATE_S + begin_s, LATE_S + end_s) for begin_s, end_s in _SPANS)
_STOCK_S = (60.0, 600.0)
_FULL_S = (20.0, 200.0)

SUMMARY = (
    "cell",
    "speed, of stock's",
    "clients slower by",
    "with stock",
    "an item costs, of stock's",
)
SHARES = (
    "share of the time (%)",
    "oracle",
    "stock",
    *("0-1", "1-5", "5-10", "10-20 min"),
    "worst of 8: 0-1",
    *("1-5", "5-10", "10-20 min"),
)
SLOWER = ("clients slower by (%)", "at full work", *SHARES[2:])


@attrs.frozen
class Part:
    """A span of a run: share of the time in batches, items a second, log of the slowdown."""

    share: float
    speed: float
    slope: float


@attrs.frozen
class Score:
    """A cell with one seed.

    Attributes:
        slope: log of the slowdown by full work.
        stock: stock Synapse, over all of its time.
        parts: of `balanced`, by span.
    """

    slope: float
    stock: Part
    parts: tuple[Part, ...]


def score(cell: Scenario, seed: int) -> Score:
    """Run a cell with one seed: some twenty seconds of a processor."""
    is_late = cell.update.works_from_s > 0 and math.isfinite(cell.update.works_from_s)
    spans, end_s = (_LATE_SPANS, _LATE_SPANS[-1][1]) if is_late else (_SPANS, _SPANS[-1][1])
    control = alone(cell, seed, end_s)
    begin_s = LATE_S if is_late else 0.0
    full_s, stock_s = ((begin_s + low_s, begin_s + high_s) for low_s, high_s in (_FULL_S, _STOCK_S))
    full = _part(run(cell, "unthrottled", seed, full_s[1]), control, full_s)
    stock = _part(run(cell, "stock", seed, stock_s[1]), control, stock_s)
    found = run(cell, "balanced", seed, end_s)
    return Score(full.slope, stock, tuple(_part(found, control, span) for span in spans))


def scores(cell: Scenario, seeds: Iterable[int] = SEEDS) -> list[Score]:
    """It with each seed."""
    return [score(cell, seed) for seed in seeds]


def summary_line(cell: Scenario, found: Sequence[Score]) -> str:
    """The cell in the time after its first five minutes; an item's cost is slowdown by speed."""
    last = [each for one in found for each in one.parts[2:]]
    stock = [one.stock for one in found]
    speed = _mean(last, _speed) / _mean(stock, _speed)
    slower, by_stock = (math.expm1(_mean(parts, _slope)) for parts in (last, stock))
    # Nothing can be told of what costs nothing.
    costs = f"{slower / by_stock / speed:.2f}" if by_stock > 0.01 else ""
    return _line(cell.title, f"{speed:.1f}", f"{slower:.1%}", f"{by_stock:.1%}", costs)


def share_line(cell: Scenario, found: Sequence[Score]) -> str:
    """The shares of the time; the worst seed is the one with the least."""
    slope = statistics.fmean(one.slope for one in found)
    tolerance = PROFILES["balanced"].tolerance_ratio
    oracle = 1.0 if slope <= tolerance else tolerance / slope
    stock = _mean([one.stock for one in found], _share)
    means = [_mean(parts, _share) for parts in _by_span(found)]
    worst = [min(map(_share, parts)) for parts in _by_span(found)]
    return _line(cell.title, *(f"{100 * each:.0f}" for each in (oracle, stock, *means, *worst)))


def slower_line(cell: Scenario, found: Sequence[Score]) -> str:
    """By how much clients are slower; the worst seed is the one with the most."""
    slope = statistics.fmean(one.slope for one in found)
    stock = _mean([one.stock for one in found], _slope)
    means = [_mean(parts, _slope) for parts in _by_span(found)]
    worst = [max(map(_slope, parts)) for parts in _by_span(found)]
    slopes = (slope, stock, *means, *worst)
    return _line(cell.title, *(f"{100 * math.expm1(each):.1f}" for each in slopes))


def main() -> None:
    """Print the tables, or write them."""
    parser = argparse.ArgumentParser(prog="benchmarks.model.scorecard", description=__doc__)
    parser.add_argument("document", type=Path, nargs="?", help="Markdown that has the tables")
    parser.add_argument("--cells", nargs="+", help="those whose title has one of these words")
    parser.add_argument("--seeds", type=int, default=len(SEEDS))
    options = parser.parse_args()
    cells = [
        cell
        for cell in CELLS
        if not options.cells or any(word in cell.title for word in options.cells)
    ]
    seeds = range(1, options.seeds + 1)
    tables = ((SUMMARY, summary_line), (SHARES, share_line), (SLOWER, slower_line))
    rows: list[list[str]] = [[] for _ in tables]
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        # Loads are functions, which no process can hand to another: so a cell goes by its number.
        found = [
            [pool.submit(_score_by_number, CELLS.index(cell), seed) for seed in seeds]
            for cell in cells
        ]
        for cell, futures in zip(cells, found, strict=True):
            of_cell = [future.result() for future in futures]
            for table, (_, line) in zip(rows, tables, strict=True):
                table.append(line(cell, of_cell))
                print(table[-1], flush=True)
    for (columns, _), table in zip(tables, rows, strict=True):
        table_head = document.head(columns)
        print("\n".join(("", table_head, *table)))
        if options.document is not None:
            text = options.document.read_text()
            options.document.write_text(document.with_rows(text, table_head, table))


def _score_by_number(number: int, seed: int) -> Score:
    return score(CELLS[number], seed)


def _part(record: Record, control: Record, span: tuple[float, float]) -> Part:
    share = record.share_in_batches(*span)
    speed = record.items(*span) / (span[1] - span[0])
    without = control.latencies(*span)
    if not without.count:
        return Part(share, speed, 0.0)
    with_it = record.latencies(*span)
    return Part(share, speed, math.log(with_it.geometric_mean_s / without.geometric_mean_s))


def _by_span(found: Sequence[Score]) -> list[tuple[Part, ...]]:
    return list(zip(*(one.parts for one in found), strict=True))


def _share(part: Part) -> float:
    return part.share


def _speed(part: Part) -> float:
    return part.speed


def _slope(part: Part) -> float:
    return part.slope


def _mean(parts: Iterable[Part], of: Callable[[Part], float]) -> float:
    return statistics.fmean(map(of, parts))


def _line(*columns: str) -> str:
    return f"| {' | '.join(columns)} |"


if __name__ == "__main__":
    main()
