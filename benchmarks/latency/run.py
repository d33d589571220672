"""`make bench` and `make bench-full`: what updates under each controller do to clients.

A real Synapse on a real database, load from another process, each arm in a server of its own for
minutes. Every run is a file; what is there is not run again, so that it can be stopped and resumed.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs

from benchmarks.latency import arms as registry
from benchmarks.latency.arms import CONTROL
from benchmarks.latency.cells import PLAN, Cell, cell
from benchmarks.latency.measure import Run, measure
from benchmarks.latency.order import orders
from testbed.data import provenance, template
from testbed.data.databases import open_database
from testbed.servers.process import ROOT

# What does not learn is the same in its tenth minute as in its second.
_LONGEST_FIXED_MINUTES = 2.0
# What a run takes besides: a copy of the database, and the start of a server.
_SET_UP_S = 30.0


def path_of(folder: Path, of: Cell, arm: str, number: int) -> Path:
    """Where a run is kept; that of a control is the same for all updates."""
    name = str(of.control if arm == CONTROL else of)
    return folder / f"{name}.{arm.replace(' ', '-').replace('/', '-')}.{number}.json"


def planned(cells: Sequence[Cell], rounds: int) -> Iterator[tuple[Cell, str, int]]:
    """Cell, arm and round of each run, the arms in balanced order, round by round."""
    for each in cells:
        for number, order in enumerate(orders(each.arms, rounds, seed=1)):
            for arm in order:
                yield each, arm, number


def main() -> None:
    options = _options()
    extra = {name: json.loads(text) for name, _, text in (o.partition("=") for o in options.extra)}
    cells = [cell(name) for name in options.cell] or list(PLAN)
    if options.arms or extra:
        arms = tuple(dict.fromkeys([*options.arms, *extra]))
        cells = [Cell(each.update, each.load, each.deployment, arms) for each in cells]
    options.runs.mkdir(parents=True, exist_ok=True)
    ends_s = time.monotonic() + options.within * 60
    for each, name, number in planned(cells, options.rounds):
        path = path_of(options.runs, each, name, number)
        if path.exists() and not options.fresh:
            continue
        arm = registry.arm(name, extra)
        learns = arm.module is not None or name == CONTROL
        minutes = options.minutes if learns else min(options.minutes, _LONGEST_FIXED_MINUTES)
        run = Run(each, arm, minutes * 60, options.harmful_after * 60)
        if time.monotonic() + run.alone_s[1] + run.seconds + _SET_UP_S > ends_s:
            continue
        print(f"{path.stem} ... ", end="", flush=True)
        begin_s = time.monotonic()
        found = _run(run, options)
        about = attrs.asdict(each, filter=lambda field, _: field.name != "arms")
        about |= {"arm": name, "round": number, "revision": _revision()}
        provenance.write(path, {**about, **found})
        print(f"{time.monotonic() - begin_s:.0f} s", flush=True)


def _run(run: Run, options: argparse.Namespace) -> dict[str, Any]:
    engine = "sqlite" if run.cell.deployment == "sqlite" else "postgres"
    with (
        tempfile.TemporaryDirectory() as name,
        open_database(engine, provenance.cache_folder(options.cache)) as database,
    ):
        database.restore(template.ensure(database, options.events))
        return measure(run, database, Path(name))


def _revision() -> str:
    """Of the code that is measured, with a plus where it has been changed; "" outside of git."""
    code = ("--", "synapse_bgthrottle", "benchmarks/latency", "testbed/data")
    commit = _git("log", "-1", "--format=%h", *code)
    return commit + ("+" if _git("status", "--porcelain", *code) else "")


def _git(*arguments: str) -> str:
    asked = subprocess.run(
        ["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return asked.stdout.strip()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.latency.run", description=__doc__)
    add = parser.add_argument
    add(
        "--cell",
        nargs="+",
        default=[],
        metavar="UPDATE-LOAD[-DEPLOYMENT]",
        help=f"by default all of the plan: {', '.join(map(str, PLAN))}",
    )
    add(
        "--arms",
        nargs="+",
        default=[],
        help=f"{', '.join(registry.ARMS)}, stock REST/TARGET; by default those of the plan",
    )
    add(
        "--extra-arm",
        dest="extra",
        action="append",
        default=[],
        metavar="NAME=JSON",
        help="an arm of ours with this configuration",
    )
    add("--rounds", type=int, default=1)
    add(
        "--minutes",
        type=float,
        default=3,
        help="of each arm with the update; 2 at most for those that do not learn",
    )
    add("--harmful-after", type=float, default=5, help="minutes, for turns_harmful")
    add("--within", type=float, default=math.inf, help="minutes: begin no run that ends later")
    add("--fresh", action="store_true", help="what is there too")
    add("--events", type=int, default=300_000, help="of history")
    add("--cache", type=Path, default=Path(".bench"), help="where the data is kept")
    add("--runs", type=Path, default=Path(".bench/runs"), help="where the runs are kept")
    return parser.parse_args()


if __name__ == "__main__":
    main()
