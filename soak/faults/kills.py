"""SIGTERM and `kill -9` at random moments, 200 times while updates run.

`python -m soak.faults.kills`. The exit status is 1 if an acknowledged lever or a row is lost, or if
the index differs from stock's in the end.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import attrs

from soak.records import Records, broken
from testbed.faults.reindex_worlds import PostgresSource, SqliteSource, World
from testbed.faults.restarts import RunningKills, end_while_running
from testbed.servers.postgres import PostgresServer
from testbed.waiting import wait_until

_EVENTS = 80_000
_MODULE = {"sleep": "300ms", "target_duration": "20ms"}
_STOCK = {"background_updates": {"sleep_enabled": False}}
_LONGEST_STOP_S = 2.0  # 0.3 s were seen
# With less progress the run proves nothing. Most starts that do not end at once make progress.
_LEAST_RAN = 0.3

Make = Callable[[str, Any, Any], World]


def main() -> int:
    parser = argparse.ArgumentParser(prog="soak.faults.kills", description=__doc__)
    parser.add_argument("--output", type=Path, default=Path(".soak/kills"))
    parser.add_argument("--times", type=int, default=100, help="on each database")
    parser.add_argument("--databases", nargs="*", default=["sqlite", "postgres"])
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    records = Records(options.output, "A server ended at random moments while updates run")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for database in options.databases:
            if database == "sqlite":
                sqlite = SqliteSource.make(folder / "sqlite", _EVENTS)
                _run(partial(_on_sqlite, sqlite, folder), database, options, records)
                continue
            with PostgresServer(folder / "cluster") as cluster:
                postgres = PostgresSource.make(cluster, folder / "postgres", _EVENTS)
                make = partial(_on_postgres, postgres, folder)
                _run(make, database, options, records)
    return records.status()


def _on_sqlite(source: SqliteSource, folder: Path, name: str, module: Any, extra: Any) -> World:
    return source.world(folder / name, module, extra)


def _on_postgres(source: PostgresSource, folder: Path, name: str, module: Any, extra: Any) -> World:
    return source.world(folder / name, name, module, extra)


def _run(make: Make, database: str, options: Any, records: Records) -> None:
    stock = make(f"stock_{database}", None, _STOCK)
    with stock.server:
        wait_until(lambda: not stock.pending())
    ours = make(f"ours_{database}", _MODULE, None)
    seen = end_while_running(ours, options.times, options.seed)
    is_same = ours.fingerprint() == stock.fingerprint()
    record = {"database": database, **attrs.asdict(seen), "same as stock": is_same}
    records.add(record, database, breaches(seen, options.times, is_same=is_same))


def breaches(
    seen: RunningKills, times: int, *, is_same: bool, longest_stop_s: float = _LONGEST_STOP_S
) -> list[str]:
    """Broken promises of a server that was ended this often.

    Args:
        seen: its outcome.
        times: how often it was ended.
        is_same: whether its index equals that of stock Synapse in the end.
        longest_stop_s: how long SIGTERM may take.
    """
    return broken(
        {
            f"{seen.lost} acknowledged levers were lost": seen.lost,
            f"{seen.back} levers that were ended were back": seen.back,
            f"{seen.wrong} times the rows were not what the update said": seen.wrong,
            f"{seen.backwards} times the update was not as far as before": seen.backwards,
            f"{seen.left} updates are left": seen.left,
            f"{seen.rows} rows at the end, of {seen.expected}": seen.rows != seen.expected,
            "the index is not the same as stock's": not is_same,
            "the database is not intact": not seen.is_intact,
            f"{seen.complaints} complaints in the log": seen.complaints,
            f"{seen.bad_exits} times the exit status was not 0": seen.bad_exits,
            f"SIGTERM took {seen.slowest_stop_s} s": seen.slowest_stop_s > longest_stop_s,
            f"the update went on {seen.progressed} times only": seen.progressed
            < times * _LEAST_RAN,
        }
    )


if __name__ == "__main__":
    sys.exit(main())
