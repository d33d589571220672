"""Connections to PostgreSQL that break in the middle of a batch."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from testbed.faults import faults
from testbed.faults.misbehaving_updates import Oddity
from testbed.faults.misbehaving_worlds import OddSource, OddWorld
from testbed.faults.restarts import API
from testbed.observe import batch_log
from testbed.observe.forbidden_log_lines import complaints
from testbed.servers.tcp_proxy import TcpProxy
from testbed.waiting import stays_true, wait_until

# So long that what is done to a batch that has just begun happens in it, on a busy machine too.
_BATCH_S = 2.0
_ODD = Oddity("odd", 100_000, cost_ms=_BATCH_S * 1000 / 50, batch_items=50)
_BRISKLY = {"sleep": "50ms"}


@pytest.fixture
def proxy(odd_source: OddSource) -> Iterator[TcpProxy]:
    with TcpProxy(odd_source.postgres.port) as proxy:
        yield proxy


@contextmanager
def running(source: OddSource, folder: Path, proxy: TcpProxy, name: str) -> Iterator[OddWorld]:
    """A server that reaches its databases through the proxy, some batches after its start."""
    world = source.world(folder, name, _BRISKLY, (_ODD,))
    proxy.lead(world.server.config_path)
    with world.server:
        wait_until(lambda: len(batch_log.batches(world.server.log(), "odd")) > 1)
        yield world


def wait_for_a_batch(world: OddWorld) -> int:
    """Until the database is at work on one, and will be for a while; how long the log is then."""
    wait_until(lambda: _works(world, _BATCH_S / 2))
    return len(world.server.log().encode())


def _works(world: OddWorld, since_s: float) -> bool:
    """Whether a batch of the update has been at work in the database for less than this."""
    (count,) = world.query(
        "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database()"
        " AND state = 'active' AND query LIKE 'SELECT pg_sleep%'"
        f" AND NOW() - query_start < INTERVAL '{since_s}s'"
    )[0]
    return bool(count)


def _no_batch(world: OddWorld, begin: int) -> bool:
    return [] == batch_log.batches(world.server.log(begin), "odd")


def goes_on(world: OddWorld, begin: int) -> int:
    """Another batch, and no row is missing or there twice; how many iterations failed since."""
    wait_until(lambda: batch_log.batches(world.server.log(begin), "odd"))
    failed = world.server.log(begin).count("Error doing update")
    assert not faults.has_aborted(world.server)
    world.admin.call("POST", f"{API}/pause", {"for": "1h"})
    wait_until(lambda: not _works(world, 60) and world.wrong() == 0)
    world.admin.call("POST", f"{API}/resume", {})
    return failed


def test_one_fault_after_another(odd_source: OddSource, proxy: TcpProxy, tmp_path: Path) -> None:
    """Reset, silent, silent and then reset, restarted: each in a batch, and it goes on."""
    with running(odd_source, tmp_path, proxy, "faults") as world:
        begin = wait_for_a_batch(world)
        assert proxy.reset() >= 4  # both ends of two databases
        assert goes_on(world, begin) in (1, 2)  # the neighbour may have been in one too

        begin = wait_for_a_batch(world)
        with proxy.silent():
            assert stays_true(partial(_no_batch, world, begin), _BATCH_S + 1)
        assert 0 == goes_on(world, begin)  # what was on its way has come

        begin = wait_for_a_batch(world)
        with proxy.silent():  # as a router does that forgot the connections
            wait_until(lambda: not _works(world, 60))
            proxy.reset()
        assert goes_on(world, begin) in (1, 2)

        begin = wait_for_a_batch(world)
        with faults.stopped(odd_source.postgres):
            pass
        assert goes_on(world, begin) in (1, 2)


def test_disabled_amid_a_question(odd_source: OddSource, proxy: TcpProxy, tmp_path: Path) -> None:
    """The updater's loop ends while the database is still asked: the late answer harms nothing."""
    with running(odd_source, tmp_path, proxy, "disabled") as world:
        world.admin.call("GET", f"{API}/status")  # so that the token is known by heart
        begin = wait_for_a_batch(world)
        with proxy.silent():
            proxy.reset()
            wait_until(lambda: "Holding odd in master" in world.server.log(begin))
            # The pool has given all broken connections away, and new ones hang.
            wait_until(lambda: proxy.connections >= 2)
            world.admin.set_updates_enabled(False)
            assert stays_true(lambda: [] == complaints(world.server.log()), 2)
        world.admin.set_updates_enabled(True)
        assert goes_on(world, begin) in (1, 2)
        assert [] == complaints(world.server.log())


def test_answers_right_after_the_connections_were_lost(
    odd_source: OddSource, tmp_path: Path
) -> None:
    """Status, levers and histories are answered at once where the database was only restarted.

    Each connection of Synapse's pool is dead then, which it finds out one by one.
    """
    world = odd_source.world(tmp_path, "answers", _BRISKLY, (_ODD,))
    with world.server:
        admin = world.admin
        admin.call("POST", f"{API}/pause", {"for": "1h"})
        for request in (
            ("GET", f"{API}/status"),
            ("GET", f"{API}/uses"),
            ("POST", f"{API}/pause", {"for": "2h"}),
        ):
            with ThreadPoolExecutor(8) as threads:  # so that there are several connections
                list(threads.map(lambda _: admin.call("GET", f"{API}/uses"), range(32)))
            for name in world.names.values():
                faults.end_sessions(odd_source.postgres, name)
            admin.call(*request)
        assert 2 == len(admin.call("GET", f"{API}/uses")["uses"])
