"""The tables and the picture, of whatever runs there are.

`python -m benchmarks.latency.report` prints a table for each cell. With `--docs docs` it makes
docs/benchmarks/runs.md and docs/front.svg, and the table and the losses in docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.latency.arms import CONTROL, PROFILES, STOCK, UNTHROTTLED
from benchmarks.latency.cells import NO_UPDATE, PLAN, Cell, cell
from benchmarks.latency.statistics import Estimate
from benchmarks.latency.summary import PHASES, Figures, summarise
from benchmarks.plots import document, front
from testbed.data.made_updates import WAITS

Cells = Mapping[str, Mapping[str, Figures]]

_DEFAULT = "balanced"
# Shares of the time of an update that harms nobody; of unthrottled's speed on an idle server; CPU.
_HARMLESS_AIMS = {"2 to 5": 0.85, "after": 0.9}
_WORDS = {"2 to 5": "minutes 2 to 5", "after": "after minute 5"}
_IDLE_AIM = 1.05
_OWN_CPU_AIM = 0.01

_SHOWN = (UNTHROTTLED, STOCK, *PROFILES[:3])
OVERVIEW = document.head(("update, load", "stock, items/s", *_SHOWN))
LOSSES = "## Where it loses"
_DETAILS = document.head(
    (
        "arm",
        "minutes",
        "items/s",
        "of stock",
        "of unthrottled",
        f"in batches: {', '.join(PHASES)}",
        *(f"slowdown in {phase}" if phase == "minute 1" else phase for phase in PHASES),
        "slowdown",
        "p50",
        "p95",
        "over 100 ms",
        "1,000 items cost, s",
        "batch p50, p95 ms",
        "CPU: server, database",
    )
)
_RUNS_HEAD = """\
# Benchmarks: all runs

