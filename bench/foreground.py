"""`make bench`: what updates under each controller do to the clients, and how fast they are.

A real Synapse on a real PostgreSQL, load from another process, all controllers in turn in one
server, in short blocks. Prints a table and writes the same as JSON.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import attrs

from bench.statistics import paired, quantile
from harness import batches
from harness.matrix import MatrixClient
from harness.postgres import PostgresServer
from harness.process import ends_with_us
from harness.server import SynapseServer

_ARMS = ("none", "control", "unthrottled", "stock", "nice", "ours 10%", "ours 25%", "adaptive")
_MODULES = {
    "ours 10%": {},
    "ours 25%": {"duty_cycle": "25%"},
    "adaptive": {"duty_cycle": "adaptive"},
}
_DATABASE = "bench"
_ROOMS = 5
_MESSAGES = 200
_EVENTS = 300_000
_DISCARDED_S = 1.0  # of each block: what the one before left behind

_REALISTIC = {"send": 5.25, "sync": 5.25, "messages": 3.0, "profile": 1.5}
_LOADS: dict[str, dict[str, float]] = {
    "idle": {},
    "realistic": _REALISTIC,
    "light": {"whoami": 60.0},
}


@attrs.frozen
class Request:
    due_s: float
    latency_ms: float


class Bench:
    """A server with events, and an update to run on them."""

    def __init__(self, folder: Path, postgres: PostgresServer) -> None:
        self._folder = folder
        self._postgres = postgres
        self._arm_path = folder / "arm"
        self._arm_path.write_text("none")
        postgres.create_database(_DATABASE)
        arms = {"file": str(self._arm_path), "modules": _MODULES}
        arguments = {**postgres.connection(_DATABASE), "cp_min": 5, "cp_max": 10}
        self.server = SynapseServer(
            folder / "server",
            None,
            {
                "modules": [{"module": "bench.arms.Arms", "config": arms}],
                "database": {"name": "psycopg2", "args": arguments},
            },
            module_log_level="WARNING",
        )

    def prepare(self) -> None:
        """Users, rooms and messages by the API, then clones of the messages by SQL."""
        self.user = MatrixClient.register(self.server.url, "alice", admin=True)
        self.rooms = [self.user.create_room(f"room {number}") for number in range(_ROOMS)]
        for number in range(_MESSAGES):
            self.user.send(self.rooms[number % _ROOMS], f"message {number} " + "lorem ipsum " * 8)
        self._arm_path.write_text("unthrottled")
        while self._count("background_updates"):
            time.sleep(0.2)
        self._arm_path.write_text("none")
        with self._postgres.session(_DATABASE) as cursor:
            for table in ("events", "event_json"):
                cursor.execute(
                    "SELECT column_name FROM information_schema.columns WHERE table_name = %s"
                    " AND is_generated = 'NEVER' AND table_schema = 'public'",
                    (table,),
                )
                names = [name for (name,) in cursor.fetchall()]
                values = {
                    "event_id": "t.event_id || '_' || k",
                    "room_id": "'!clones:bgthrottle.test'",
                    "stream_ordering": "-1000000000 + k",
                }
                selected = ", ".join(values.get(name, f"t.{name}") for name in names)
                # In a room of their own, below all real events: no client's request comes by.
                cursor.execute(
                    "WITH originals AS (SELECT event_id, ROW_NUMBER() OVER () AS n FROM events"
                    "  WHERE type = 'm.room.message' AND stream_ordering > 0),"
                    " many AS (SELECT k, event_id FROM generate_series(1, %s) k"
                    "  JOIN originals ON n = 1 + k %% (SELECT COUNT(*) FROM originals))"
                    f" INSERT INTO {table} ({', '.join(names)}) SELECT {selected}"
                    f" FROM many JOIN {table} t ON t.event_id = many.event_id",
                    (_EVENTS,),
                )
            cursor.execute("VACUUM ANALYZE")

    def _count(self, table: str) -> int:
        with self._postgres.session(_DATABASE) as cursor:
            cursor.execute(f"SELECT COUNT(*) FROM {table}")
            (count,) = cursor.fetchone()
            return int(count)

    def queue_again(self) -> None:
        """The reindex of the clones from its beginning, unless enough of it is left."""
        with self._postgres.session(_DATABASE) as cursor:
            cursor.execute("SELECT progress_json FROM background_updates")
            row = cursor.fetchone()
            if row is not None:
                progress = json.loads(row[0])
                left = progress["max_stream_id_exclusive"] + 1_000_000_000
                if left > _EVENTS // 3:
                    return
            low, high = -1_000_000_000, -1_000_000_000 + _EVENTS + 1
            progress = {
                "target_min_stream_id_inclusive": low,
                "max_stream_id_exclusive": high,
                "rows_inserted": 0,
                "have_added_indexes": True,
            }
            cursor.execute("TRUNCATE event_search")
            if row is None:
                cursor.execute(
                    "INSERT INTO background_updates (update_name, progress_json) VALUES (%s, %s)",
                    ("event_search", json.dumps(progress)),
                )
            else:
                cursor.execute(
                    "UPDATE background_updates SET progress_json = %s", (json.dumps(progress),)
                )
        self.user.set_updates_enabled(True)

    def measure(self, load: str, rounds: int, block_s: float) -> dict[str, Any]:
        """Every arm once a round, in a new order each, under this load."""
        source = random.Random(1)
        order = [arm for _ in range(rounds) for arm in source.sample(_ARMS, len(_ARMS))]
        begin_s = time.time() + 2
        plan = {
            "host": "127.0.0.1",
            "port": int(self.server.url.rsplit(":", 1)[1]),
            "token": self.user.token,
            "user_id": "@alice:bgthrottle.test",
            "rooms": self.rooms,
            "begin_s": begin_s,
            "block_s": block_s,
            "blocks": len(order),
            "blocks_per_round": len(_ARMS),
            "rates_per_s": _LOADS[load],
            "output": str(self._folder / f"{load}.txt"),
        }
        plan_path = self._folder / f"{load}.json"
        plan_path.write_text(json.dumps(plan))
        sender = subprocess.Popen(ends_with_us(sys.executable, "-m", "bench.load", str(plan_path)))
        for block, arm in enumerate(order):
            time.sleep(max(begin_s + block * block_s - time.time(), 0))
            self._arm_path.write_text("none" if arm == "control" else arm)
            if arm in ("none", "control"):
                self.queue_again()
        time.sleep(max(begin_s + len(order) * block_s - time.time(), 0))
        self._arm_path.write_text("none")
        sender.wait()
        return self._result(load, order, begin_s, block_s)

    def _result(
        self, load: str, order: list[str], begin_s: float, block_s: float
    ) -> dict[str, Any]:
        requests = []
        for line in (self._folder / f"{load}.txt").read_text().splitlines():
            due_s, latency_ms, _, status = line.split()
            if status != "200":
                raise RuntimeError(f"a request failed: {line}")
            requests.append(Request(float(due_s), float(latency_ms)))
        done = batches.batches(self.server.log(), "event_search")
        blocks: dict[str, list[dict[str, float]]] = {arm: [] for arm in _ARMS}
        for block, arm in enumerate(order):
            low_s = begin_s + block * block_s + _DISCARDED_S
            high_s = begin_s + (block + 1) * block_s
            latencies = [r.latency_ms for r in requests if low_s <= r.due_s < high_s]
            inside = [b for b in done if low_s <= b.end_s < high_s]
            blocks[arm].append(
                {
                    "p50": quantile(latencies, 0.5),
                    "p95": quantile(latencies, 0.95),
                    "items_per_s": sum(b.items for b in inside) / (high_s - low_s),
                    "duty": sum(b.took_s for b in inside) / (high_s - low_s),
                    "batch_p95_s": quantile([b.took_s for b in inside], 0.95),
                }
            )
        return {
            "load": load,
            "block_s": block_s,
            "rounds": len(order) // len(_ARMS),
            "arms": blocks,
        }


def table(result: dict[str, Any]) -> str:
    """The result for people, as Markdown."""
    arms = result["arms"]

    def column(arm: str, name: str) -> list[float]:
        return [block[name] for block in arms[arm]]

    lines = [
        f"{result['load']}: {result['rounds']} rounds, blocks of {result['block_s']:g} s",
        "",
        "| arm | items/s | of unthrottled | share of time in batches"
        " | clients' p50 against none | p95 against none |",
        "|---|---|---|---|---|---|",
    ]
    for arm in _ARMS:
        items = quantile(column(arm, "items_per_s"), 0.5)
        speed = paired(column(arm, "items_per_s"), column("unthrottled", "items_per_s"))
        p50, p95 = (paired(column(arm, p), column("none", p)) for p in ("p50", "p95"))
        duty = quantile(column(arm, "duty"), 0.5)
        cells = (arm, f"{items:.0f}", speed, f"{duty:.0%}", p50 or "", p95 or "")
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="rounds of each load")
    parser.add_argument("--loads", nargs="+", default=list(_LOADS), choices=list(_LOADS))
    parser.add_argument("--output", type=Path, default=Path("bench-foreground.json"))
    options = parser.parse_args()
    results = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with PostgresServer(folder / "postgres") as postgres:
            bench = Bench(folder, postgres)
            with bench.server:
                bench.prepare()
                bench.queue_again()
                for load in options.loads:
                    idle = load == "idle"
                    rounds = max(options.rounds // 2, 2) if idle else options.rounds
                    result = bench.measure(load, rounds, block_s=6 if idle else 4)
                    print(f"{table(result)}\n", flush=True)
                    results.append(result)
    options.output.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
