"""10^5 real iterations under load and random faults: `python -m soak.iterations`.

Each batch is of one event, so that the module is called as often as can be. Meanwhile clients send
and ask, administrators pause, and things break. The memory of the server must stay flat.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

from harness import data, faults
from harness.kills import API, COMPLAINTS
from harness.matrix import MatrixClient
from harness.postgres import PostgresServer
from harness.process import rss_mib
from harness.worlds import PostgresSource, SqliteSource, World
from soak.records import Records

_UPDATE = "events_populate_state_key_rejections"
MODULE = {"profile": "finish", "target_duration": "1ms", "max_batch_size": 1}
# Without a target Synapse's batches are of the least size: one.
STOCK = {
    "background_updates": {
        "background_update_duration_ms": 0,
        "sleep_enabled": False,
        "default_batch_size": 1,
    }
}
_BATCH = "Running background update"


def main() -> int:
    parser = argparse.ArgumentParser(prog="soak.iterations", description=__doc__)
    parser.add_argument("--output", type=Path, default=Path(".soak/iterations"))
    parser.add_argument("--iterations", type=int, default=50_000, help="on each database")
    parser.add_argument("--most-s", type=float, default=1800, help="on each database")
    parser.add_argument("--databases", nargs="*", default=["sqlite", "postgres"])
    parser.add_argument("--stock", action="store_true", help="without the module, and no faults")
    parser.add_argument("--calm", action="store_true", help="no faults, as with --stock")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    records = Records(options.output, "Iterations of one event under load and random faults")
    well = []
    options.calm = options.calm or options.stock
    module, extra = (None, STOCK) if options.stock else (MODULE, None)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for database in options.databases:
            if database == "sqlite":
                sqlite = SqliteSource.make(folder / "sqlite", options.iterations)
                world = sqlite.world(folder / "server", module, extra, module_log_level="INFO")
                well.append(_run(on_sqlite(world), database, options, records))
                continue
            with PostgresServer(folder / "cluster") as cluster:
                postgres = PostgresSource.make(cluster, folder / "postgres", options.iterations)
                world = postgres.world(
                    folder / "on_postgres", "soak", module, extra, module_log_level="INFO"
                )
                well.append(_run(_on_postgres(world, cluster), database, options, records))
    return 0 if all(well) else 1


MakeFault = Callable[[], AbstractContextManager[None]]


class _Soak:
    """A server, what it has to do, and what may happen to it."""

    def __init__(self, world: World, faults_by_name: dict[str, MakeFault]) -> None:
        self.world = world
        self.faults: dict[str, MakeFault] = {
            **faults_by_name,
            "suspended": lambda: faults.suspended(world.server),
            "paused": lambda: _paused(world.admin),
            "disabled": lambda: _disabled(world.admin),
        }


def on_sqlite(world: World) -> _Soak:
    """With an update over all its events."""
    soak = _Soak(world, {"file locked": lambda: faults.file_locked(world.database)})
    path = Path(world.database)
    data.clear_queue(path)
    data.queue_state_keys(path)
    return soak


def _on_postgres(world: World, postgres: PostgresServer) -> _Soak:
    name = world.database
    soak = _Soak(
        world,
        {
            "stopped": lambda: faults.stopped(postgres),
            "kill -9": lambda: faults.killed(postgres),
            "sessions ended": lambda: faults.cut_off(postgres, name),
            "read-only": lambda: faults.read_only(postgres, name),
            "queue locked": lambda: faults.queue_locked(postgres, name),
            "too many connections": lambda: faults.without_slots(postgres, name),
        },
    )
    with postgres.session(name) as cursor:
        cursor.execute("DELETE FROM background_updates")
        cursor.execute("UPDATE events SET state_key = NULL")
        cursor.execute(
            "INSERT INTO background_updates (update_name, progress_json)"
            " SELECT %s, json_build_object('min_stream_ordering_exclusive',"
            " MIN(stream_ordering) - 1, 'max_stream_ordering_inclusive', MAX(stream_ordering))"
            " FROM events",
            (_UPDATE,),
        )
    return soak


def _run(soak: _Soak, database: str, options: Any, records: Records) -> bool:
    rng = random.Random(options.seed)
    happened: Counter[str] = Counter()
    rss: list[tuple[float, int]] = []  # MiB, batches so far
    world = soak.world
    with world.server as server, load(world.admin, options.calm) as requests:
        begin = time.monotonic()
        looked_at, batches = 0, 0
        next_fault_s = begin + 15
        while time.monotonic() - begin < options.most_s:
            time.sleep(2)
            text = server.log(looked_at)
            looked_at += len(text.encode())
            batches += text.count(_BATCH)
            rss.append((rss_mib(server.process.pid if server.process else 0), batches))
            with suppress(Exception):  # PostgreSQL may not be there
                if not world.pending():
                    break
            if time.monotonic() > next_fault_s and not options.calm:
                name = rng.choice(sorted(soak.faults))
                fault = soak.faults[name]()
                happened[name] += 1
                with fault:
                    time.sleep(rng.uniform(0.2, 3))
                next_fault_s = time.monotonic() + rng.uniform(5, 20)
        took_s = time.monotonic() - begin
    log = server.log()
    complaints = {text: log.count(text) for text in COMPLAINTS if text in log}
    early, late = _halves(rss)
    record = {
        "database": database,
        "server": "stock" if options.stock else "module",
        "iterations": log.count(_BATCH),
        "s": round(took_s),
        "requests": requests["answered"],
        "refused": requests["failed"],
        "faults": dict(sorted(happened.items())),
        "failed": log.count("Error doing update"),
        "aborted": faults.has_aborted(server),
        "complaints": complaints,
        "RSS MiB": [value for value, _ in rss[:: max(len(rss) // 20, 1)]],
        "RSS early, late": [early, late],
        "left": world.pending(),
        "keys": world.count(data.STATE_KEYS_SQL),
        "expected": world.count("SELECT COUNT(*) FROM state_events"),
    }
    records.add(record)
    # Written down, but no failure: stock has it too, when a task of its own fails on a locked file.
    wrong = complaints.keys() - {"sentinel"}
    is_well = not (wrong or record["aborted"] or record["left"])
    return is_well and record["keys"] == record["expected"]


def _halves(rss: list[tuple[float, int]]) -> tuple[float, float]:
    """Medians of the second and of the last fifth."""
    fifth = max(len(rss) // 5, 1)
    values = [value for value, _ in rss]
    return statistics.median(values[fifth : 2 * fifth] or values), statistics.median(
        values[-fifth:]
    )


@contextmanager
def _paused(admin: MatrixClient) -> Iterator[None]:
    with suppress(OSError):
        admin.call("POST", f"{API}/pause", {"reason": "soak", "for": "1h"})
    yield
    for _ in range(20):
        try:
            admin.call("POST", f"{API}/resume", {})
            return
        except OSError as error:
            if getattr(error, "code", 0) == 404:  # it was not paused
                return
            time.sleep(0.5)


@contextmanager
def _disabled(admin: MatrixClient) -> Iterator[None]:
    with suppress(OSError):
        admin.set_updates_enabled(False)
    yield
    for _ in range(20):
        try:
            admin.set_updates_enabled(True)
            return
        except OSError:
            time.sleep(0.5)


@contextmanager
def load(admin: MatrixClient, is_calm: bool) -> Iterator[Counter[str]]:
    """Some requests a second, of clients and, unless it is calm, of who looks at the status."""
    counts: Counter[str] = Counter()
    end = threading.Event()

    def ask() -> None:
        number = 0
        path = "/_matrix/client/v3/profile/@admin:bgthrottle.test/displayname"
        while not end.wait(0.2):
            number += 1
            try:
                if number % 5 == 0 and not is_calm:
                    admin.call("GET", f"{API}/status")
                elif number % 2:
                    admin.call("PUT", path, {"displayname": f"name {number}"})
                else:
                    admin.call("GET", "/_matrix/client/v3/account/whoami")
                counts["answered"] += 1
            except Exception:
                counts["failed"] += 1

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    try:
        yield counts
    finally:
        end.set()
        thread.join(35)


if __name__ == "__main__":
    sys.exit(main())
