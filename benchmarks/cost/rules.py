"""`make bench-rules`: whether a real server keeps limits, and the cost of the module itself.

The exit status is 1 if a limit was not kept.
"""

import gc
import shutil
import statistics
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from twisted.internet.defer import ensureDeferred

from synapse_bgthrottle import BackgroundUpdateThrottle
from testbed.faults import sqlite_data
from testbed.observe import batch_log
from testbed.servers.matrix import MatrixClient
from testbed.servers.server import SynapseServer
from testbed.virtual.server import VirtualServer

_EVENTS = 200_000
_MESSAGES = 150
_STATE_KEYS = "events_populate_state_key_rejections"
_COUNTS = {
    "event_search": "SELECT COUNT(*) FROM event_search",
    "state keys": sqlite_data.STATE_KEYS_SQL,
    "room_stats_state": "SELECT COUNT(*) FROM room_stats_state",
    "room_stats_current": "SELECT COUNT(*) FROM room_stats_current",
    "user_directory": "SELECT COUNT(*) FROM user_directory",
    "indexes": "SELECT COUNT(*) FROM sqlite_master WHERE type = 'index'"
    " AND tbl_name NOT LIKE 'bgthrottle%'",
    "pending": "SELECT COUNT(*) FROM background_updates",
}


def main() -> int:
    print(f"Python {sys.version.split()[0]}, {_EVENTS} events, SQLite")
    with tempfile.TemporaryDirectory() as folder:
        template = _template(Path(folder))
        broken = [
            *_duty_cycle(Path(folder), template),
            *_rate(Path(folder), template),
            *_maximum(Path(folder), template),
            *_rows(Path(folder), template),
        ]
        _cpu_on_the_server(Path(folder), template)
    _cost_per_iteration()
    _memory()
    for line in broken:
        print(f"NOT KEPT: {line}")
    return 1 if broken else 0


def _template(folder: Path) -> Path:
    # Synapse's own updates sleep meanwhile, so that all of a new database's stay pending.
    stock = {"background_updates": {"sleep_duration_ms": 3_600_000}}
    with SynapseServer(folder / "template", None, stock) as server:
        user = MatrixClient.register(server.url, "alice", admin=False)
        room_id = user.create_room("a room")
        for number in range(_MESSAGES):
            user.send(room_id, f"message {number}")
    sqlite_data.multiply_events(server.database_path, _EVENTS)
    return server.database_path


def _run(
    folder: Path,
    template: Path,
    config: dict[str, Any] | None,
    queue: Callable[[Path], int],
    longest_s: float,
    *,
    alone: bool = True,
) -> SynapseServer:
    """Run a server on a copy until its queue is empty; `alone` first removes all other updates."""
    stock = {"background_updates": {"sleep_enabled": False}} if config is None else {}
    server = SynapseServer(folder / f"run{time.monotonic_ns()}", config, stock)
    shutil.copy(template, server.database_path)
    if alone:
        sqlite_data.clear_queue(server.database_path)
    queue(server.database_path)
    with server:
        end = time.monotonic() + longest_s
        while sqlite_data.pending_updates(server.database_path) and time.monotonic() < end:
            time.sleep(0.2)
    return server


def _duty_cycle(folder: Path, template: Path) -> Iterator[str]:
    for asked in (0.1, 0.25, 0.5):
        config = {"duty_cycle": f"{asked:.0%}", "target_duration": "40ms"}
        server = _run(folder, template, config, sqlite_data.queue_search_reindex, 60)
        found = batch_log.batches(server.log(), "event_search")
        ours = [
            b for b in batch_log.module_batches(server.log()) if b.update_name == "event_search"
        ]
        work_ms = sum(batch.took_ms for batch in ours[:-1])
        own = work_ms / (work_ms + sum(batch.wait_ms for batch in ours[1:]))
        measured = batch_log.duty_cycle(found)
        print(
            f"duty cycle asked {asked:.0%}: measured {measured:.1%} by Synapse's log,"
            f" {own:.1%} by ours, over {len(found)} batches"
        )
        if max(measured, own) > asked:
            yield f"a duty cycle of {max(measured, own):.1%}, not {asked:.0%}"


def _rate(folder: Path, template: Path) -> Iterator[str]:
    config = {"duty_cycle": "100%", "max_items_per_second": 200}
    server = _run(folder, template, config, sqlite_data.queue_state_keys, 60)
    found = batch_log.batches(server.log(), _STATE_KEYS)
    # Skip the first batch, which has the default size.
    full = [batch for batch in found[1:] if batch.start_s < found[-1].start_s - 10]
    sums = [
        sum(other.items for other in found if batch.start_s <= other.start_s < batch.start_s + 10)
        for batch in full
    ]
    print(
        f"asked 200 items/s: {min(sums) / 10:.1f} to {max(sums) / 10:.1f} items/s in any 10 s,"
        f" one batch being {max(batch.items for batch in found)} items ({len(found)} batches)"
    )
    if max(sums) > 2000:
        yield f"{max(sums) / 10:.1f} items/s, not 200"


