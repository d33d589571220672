"""Runs a fault on several servers in turn: with the module, by default, and stock."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import attrs

from soak.faults.fault_verdicts import Expected, breaches, breaches_of_stock, unlike_the_table
from soak.records import Records
from synapse_bgthrottle.core.signals.samples import CheckSample
from synapse_bgthrottle.core.signals.signal import PERIOD_S
from synapse_bgthrottle.core.signals.signal_state import SHORTEST_HOLD_S
from testbed.faults import outcome
from testbed.faults.reindex_worlds import PostgresSource, SqliteSource, World
from testbed.servers import disks
from testbed.servers.postgres import PostgresServer

_EVENTS = 30_000
SMALL_MIB, SMALL_CLUSTER_MIB = 400, 700
# By default updates are held below 1 GiB of free space, and go on from 1.43 GiB.
ROOMY_MIB = 2200
_LITTLE_LOG = {"min_wal_size": "32MB", "max_wal_size": "64MB"}

# From the end of a fault to the end of the next batch, if `disk_free` holds updates. It is checked
# every 10 s, and holds for at least 10 s. So a check that comes a moment too early needs another.
DISK_SEEN_WITHIN_S = SHORTEST_HOLD_S + PERIOD_S[CheckSample]

Make = Callable[[World], AbstractContextManager[None]]


@attrs.frozen
class Arm:
    """The configuration of a server.

    Attributes:
        server: its name in the table.
        module: configuration of the module; None: stock Synapse.
        extra: further keys of homeserver.yaml.
    """

    server: str
    module: dict[str, Any] | None
    extra: dict[str, Any] = attrs.field(factory=dict)


def _stock(sleep_ms: int) -> Arm:
    settings = {"background_update_duration_ms": 50, "sleep_duration_ms": sleep_ms}
    return Arm("stock", None, {"background_updates": settings})


def _module(duty_cycle: str) -> Arm:
    # Without `disk_free`, which would prevent that the disk becomes full.
    signals = {"disk_free": "off"}
    return Arm("module", {"duty_cycle": duty_cycle, "target_duration": "50ms", "signals": signals})


def _default(most: str) -> Arm:
    # The adaptive default, but slower: without clients it would be done before the fault.
    return Arm("default", {"max_duty_cycle": most})


# Stock Synapse, as similar to the module as its own settings allow.
PAIR = (_module("25%"), _stock(150))
DEFAULT = (_default("25%"),)
# SQLite is quick, and an update that is done before the fault proves nothing.
SLOW_PAIR = (_module("4%"), _stock(1200))
SLOW_DEFAULT = (_default("4%"),)
ALL, ALL_SLOW = (*DEFAULT, *PAIR), (*SLOW_DEFAULT, *SLOW_PAIR)


@attrs.frozen
class Case:
    """A fault, the servers that have it, and the promise.

    Attributes:
        name: of the fault.
        outage_s: its duration.
        arms: the servers.
        batch: number of the batch after it that proves that updates go on.
        expected: its effect on each server.
        disk_mib: size of the disk, for a full disk.
    """

    name: str
    outage_s: float
    arms: Sequence[Arm] = PAIR
    batch: int = 1
    expected: Expected = attrs.field(factory=Expected)
    disk_mib: int = SMALL_MIB


@attrs.define
class Run:
    """Makes servers, and records their outcomes.

    Attributes:
        only: names of faults; empty: all.
        servers: names of arms; empty: all.
    """

    folder: Path
    postgres: PostgresServer
    records: Records
    only: Sequence[str] = ()
    servers: Sequence[str] = ()
    _sources: dict[str, Any] = attrs.field(factory=dict, init=False)
    _count: int = attrs.field(default=0, init=False)

    def on_postgres(self, case: Case, make: Make) -> None:
        for arm in self._arms(case):
            world = self._source().world(*self._place(), arm.module, arm.extra)
            self._record(case, "PostgreSQL", arm, world, make(world))

    def on_sqlite(self, case: Case, make: Make) -> None:
        for arm in self._arms(case):
            world = self._sqlite().world(self._place()[0], arm.module, arm.extra)
            self._record(case, "SQLite", arm, world, make(world))

    def on_small_sqlite(self, case: Case) -> None:
        for arm in self._arms(case):
            with disks.small_disk(self.folder / "disk", case.disk_mib) as disk:
                path = disk / "homeserver.db"
                folder, _ = self._place()
                world = self._sqlite().world(folder, arm.module, arm.extra, database=path)
                self._record(case, "SQLite", arm, world, disks.full(disk))

    def on_small_tablespace(self, case: Case) -> None:
        """The tables are on the full disk; the write-ahead log is not."""
        for arm in self._arms(case):
            with self._tablespace(case.disk_mib) as disk:
                place = self._place()
                world = self._source().world(*place, arm.module, arm.extra, tablespace="small")
                self._record(case, "PostgreSQL", arm, world, disks.full(disk))
                with self.postgres.session("postgres") as cursor:
                    cursor.execute(f'DROP DATABASE "{world.database}" WITH (FORCE)')

    def on_small_cluster(self, case: Case) -> None:
        """All of PostgreSQL is on the full disk. When it is freed, PostgreSQL is started again."""
        for arm in self._arms(case):
            with (
                disks.small_disk(self.folder / "disk", case.disk_mib) as disk,
                PostgresServer(disk / "cluster", _LITTLE_LOG) as postgres,
            ):
                place, name = self._place()
                source = PostgresSource.make(postgres, place / "source", _EVENTS)
                world = source.world(place, name, arm.module, arm.extra)
                fault = _full_and_started_again(disk, postgres)
                self._record(case, "PostgreSQL", arm, world, fault)

    @contextmanager
    def _tablespace(self, size_mib: int) -> Iterator[Path]:
        with disks.small_disk(self.folder / "disk", size_mib) as disk:
            (disk / "space").mkdir(mode=0o777)
            self.postgres.own(disk / "space")
            with self.postgres.session("postgres") as cursor:
                cursor.execute(f"CREATE TABLESPACE small LOCATION '{disk / 'space'}'")
            yield disk
            with self.postgres.session("postgres") as cursor:
                cursor.execute("DROP TABLESPACE small")

    def _arms(self, case: Case) -> Iterator[Arm]:
        if not self.only or case.name in self.only:
            yield from (arm for arm in case.arms if not self.servers or arm.server in self.servers)

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
        case: Case,
        database: str,
        arm: Arm,
        world: World,
        fault: AbstractContextManager[None],
    ) -> None:
        seen = outcome.observe_fault(world, fault, case.outage_s, batch=case.batch)
        record = {
            "fault": case.name,
            "database": database,
            "for s": case.outage_s,
            "server": arm.server,
            **attrs.asdict(seen),
        }
        run = f"{case.name} on {database} for {case.outage_s:g} s, {arm.server}"
        if arm.module is None:
            record["unlike the table"] = unlike_the_table(seen, case.expected)
            judge = breaches_of_stock
        else:
            judge = breaches
        self.records.add(record, run, judge(seen, case.expected))


@contextmanager
def _full_and_started_again(disk: Path, postgres: PostgresServer) -> Iterator[None]:
    with disks.full(disk):
        yield
    postgres.start()
