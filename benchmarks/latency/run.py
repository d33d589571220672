"""`make bench` and `make bench-full`: what updates under each controller do to clients.

A real Synapse on a real database, load from another process, all controllers in turn in one server,
in short blocks. Prints tables, and writes the blocks as JSON and the front as SVG.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.latency import arms as registry
from benchmarks.latency.measure import Bench
from benchmarks.latency.summary import summarise
from benchmarks.latency.table import table
from testbed.data import provenance, template
from testbed.data.databases import open_database
from testbed.data.loads import LOADS
from testbed.data.updates import UPDATES

_ARMS = ["none", "control", "unthrottled", "stock", "stock 100/100", "nice", "balanced", "fast"]


def main() -> None:
    options = _options()
    extra = {name: json.loads(text) for name, _, text in (o.partition("=") for o in options.extra)}
    names = list(dict.fromkeys([*options.arms, *extra]))
    arms = {name: registry.arm(name, extra) for name in ("none", *names)}
    cells: list[dict[str, Any]] = []
    machine = ", ".join(f"{name} {value}" for name, value in provenance.machine().items())
    tables = [f"`{provenance.command()}`", machine]
    with (
        tempfile.TemporaryDirectory() as name,
        open_database(options.database, provenance.cache_folder(options.cache)) as database,
    ):
        begin_s = time.monotonic()
        database.restore(template.ensure(database, options.events))
        print(f"{options.events} events: {time.monotonic() - begin_s:.0f} s\n", flush=True)
        bench = Bench(Path(name), database, arms)
        with bench.server:
            for update in (UPDATES[name] for name in options.updates):
                bench.begin(update)
                for load in options.loads:
                    block_s = options.block or LOADS[load].block_s
                    rounds = max(round(options.rounds * LOADS[load].rounds_ratio), 2)
                    cell = bench.measure(update, load, rounds, block_s, options.warm_up)
                    cells.append({"database": options.database, "arms": list(arms), **cell})
                    tables.append(table(cells[-1], summarise(cells[-1])))
                    print(f"{tables[-1]}\n", flush=True)
                    provenance.write(options.output, {"cells": cells})
                    options.output.with_suffix(".md").write_text("\n\n".join(tables) + "\n")
                bench.end(update)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--database", choices=["postgres", "sqlite"], default="postgres")
    add("--events", type=int, default=300_000, help="of history")
    add("--updates", nargs="+", default=["event_search"], choices=list(UPDATES))
    add("--loads", nargs="+", default=["idle", "steady", "light"], choices=list(LOADS))
    add("--arms", nargs="+", default=_ARMS, help=f"{', '.join(registry.ARMS)}, stock REST/TARGET")
    add(
        "--extra-arm",
        dest="extra",
        action="append",
        default=[],
        metavar="NAME=JSON",
        help="an arm of ours with this configuration",
    )
    add("--rounds", type=int, default=5, help="of the steady load; the others have their share")
    add("--block", type=float, help="seconds; by default as long as the load wants")
    add("--warm-up", type=float, default=20, help="seconds of each arm of ours, before measuring")
    add("--cache", type=Path, default=Path(".bench"), help="where the data is kept")
    add("--output", type=Path, default=Path(".bench/result.json"), help="and .md beside it")
    return parser.parse_args()


if __name__ == "__main__":
    main()
