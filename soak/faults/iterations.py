"""10^5 real iterations under load and random faults: `python -m soak.faults.iterations`.

Each batch has one event, so that the module is called as often as possible. Meanwhile clients send
and read, administrators pause, and faults happen in turn. In two of three faults of the database,
updates are also paused or disabled. Every event must get its state key back, and the server's
memory must not grow faster than that of stock Synapse.
"""

import argparse
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from soak.faults.fault_schedule import Breakage
from soak.faults.traffic import load
from soak.records import Records
from testbed.faults import faults, sqlite_data
from testbed.faults.faults import Fault
from testbed.faults.reindex_worlds import PostgresSource, SqliteSource, World
from testbed.observe.forbidden_log_lines import complaints
from testbed.servers.postgres import PostgresServer
from testbed.servers.process import rss_mib

_UPDATE = "events_populate_state_key_rejections"
MODULE = {"profile": "finish", "target_duration": "1ms", "max_batch_size": 1}
# Without a target Synapse's batches have the least size: one.
STOCK = {
    "background_updates": {
        "background_update_duration_ms": 0,
        "sleep_enabled": False,
        "default_batch_size": 1,
    }
}
_BATCH = "Running background update"
# Growth that was seen from the middle of the second fifth to that of the last: with stock at most
# 3.1 MiB, while its caches filled; with the module 9.8 MiB in 14 minutes, 0.7 MiB a minute. These
# limits detect a leak of 150 bytes an iteration, which is 8.6 MiB in 60,000.
_FIRST_GROWTH_MIB = 4.0
_GROWTH_MIB_PER_MINUTE = 0.8
# Then each event has a state key to restore.
_MAKE_STATE = (
    "INSERT INTO state_events (event_id, room_id, type, state_key)"
    " SELECT event_id, room_id, type, 'key ' || stream_ordering FROM events"
    " WHERE event_id NOT IN (SELECT event_id FROM state_events)"
)
_WRONG = (
    "SELECT COUNT(*) FROM events JOIN state_events USING (event_id)"
    " WHERE events.state_key IS NULL OR events.state_key <> state_events.state_key"
)
# With fewer faults or answered requests, the run proves nothing.
_LEAST_FAULTS = 20
_LEAST_ANSWERED_PER_S = 1.0


def main() -> int:
    parser = argparse.ArgumentParser(prog="soak.faults.iterations", description=__doc__)
    parser.add_argument("--output", type=Path, default=Path(".soak/iterations"))
    parser.add_argument("--iterations", type=int, default=100_000, help="on each database")
    parser.add_argument("--most-s", type=float, default=3600, help="on each database")
    parser.add_argument("--databases", nargs="*", default=["sqlite", "postgres"])
    parser.add_argument("--stock", action="store_true", help="without the module, and no faults")
    parser.add_argument("--calm", action="store_true", help="no faults, as with --stock")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    records = Records(options.output, "Iterations of one event under load and random faults")
    options.calm = options.calm or options.stock
    module, extra = (None, STOCK) if options.stock else (MODULE, None)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for database in options.databases:
            if database == "sqlite":
                sqlite = SqliteSource.make(folder / "sqlite", options.iterations)
                world = sqlite.world(folder / "server", module, extra, module_log_level="INFO")
                _run(world, _on_sqlite(world), database, options, records)
                continue
            with PostgresServer(folder / "cluster") as cluster:
                postgres = PostgresSource.make(cluster, folder / "postgres", options.iterations)
                world = postgres.world(
                    folder / "on_postgres", "soak", module, extra, module_log_level="INFO"
                )
                _run(world, _on_postgres(world, cluster), database, options, records)
    return records.status()


def _on_sqlite(world: World) -> dict[str, Fault]:
    path = Path(world.database)
    sqlite_data.clear_queue(path)
    sqlite_data.change(path, _MAKE_STATE)
    sqlite_data.queue_state_keys(path)
    return {"file locked": lambda: faults.file_locked(world.database)}


