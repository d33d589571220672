"""An index build, which nobody can slow down once it runs: when it starts, and what clients feel.

`python -m benchmarks.cost.one_shot`: blocks with a build and blocks without take turns, with the
same
arrivals; requests that are due during a build are compared with the same ones of the block without.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs

from benchmarks.latency import arms as registry
from benchmarks.latency.measure import Bench
from benchmarks.latency.order import orders
from benchmarks.latency.statistics import (
    Latencies,
    Pair,
    bootstrap,
    paired_mean_ratio,
    quantile_ratio,
)
from testbed.data import provenance, template
from testbed.data.databases import Database, open_database
from testbed.data.sender import Sender
from testbed.observe.batch_log import batches

_UPDATE = "events_jump_to_date_index"
_INDEX = "events_jump_to_date_idx"
_LOAD = "steady"
# A build that is let go only in calm starts some seconds later than one that is not.
_BLOCK_S = 20.0
_QUEUED_S = 1.0


@attrs.define
class Build:
    """A block: when the build was let go, and when it ran (s since the epoch); None: it did not."""

    arm: str
    round_number: int
    begin_s: float
    free_s: float
    ran_s: tuple[float, float] | None = None


def _queue(bench: Bench) -> None:
    bench.database.execute(f"DROP INDEX IF EXISTS {_INDEX}")
    bench.database.execute(
        "INSERT INTO background_updates (update_name, progress_json) VALUES (%s, %s)", _UPDATE, "{}"
    )
    bench.admin.set_updates_enabled(True)


def _block(bench: Bench, sender: Sender, number: int, round_number: int, arm: str) -> Build:
    runs = bench.arms[arm].runs
    begin_s = time.time() + 0.1
    sender.tell(number, begin_s, _BLOCK_S, seed=round_number)
    if runs:
        _queue(bench)
    time.sleep(max(begin_s + _QUEUED_S - time.time(), 0))
    build = Build(arm, round_number, begin_s, time.time())
    bench.set_arm(arm)
    time.sleep(begin_s + _BLOCK_S - time.time())
    bench.drain()
    return build


def _measure(bench: Bench, folder: Path, rounds: int) -> tuple[list[Build], list[Latencies]]:
    bench.drain()
    sender = Sender(folder, bench.server, bench.crowd, _LOAD)
    builds: list[Build] = []
    for round_number, order in enumerate(orders(list(bench.arms), rounds, seed=1)):
        for arm in order:
            builds.append(_block(bench, sender, len(builds), round_number, arm))
    latencies: list[dict[int, float]] = [{} for _ in builds]
    offsets_s: list[dict[int, float]] = [{} for _ in builds]
    for place, index, offset_s, latency_ms, *_ in sender.finish()[:-1]:
        latencies[int(place)][int(index)] = float(latency_ms)
        offsets_s[int(place)][int(index)] = float(offset_s)
    done = batches(bench.server.log(), _UPDATE)
    met: list[Latencies] = []
    for number, build in enumerate(builds):
        inside = (b for b in done if build.begin_s < b.start_s < build.begin_s + _BLOCK_S)
        build.ran_s = next(((b.start_s, b.end_s) for b in inside), None)
        low_s, high_s = build.ran_s or (build.begin_s, build.begin_s + _BLOCK_S)
        met.append(
            {
                index: latencies[number][index]
                for index, due_s in offsets_s[number].items()
                if low_s <= build.begin_s + due_s < high_s
            }
        )
    return builds, met


def _tell(runs: Mapping[str, bool], builds: Sequence[Build], met: Sequence[Latencies]) -> None:
    print("| arm | builds | start after, s | took, s | mean | p50 | p95 |")
    print("|---|---|---|---|---|---|---|")
    base = {b.round_number: m for b, m in zip(builds, met, strict=True) if b.arm == "none"}
    for arm in runs:
        own = [(b, m) for b, m in zip(builds, met, strict=True) if b.arm == arm]
        ran = [(build, build.ran_s) for build, _ in own if build.ran_s is not None]
        waited_s = statistics.median([start - build.free_s for build, (start, _) in ran] or [0])
        took_s = statistics.median([end - start for _, (start, end) in ran] or [0])
        # A block without a build is compared as a whole, one with a build while it ran.
        met_by_both = [
            Pair.of(m, {index: ms for index, ms in base[b.round_number].items() if index in m})
            for b, m in own
            if b.ran_s is not None or not runs[arm]
        ]
        mean = bootstrap(met_by_both, paired_mean_ratio)
        p50, p95 = (bootstrap(met_by_both, quantile_ratio(share)) for share in (0.5, 0.95))
        print(f"| {arm} | {len(ran)} | {waited_s:.2f} | {took_s:.2f} | {mean} | {p50} | {p95} |")


def _run(database: Database, folder: Path, names: Sequence[str], rounds: int, output: Path) -> None:
    arms = {name: registry.arm(name, {}) for name in ("none", *names)}
    bench = Bench(folder, database, arms)
    with bench.server:
        builds, met = _measure(bench, folder, rounds)
    blocks = [{**attrs.asdict(b), "latency_ms": m} for b, m in zip(builds, met, strict=True)]
    provenance.write(output, {"update": _UPDATE, "blocks": blocks})
    _tell({name: arm.runs for name, arm in arms.items()}, builds, met)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--database", choices=["postgres", "sqlite"], default="postgres")
    add("--events", type=int, default=300_000)
    add("--arms", nargs="+", default=["control", "unthrottled", "stock", "balanced"])
    add("--rounds", type=int, default=5)
    add("--cache", type=Path, default=Path(".bench"))
    add("--output", type=Path, default=Path(".bench/one-shot.json"), help="the blocks")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as name,
        open_database(options.database, provenance.cache_folder(options.cache)) as database,
    ):
        database.restore(template.ensure(database, options.events))
        _run(database, Path(name), options.arms, options.rounds, options.output)


if __name__ == "__main__":
    main()
