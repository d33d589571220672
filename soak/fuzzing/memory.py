"""The module's own memory over 10^5 iterations: `python -m soak.fuzzing.memory`.

First in virtual time, then on a real server under load, compared with stock Synapse. There all
allocations are traced, which makes both servers several times slower. The exit status is 1 unless
the module's memory is flat in both runs.
"""

import argparse
import gc
import sys
import tempfile
import time
import tracemalloc
from pathlib import Path
from typing import Any

import synapse_bgthrottle
from soak.faults.iterations import MODULE, STOCK
from soak.faults.traffic import load
from soak.records import Records
from testbed.faults import sqlite_data
from testbed.faults.reindex_worlds import SqliteSource
from testbed.servers import memory_module
from testbed.servers.process import rss_mib
from testbed.servers.server import MODULE as OURS
from testbed.virtual.server import VirtualServer, Work

_OURS = [tracemalloc.Filter(True, f"{Path(synapse_bgthrottle.__file__).parent}/*")]


def main() -> int:
    parser = argparse.ArgumentParser(prog="soak.fuzzing.memory", description=__doc__)
    parser.add_argument("--output", type=Path, default=Path(".soak/memory"))
    parser.add_argument("--iterations", type=int, default=100_000, help="in virtual time")
    parser.add_argument("--real-iterations", type=int, default=50_000, help="on each real server")
    parser.add_argument("--most-s", type=float, default=3600, help="on each real server")
    parser.add_argument("--every-s", type=float, default=20, help="between looks at a real one")
    options = parser.parse_args()
    records = Records(options.output, "Memory of the module's own, by iterations")
    if options.iterations:
        _in_virtual_time(options.iterations, records)
    if options.real_iterations:
        with tempfile.TemporaryDirectory() as name:
            source = SqliteSource.make(Path(name) / "source", options.real_iterations)
            for is_ours in (True, False):
                _on_a_real_server(source, Path(name), is_ours, options, records)
    return records.status()


def _in_virtual_time(iterations: int, records: Records) -> None:
    server = VirtualServer()
    work = Work(server, 10**9, cost_ms=1)
    kib: list[float] = []
    with server.in_charge():
        server.load({"profile": "finish", "max_batch_size": 1})
        server.pools["master"].queue("work", work)
        server.start()
        tracemalloc.start()
        for _ in range(10):
            target = len(work.sizes) + iterations // 10
            while len(work.sizes) < target:
                server.advance(1)
            del work.starts_s[:-1], work.took_s[:]
            gc.collect()
            snapshot = tracemalloc.take_snapshot().filter_traces(_OURS)
            kib.append(round(sum(s.size for s in snapshot.statistics("filename")) / 1024, 1))
            breaches = flat(kib[len(kib) // 2], kib[-1], "KiB")
            record = {"iterations": len(work.sizes), "ours KiB": kib[-1]}
            records.add(record, f"after {len(work.sizes)} in virtual time", breaches)
        tracemalloc.stop()


def _on_a_real_server(
    source: SqliteSource, folder: Path, is_ours: bool, options: Any, records: Records
) -> None:
    name = "module" if is_ours else "stock"
    path = folder / f"{name}.jsonl"
    watcher = {"path": str(path), "every_s": options.every_s}
    modules: list[dict[str, Any]] = [{"module": memory_module.MODULE, "config": watcher}]
    if is_ours:
        modules.insert(0, {"module": OURS, "config": MODULE})
    extra = {"modules": modules, **({} if is_ours else STOCK)}
    world = source.world(folder / name, None, extra, module_log_level="INFO")
    seen = 0
    with world.server as server, load(world.admin.impatient(), is_calm=True):
        begin = time.monotonic()
        while (left := sqlite_data.pending_updates(Path(world.database))) and (
            time.monotonic() - begin < options.most_s
        ):
            time.sleep(1)
            for look in memory_module.looks(path)[seen:]:
                seen += 1
                record = {
                    "server": name,
                    "s": round(time.monotonic() - begin),
                    "iterations": server.log().count("Running background update"),
                    "RSS MiB": rss_mib(server.process.pid if server.process else 0),
                    "ours KiB": look.ours_kib,
                    "ours objects": look.ours_objects,
                    "all KiB": look.all_kib,
                    "objects": look.objects,
                }
                records.add(record)
    if left:
        records.add({"server": name}, name, [f"{left} updates are left"])
    found = memory_module.looks(path)
    if len(found) < 2:
        records.add({"server": name}, name, ["its memory was not looked at twice"])
        return
    first, last = found[len(found) // 4], found[-1]
    grown = {file: round(kib - first.files.get(file, 0)) for file, kib in last.files.items()}
    breaches = [
        *flat(first.ours_kib, last.ours_kib, "KiB"),
        *flat(first.ours_objects, last.ours_objects, "objects"),
    ]
    at_end = {"server": name, "KiB more at the end": {f: k for f, k in grown.items() if k > 9}}
    records.add(at_end, name, breaches)


def flat(early: float, late: float, what: str) -> list[str]:
    """What is wrong if the module has more late than early.

    On a real server any measurement may include a request or a sample in progress.
    """
    if late <= early * 1.2 + 20:
        return []
    return [f"the module's own grew from {early} to {late} {what}"]


if __name__ == "__main__":
    sys.exit(main())