Made by `make bench-tables` from the runs in `.bench/runs`; nothing is edited by hand.
[Benchmarks](../benchmarks.md) says what they mean, and
[how they are made](../benchmarks.md#how-it-is-measured).

- *slowdown*: clients' latency against no update, the geometric mean over the same requests.
  *p50* and *p95* are the same of quantiles. In brackets are intervals of 90 %. They are from
  pieces of 10 s: where there is one run, they do not know how it differs from the next.
- *in batches*: the share of the time, in the first minute, in minutes 2 to 5, and after.
- *1,000 items cost*: seconds of slowdown. That times its size is what an update costs clients.
- *control*: no update. Its slowdown is against another control, where there are two: the noise.
"""


def load(folder: Path) -> dict[str, dict[str, Figures]]:
    """The figures of each cell that has runs, by name and arm; first those of the plan."""
    runs: dict[Cell, dict[str, list[Any]]] = defaultdict(lambda: defaultdict(list))
    for path in sorted(folder.glob("*.json")):
        run = json.loads(path.read_text())
        of = Cell(run["update"], run["load"], run["deployment"], arms=())
        runs[of.control if run["arm"] == CONTROL else of][run["arm"]].append(run)
    names = [str(cell) for cell in PLAN]
    found = {}
    for of in sorted(runs, key=lambda c: names.index(str(c)) if str(c) in names else len(names)):
        if of.update != NO_UPDATE:
            controls = runs[of.control][CONTROL] if of.control in runs else []
            found[str(of)] = summarise({CONTROL: controls, **runs[of]})
    return found


def overview(cells: Cells) -> list[str]:
    """The rows of the first table: each arm's speed against stock's, and its slowdown."""
    rows = []
    for name, figures in cells.items():
        stock = figures.get(STOCK)
        items = "" if stock is None else _number(stock.items_per_s)
        rows.append(_row((name, items, *(_short(arm, figures.get(arm)) for arm in _SHOWN))))
    return rows


def losses(cells: Cells) -> list[str]:
    """Where the default profile misses its aims, a sentence each."""
    found = [
        f"- **{name}**: {sentence}."
        for name, figures in cells.items()
        if _DEFAULT in figures
        for sentence in (
            *_loses_to_stock(figures[_DEFAULT], figures.get(STOCK)),
            *_loses_alone(cell(name), figures[_DEFAULT]),
        )
    ]
    return found or ["- In no cell that was measured."]


def _loses_to_stock(ours: Figures, stock: Figures | None) -> Iterator[str]:
    if ours.of_stock is not None and ours.of_stock.value < 1:
        yield f"it has {ours.of_stock} times stock's speed"
    if stock is None:
        yield "not known, because stock was not measured beside it"
    elif (latency := ours.slowdown) and stock.slowdown and latency.value > stock.slowdown.value:
        yield f"clients' latency is {latency}, and with stock {stock.slowdown}"


def _loses_alone(of: Cell, ours: Figures) -> Iterator[str]:
    aims = _HARMLESS_AIMS if of.update == WAITS else {}
    for phase, aim in aims.items():
        if phase in ours.phases and ours.phases[phase].duty_ratio < aim:
            share = ours.phases[phase].duty_ratio
            yield f"it has {share:.0%} of the time ({_WORDS[phase]}); the aim is {aim:.0%}"
    fastest = ours.of_unthrottled
    if of.load == "idle" and fastest is not None and fastest.value < _IDLE_AIM:
        yield f"it has {fastest} of unthrottled's speed; the aim is {_IDLE_AIM}"
    if ours.own_cpu is not None and ours.own_cpu > _OWN_CPU_AIM:
        yield f"its own CPU in the reactor is {ours.own_cpu:.2%} of a core"


def details(name: str, figures: Mapping[str, Figures]) -> str:
    """All of a cell, as Markdown."""
    lines = [f"## {name}", "", _DETAILS]
    lines += [_detail(arm, one) for arm, one in figures.items()]
    base = next((one.base_p50_ms for one in figures.values() if one.base_p50_ms), None)
    remarks = [] if base is None else [f"no update: p50 {base:.1f} ms"]
    remarks += [f"{arm}: {remark}" for arm, one in figures.items() for remark in _remarks(one)]
    return "\n".join([*lines, "", *(f"- {remark}" for remark in remarks)]) + "\n"


def _short(arm: str, one: Figures | None) -> str:
    if one is None:
        return ""
    if arm == STOCK:
        return _text(one.slowdown)  # a column has its items a second
    if one.of_stock is None:
        speed = f"{_number(one.items_per_s)} items/s"
    else:
        speed = f"{one.of_stock.value:.2g} times"
    return ", ".join(text for text in (speed, _text(one.slowdown)) if text)


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}"


def _detail(arm: str, one: Figures) -> str:
    phases = [one.phases.get(name) for name in PHASES]
    runs = f"{one.rounds} x {one.seconds / 60:.1f}" if one.rounds > 1 else f"{one.seconds / 60:.1f}"
    return _row(
        (
            arm,
            runs,
            _number(one.items_per_s),
            _text(one.of_stock),
            _text(one.of_unthrottled),
            ", ".join(f"{phase.duty_ratio:.0%}" for phase in phases if phase is not None),
            *("" if phase is None else _text(phase.slowdown) for phase in phases),
            _text(one.slowdown),
            _text(one.p50),
            _text(one.p95),
            "" if one.slowdown is None else f"{one.slow_ratio:.1%}",
            ""
            if one.cost_s is None
            else f"{one.cost_s.value:.3g} [{one.cost_s.low:.2g}, {one.cost_s.high:.2g}]",
            f"{one.batch_p50_ms:.0f}, {one.batch_p95_ms:.0f}",
            f"{one.server_cpu:.2f}, {one.database_cpu:.2f}",
        )
    )


def _remarks(one: Figures) -> list[str]:
    remarks = [f"revision `{one.revision}`"]
    if one.own_cpu is not None:
        remarks.append(f"its own CPU in the reactor {one.own_cpu:.2%} of a core")
    if one.done_s is not None:
        remarks.append(f"done for the first time after {one.done_s:.0f} s")
    if one.slower_s is not None and one.faster_s is not None:
        remarks.append(
            f"half the share {one.slower_s:.1f} s after a step up of the load, more than half"
            f" {one.faster_s:.1f} s after a step down"
        )
    if one.failed:
        what = ", ".join(f"{count} {kind}" for kind, count in sorted(one.failed.items()))
        remarks.append(f"requests without a good answer, by status: {what}")
    return remarks


def _text(estimate: Estimate | None) -> str:
    return "" if estimate is None else str(estimate)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.latency.report", description=__doc__)
    parser.add_argument("--runs", type=Path, default=Path(".bench/runs"))
    parser.add_argument("--docs", type=Path, help="the folder of the documentation to write into")
    options = parser.parse_args()
    cells = load(options.runs)
    tables = [details(name, figures) for name, figures in cells.items()]
    print(OVERVIEW, *overview(cells), "", *tables, sep="\n")
    if options.docs is not None:
        page = options.docs / "benchmarks.md"
        text = document.with_rows(page.read_text(), OVERVIEW, overview(cells))
        text = document.with_section(text, LOSSES, "\n".join(losses(cells)))
        page.write_text(text)
        (options.docs / "benchmarks" / "runs.md").write_text("\n".join([_RUNS_HEAD, *tables]))
        (options.docs / "front.svg").write_text(front.svg(front.points(cells)))


if __name__ == "__main__":
    main()