def _on_postgres(world: World, postgres: PostgresServer) -> dict[str, Fault]:
    name = world.database
    with postgres.session(name) as cursor:
        cursor.execute("DELETE FROM background_updates")
        cursor.execute(_MAKE_STATE)
        cursor.execute("UPDATE events SET state_key = NULL")
        cursor.execute(
            "INSERT INTO background_updates (update_name, progress_json)"
            " SELECT %s, json_build_object('min_stream_ordering_exclusive',"
            " MIN(stream_ordering) - 1, 'max_stream_ordering_inclusive', MAX(stream_ordering))"
            " FROM events",
            (_UPDATE,),
        )
    return {
        "stopped": lambda: faults.stopped(postgres),
        "kill -9": lambda: faults.killed(postgres),
        "silent": lambda: faults.silent(postgres, name),
        "sessions ended": lambda: faults.cut_off(postgres, name),
        "read-only": lambda: faults.read_only(postgres, name),
        "queue locked": lambda: faults.queue_locked(postgres, name),
        "too many connections": lambda: faults.without_slots(postgres, name),
    }


def _run(
    world: World, of_database: Mapping[str, Fault], database: str, options: Any, records: Records
) -> None:
    rng = random.Random(options.seed)
    breakage = Breakage(world.server, world.admin.impatient(), of_database, rng)
    rss: list[tuple[float, int]] = []  # MiB, batches so far
    with world.server as server, load(world.admin.impatient(), options.calm) as requests:
        begin = time.monotonic()
        looked_at, batches = 0, 0
        next_fault_s = begin + 15
        while time.monotonic() - begin < options.most_s:
            time.sleep(2)
            text = server.log(looked_at)
            looked_at += len(text.encode())
            batches += text.count(_BATCH)
            rss.append((rss_mib(server.process.pid if server.process else 0), batches))
            with suppress(Exception):  # PostgreSQL may be down
                if not world.pending():
                    break
            if time.monotonic() > next_fault_s and not options.calm:
                breakage.once()
                next_fault_s = time.monotonic() + rng.uniform(0.5, 2.5)
        took_s = time.monotonic() - begin
    log = server.log()
    early, late = _halves(rss)
    record = {
        "database": database,
        "server": "stock" if options.stock else "module",
        "iterations": log.count(_BATCH),
        "s": round(took_s),
        "requests": requests["answered"],
        "refused": requests["failed"],
        "is calm": options.calm,
        "faults": dict(sorted(breakage.happened.items())),
        "together": dict(sorted(breakage.together.items())),
        "never happened": breakage.never_happened,
        "failed": log.count("Error doing update"),
        "aborted": faults.has_aborted(server),
        "complaints": len(complaints(log)),
        "such lines": complaints(log)[:5],
        "RSS MiB": [value for value, _ in rss[:: max(len(rss) // 20, 1)]],
        "RSS early, late": [early, late],
        "RSS late at most": round(early + most_growth_mib(took_s), 1),
        "left": world.pending(),
        "keys": world.count("SELECT COUNT(*) FROM state_events"),
        "wrong": world.count(_WRONG),
    }
    records.add(record, f"{record['server']} on {database}", breaches(record, options.iterations))


def breaches(record: Mapping[str, Any], iterations: int) -> list[str]:
    """Broken promises in the record of a run, which must have so many iterations."""
    found = []
    if record["complaints"]:
        found.append(f"{record['complaints']} complaints in the log, {record['such lines'][0]}")
    if record["aborted"]:
        found.append("Synapse gave up all updates")
    if record["left"]:
        found.append(f"{record['left']} updates are left")
    if record["wrong"] or record["keys"] < iterations:
        found.append(f"{record['wrong']} state keys were not restored, of {record['keys']}")
    if record["iterations"] < iterations:
        found.append(f"only {record['iterations']} iterations")
    if record["requests"] < _LEAST_ANSWERED_PER_S * record["s"]:
        found.append(f"only {record['requests']} requests were answered in {record['s']} s")
    if not record["is calm"]:
        found += [f"{name} never happened" for name in record["never happened"]]
        if sum(record["faults"].values()) < _LEAST_FAULTS:
            found.append(f"only {sum(record['faults'].values())} faults")
    (early, late), most = record["RSS early, late"], record["RSS late at most"]
    if late > most:
        found.append(f"memory grew from {early} to {late} MiB, which is more than {most}")
    return found


def most_growth_mib(took_s: float) -> float:
    """Largest growth of the server from the middle of the second fifth to that of the last."""
    return _FIRST_GROWTH_MIB + _GROWTH_MIB_PER_MINUTE * took_s * 0.6 / 60


def _halves(rss: list[tuple[float, int]]) -> tuple[float, float]:
    """Medians of the second and of the last fifth of the values."""
    fifth = max(len(rss) // 5, 1)
    values = [value for value, _ in rss]
    return statistics.median(values[fifth : 2 * fifth] or values), statistics.median(
        values[-fifth:]
    )


if __name__ == "__main__":
    sys.exit(main())
