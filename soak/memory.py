"""What the module itself keeps over 10^5 iterations in virtual time: `python -m soak.memory`."""

from __future__ import annotations

import argparse
import gc
import sys
import tracemalloc
from pathlib import Path

import synapse_bgthrottle
from harness.virtual import VirtualServer, Work
from soak.records import Records

_OURS = [tracemalloc.Filter(True, f"{Path(synapse_bgthrottle.__file__).parent}/*")]


def main() -> int:
    parser = argparse.ArgumentParser(prog="soak.memory", description=__doc__)
    parser.add_argument("--output", type=Path, default=Path(".soak/memory"))
    parser.add_argument("--iterations", type=int, default=100_000)
    options = parser.parse_args()
    records = Records(options.output, "Memory of the module's own, by iterations")
    server = VirtualServer()
    work = Work(server, 10**9, cost_ms=1)
    kib: list[float] = []
    with server.in_charge():
        server.load({"profile": "finish", "max_batch_size": 1})
        server.pools["master"].queue("work", work)
        server.start()
        tracemalloc.start()
        for _ in range(10):
            target = len(work.sizes) + options.iterations // 10
            while len(work.sizes) < target:
                server.advance(1)
            del work.starts_s[:-1], work.took_s[:]
            gc.collect()
            snapshot = tracemalloc.take_snapshot().filter_traces(_OURS)
            kib.append(round(sum(s.size for s in snapshot.statistics("filename")) / 1024, 1))
            records.add({"iterations": len(work.sizes), "KiB": kib[-1]})
    return 0 if kib[-1] < kib[4] * 1.1 + 20 else 1


if __name__ == "__main__":
    sys.exit(main())
