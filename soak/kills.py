"""SIGTERM and kill -9 at random moments, 200 times while updates run: `python -m soak.kills`."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import attrs

from harness.kills import end_while_running
from harness.postgres import PostgresServer
from harness.worlds import PostgresSource, SqliteSource, World
from soak.records import Records

_EVENTS = 80_000
_MODULE = {"sleep": "300ms", "target_duration": "20ms"}
_STOCK = {"background_updates": {"sleep_enabled": False}}

Make = Callable[[str, Any, Any], World]


def main() -> int:
    parser = argparse.ArgumentParser(prog="soak.kills", description=__doc__)
    parser.add_argument("--output", type=Path, default=Path(".soak/kills"))
    parser.add_argument("--times", type=int, default=100, help="on each database")
    parser.add_argument("--databases", nargs="*", default=["sqlite", "postgres"])
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    records = Records(options.output, "A server ended at random moments while updates run")
    well = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for database in options.databases:
            if database == "sqlite":
                sqlite = SqliteSource.make(folder / "sqlite", _EVENTS)
                well.append(_run(partial(_on_sqlite, sqlite, folder), database, options, records))
                continue
            with PostgresServer(folder / "cluster") as cluster:
                postgres = PostgresSource.make(cluster, folder / "postgres", _EVENTS)
                make = partial(_on_postgres, postgres, folder)
                well.append(_run(make, database, options, records))
    return 0 if all(well) else 1


def _on_sqlite(source: SqliteSource, folder: Path, name: str, module: Any, extra: Any) -> World:
    return source.world(folder / name, module, extra)


def _on_postgres(source: PostgresSource, folder: Path, name: str, module: Any, extra: Any) -> World:
    return source.world(folder / name, name, module, extra)


def _run(make: Make, database: str, options: Any, records: Records) -> bool:
    stock = make(f"stock_{database}", None, _STOCK)
    with stock.server:
        while stock.pending():
            time.sleep(0.2)
    ours = make(f"ours_{database}", _MODULE, None)
    seen = end_while_running(ours, options.times, options.seed)
    is_same = ours.fingerprint() == stock.fingerprint()
    records.add({"database": database, **attrs.asdict(seen), "same as stock": is_same})
    return seen.is_well and is_same


if __name__ == "__main__":
    sys.exit(main())
