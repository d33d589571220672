"""Every fault around a real server, stock Synapse beside it: `python -m soak.faults`.

Its exit status is 1 unless the module went on within ten seconds of each fault's end, and did all.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any

import attrs

from harness import faults
from harness.postgres import PostgresServer
from harness.tcp_proxy import TcpProxy
from harness.worlds import PostgresSource, SqliteSource, World
from soak.records import Records

_EVENTS = 30_000
# By default it holds updates while less than 1 GiB is free; here the disk has to be full.
_MODULE = {
    "duty_cycle": "25%",
    "target_duration": "50ms",
    "signals": {"disk_free": "off"},
}
# Stock as near to it as its own settings allow.
_LITTLE_LOG = {"min_wal_size": "32MB", "max_wal_size": "64MB"}
_STOCK = {"background_updates": {"background_update_duration_ms": 50, "sleep_duration_ms": 150}}
# SQLite is quick, and what is done before the fault tells nothing.
_SLOWLY = {**_MODULE, "duty_cycle": "4%"}
_STOCK_SLOWLY = {
    "background_updates": {"background_update_duration_ms": 50, "sleep_duration_ms": 1200}
}

# From the end of a fault to the end of the next batch, at most.
_RECOVERED_WITHIN_S = 10.0
Make = Callable[[World], AbstractContextManager[None]]


def main() -> int:
    parser = argparse.ArgumentParser(prog="soak.faults", description=__doc__)
    parser.add_argument("--output", type=Path, default=Path(".soak/faults"))
    parser.add_argument("--outages", type=float, nargs="*", default=[1, 10, 60])
    parser.add_argument("--only", nargs="*", help="names of faults")
    options = parser.parse_args()
    records = Records(options.output, "Faults, the module and stock Synapse beside it")
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        postgres = stack.enter_context(PostgresServer(Path(folder) / "cluster"))
        proxy = stack.enter_context(TcpProxy(postgres.port))
        run = Run(Path(folder), postgres, records, options.only)
        for outage_s in options.outages:
            run.on_postgres("stopped", outage_s, lambda _: faults.stopped(postgres))
            run.on_postgres("kill -9", outage_s, lambda _: faults.killed(postgres))
        run.on_postgres("crashed", 3, lambda _: faults.crashed(postgres))
        run.on_postgres(
            "restarted in a batch", 0, lambda w: faults.stopped_in_a_batch(postgres, w.database)
        )
        run.on_postgres("connections reset", 10, lambda w: _resets(w, proxy))
        run.on_postgres("sessions ended", 10, lambda w: faults.cut_off(postgres, w.database))
        run.on_postgres(
            "too many connections", 20, lambda w: faults.without_slots(postgres, w.database)
        )
        run.on_postgres("read-only", 20, lambda w: faults.read_only(postgres, w.database))
        run.on_postgres("queue locked", 60, lambda w: faults.queue_locked(postgres, w.database))
        run.on_sqlite("file locked", 40, lambda w: faults.file_locked(w.database))
        run.on_sqlite("suspended", 20, lambda w: faults.suspended(w.server))
        try:
            with faults.small_disk(Path(folder) / "try", 1):
                pass
        except PermissionError as error:
            print(f"No faults of full disks: {error}")
            return records.status()
        run.on_small_tablespace(30)
        run.on_small_tablespace(150)
        run.on_small_cluster(20)
        run.on_small_sqlite(30)
    return records.status()


@attrs.define
class Run:
    """Makes servers, and writes down what became of them."""

    folder: Path
    postgres: PostgresServer
    records: Records
    only: list[str] | None
    _sources: dict[str, Any] = attrs.field(factory=dict, init=False)
    _count: int = attrs.field(default=0, init=False)

    def on_postgres(self, name: str, outage_s: float, make: Make) -> None:
        for is_ours in self._arms(name):
            world = self._source().world(*self._place(), *_arm(is_ours))
            self._record(name, "PostgreSQL", is_ours, outage_s, world, make(world))

    def on_sqlite(self, name: str, outage_s: float, make: Make) -> None:
        for is_ours in self._arms(name):
            world = self._sqlite().world(self._place()[0], *_slow_arm(is_ours))
            self._record(name, "SQLite", is_ours, outage_s, world, make(world))

    def on_small_sqlite(self, outage_s: float) -> None:
        for is_ours in self._arms("file's disk full"):
            with faults.small_disk(self.folder / "disk", 400) as disk:
                path = disk / "homeserver.db"
                world = self._sqlite().world(self._place()[0], *_slow_arm(is_ours), database=path)
                fault = faults.full(disk)
                self._record("file's disk full", "SQLite", is_ours, outage_s, world, fault)

    def on_small_tablespace(self, outage_s: float) -> None:
        """The tables are on the full disk, the log for recovery is not."""
        for is_ours in self._arms("disk full"):
            with self._tablespace() as disk:
                world = self._source().world(*self._place(), *_arm(is_ours), tablespace="small")
                fault = faults.full(disk)
                self._record("disk full", "PostgreSQL", is_ours, outage_s, world, fault)
                with self.postgres.session("postgres") as cursor:
                    cursor.execute(f'DROP DATABASE "{world.database}" WITH (FORCE)')

    def on_small_cluster(self, outage_s: float) -> None:
        """All that PostgreSQL writes is on the full disk; whoever frees it starts it again."""
        for is_ours in self._arms("disk full, log and all"):
            with (
                faults.small_disk(self.folder / "disk", 700) as disk,
                PostgresServer(disk / "cluster", _LITTLE_LOG) as postgres,
            ):
                place, name = self._place()
                source = PostgresSource.make(postgres, place / "source", _EVENTS)
                world = source.world(place, name, *_arm(is_ours))
                fault = _full_and_started_again(disk, postgres)
                kind = "disk full, log and all"
                self._record(kind, "PostgreSQL", is_ours, outage_s, world, fault)

    @contextmanager
    def _tablespace(self) -> Iterator[Path]:
        with faults.small_disk(self.folder / "disk", 400) as disk:
            (disk / "space").mkdir(mode=0o777)
            self.postgres.own(disk / "space")
            with self.postgres.session("postgres") as cursor:
                cursor.execute(f"CREATE TABLESPACE small LOCATION '{disk / 'space'}'")
            yield disk
            with self.postgres.session("postgres") as cursor:
                cursor.execute("DROP TABLESPACE small")

    def _arms(self, name: str) -> tuple[bool, ...]:
        return (True, False) if not self.only or name in self.only else ()

    def _place(self) -> tuple[Path, str]:
        self._count += 1
        return self.folder / f"server{self._count}", f"run{self._count}"

    def _source(self) -> PostgresSource:
        if "postgres" not in self._sources:
            folder = self.folder / "postgres source"
            self._sources["postgres"] = PostgresSource.make(self.postgres, folder, _EVENTS)
        source: PostgresSource = self._sources["postgres"]
        return source

    def _sqlite(self) -> SqliteSource:
        if "sqlite" not in self._sources:
            folder = self.folder / "sqlite source"
            self._sources["sqlite"] = SqliteSource.make(folder, _EVENTS)
        source: SqliteSource = self._sources["sqlite"]
        return source

    def _record(
        self,
        name: str,
        database: str,
        is_ours: bool,
        outage_s: float,
        world: World,
        fault: AbstractContextManager[None],
    ) -> None:
        seen = faults.go_through(world, fault, outage_s)
        record = {
            "fault": name,
            "database": database,
            "for s": outage_s,
            "server": "module" if is_ours else "stock",
            **attrs.asdict(seen),
        }
        run = f"{name} on {database} for {outage_s:g} s"
        self.records.add(record, run, breaches(seen) if is_ours else None)


def breaches(seen: faults.Seen) -> list[str]:
    """What of a run with the module was not as promised."""
    found = (
        "Synapse gave up all updates" if seen.aborted else None,
        f"{seen.left} updates are left" if seen.left else None,
        f"{seen.wrong} rows are missing or there twice" if seen.wrong else None,
        f"{seen.rows} rows at the end, of {seen.expected}" if seen.rows != seen.expected else None,
        _late(seen.recovered_s),
    )
    return [breach for breach in found if breach is not None]


def _late(recovered_s: float | None) -> str | None:
    if recovered_s is None:
        return "there was no batch after it"
    if recovered_s > _RECOVERED_WITHIN_S:
        return f"the next batch came after {recovered_s} s"
    return None


def _arm(is_ours: bool) -> tuple[dict[str, Any] | None, dict[str, Any]]:
    return (_MODULE, {}) if is_ours else (None, _STOCK)


def _slow_arm(is_ours: bool) -> tuple[dict[str, Any] | None, dict[str, Any]]:
    return (_SLOWLY, {}) if is_ours else (None, _STOCK_SLOWLY)


def _resets(world: World, proxy: TcpProxy) -> AbstractContextManager[None]:
    proxy.lead(world.server.config_path)  # not yet started
    return faults.resets(proxy)


@contextmanager
def _full_and_started_again(disk: Path, postgres: PostgresServer) -> Iterator[None]:
    with faults.full(disk):
        yield
    postgres.start()


if __name__ == "__main__":
    sys.exit(main())