def _cpu_on_the_server(folder: Path, template: Path) -> None:
    # With a target of 0 stock's batches have the least size, so both arms have the same batches.
    stock = {
        "sleep_enabled": False,
        "background_update_duration_ms": 0,
        "min_batch_size": 50,
        "default_batch_size": 50,
    }
    config = {"sleep": 0, "max_batch_size": 50, "default_batch_size": 50}
    costs_us = []
    for number in range(12):
        arm, extra = (config, {}) if number % 2 else (None, {"background_updates": stock})
        server = SynapseServer(folder / f"cpu{number}", arm, extra, module_log_level="INFO")
        shutil.copy(template, server.database_path)
        sqlite_data.clear_queue(server.database_path)
        sqlite_data.queue_state_keys(server.database_path)
        with server:
            begin_s = server.cpu_s()
            while sqlite_data.pending_updates(server.database_path):
                time.sleep(0.2)
            cpu_s = server.cpu_s() - begin_s
        costs_us.append(cpu_s / len(batch_log.batches(server.log(), _STATE_KEYS)) * 1e6)
    own_us = [ours - stock for stock, ours in zip(costs_us[::2], costs_us[1::2], strict=True)]
    print(
        "CPU time a batch on the server, with the module less without, the same batches:"
        f" median {statistics.median(own_us):.0f} µs, pairs"
        f" {', '.join(f'{cost:.0f}' for cost in own_us)} (a batch in all:"
        f" {statistics.median(costs_us[::2]):.0f} µs without)"
    )


def _maximum(folder: Path, template: Path) -> Iterator[str]:
    config = {"sleep": 0, "max_batch_size": 50}
    server = _run(folder, template, config, sqlite_data.queue_state_keys, 120)
    found = batch_log.batches(server.log(), _STATE_KEYS)
    largest = max(batch.size for batch in found)
    print(f"max_batch_size 50: largest of {len(found)} batches in Synapse's log: {largest}")
    if largest > 50:
        yield f"a batch of {largest}, not 50"


def _rows(folder: Path, template: Path) -> Iterator[str]:
    def queue(database: Path) -> int:
        sqlite_data.queue_state_keys(database, ordering=1_000_000)
        return sqlite_data.queue_search_reindex(database, ordering=1_000_001)

    counts = []
    config = {"duty_cycle": "90%", "rules": [{"one_shot": True, "sleep": "10ms"}]}
    for arm in (None, config):
        server = _run(folder, template, arm, queue, 240, alone=False)
        updates = {batch.update_name for batch in batch_log.batches(server.log())}
        rows = {
            name: sqlite_data.count_rows(server.database_path, sql) for name, sql in _COUNTS.items()
        }
        counts.append({"updates run": len(updates), **rows})
    without, with_module = counts
    for name, expected in without.items():
        line = f"rows, {name}: {expected} without the module, {with_module[name]} with it"
        print(line)
        if with_module[name] != expected:
            yield line


def _cost_per_iteration() -> None:
    rules = [{"update": f"event_{n}_*", "duty_cycle": "20%"} for n in range(1000)]
    for title, config in (
        ("no rule", {"duty_cycle": "50%"}),
        ("1000 rules, none of which matches", {"duty_cycle": "50%", "rules": rules}),
        ("exact batches", {"duty_cycle": "50%", "max_batch_size": 100}),
    ):
        for probed in (False, True):
            cost_us = _iterations(config, probed)
            what = "a question to the database each" if probed else "none asked"
            print(f"own CPU time an iteration: {cost_us:.0f} µs ({title}; {what})")


def _iterations(config: dict[str, Any], probed: bool) -> float:
    """CPU time of one whole iteration in µs, with the stand-in for the clock."""
    server = VirtualServer()
    module = server.load(config)
    rounds = 20_000
    # The batch's duration decides: after more than 250 ms the database is probed first.
    begin = time.process_time()
    _iterate(server, module, rounds, batch_s=0.4 if probed else 0.1)
    return (time.process_time() - begin) / rounds * 1e6


def _iterate(
    server: VirtualServer, module: BackgroundUpdateThrottle, rounds: int, batch_s: float
) -> None:
    """Iterate as Synapse does, with batches that cost no CPU time."""

    async def run() -> None:
        for _ in range(rounds):
            async with module.on_update("work", "master", False):
                await module.min_batch_size("work", "master")
                server.clock.reactor.rightNow += batch_s

    with server.in_charge():
        running = ensureDeferred(run())
        while not running.called:
            server.advance(batch_s * 100)


def _memory() -> None:
    rules = [{"update": [f"event_{n}_*", f"other_{n}"], "sleep": "1s"} for n in range(1000)]
    warm = VirtualServer()
    _iterate(warm, warm.load({}), 1000, batch_s=0.1)  # warm up: some things are made only once
    server = VirtualServer()
    tracemalloc.start()
    module = server.load({"duty_cycle": "50%", "rules": rules})
    gc.collect()
    sizes = [tracemalloc.get_traced_memory()[0]]
    for _ in range(2):
        _iterate(server, module, 50_000, batch_s=0.1)
        gc.collect()
        sizes.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    print(
        f"memory: {sizes[0] / 1024:.0f} KiB with 1000 rules, {sizes[1] / 1024:.0f} after 50000"
        f" iterations, {sizes[2] / 1024:.0f} after 100000"
    )


if __name__ == "__main__":
    sys.exit(main())
