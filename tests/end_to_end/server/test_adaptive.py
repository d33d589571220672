"""The adaptive pace and budgets on a real server."""

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from testbed.faults import sqlite_data
from testbed.faults.restarts import API
from testbed.observe import batch_log
from testbed.waiting import wait_until
from tests.end_to_end.conftest import RealServer

MakeServer = Callable[..., RealServer]

REINDEX = "event_search"


class Check(BaseHTTPRequestHandler):
    """Answers the status that the test wants."""

    status = 503

    def do_GET(self) -> None:
        self.send_response(type(self).status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Not on the terminal."""


@pytest.fixture
def check_url() -> Iterator[str]:
    """An operator's own check on 127.0.0.1."""
    server = HTTPServer(("127.0.0.1", 0), Check)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


def test_idle_server_has_no_rests(make_server: MakeServer) -> None:
    """Without a configuration, and without clients, no batch is rested after, or waited with."""
    server = make_server({})
    rows = sqlite_data.queue_search_reindex(server.synapse.database_path)
    with server.synapse:
        wait_until(lambda: sqlite_data.pending_updates(server.synapse.database_path) == 0)
        wait_until(lambda: _of_history(server)["outcome"] == "done")
        waited_ms = _of_history(server)["waited_ms"]
    # What the database does not answer in time for, on a busy machine, is no rest.
    assert set() == set(waited_ms) - {"levers", "database"}
    assert "duty cycle adaptive, balanced" in server.synapse.log()
    path = server.synapse.database_path
    assert rows == sqlite_data.count_rows(path, "SELECT COUNT(*) FROM event_search")


def _of_history(server: RealServer) -> Any:
    (entry,) = server.admin.call("GET", f"{API}/history?update={REINDEX}")["history"]
    return entry


def test_budgets_of_the_operator(make_server: MakeServer, check_url: str, tmp_path: Path) -> None:
    """A file, an HTTP check and a query hold updates, each with its reason, until they let go."""
    pause_file = tmp_path / "pause"
    held = make_server(
        {
            "max_items_per_second": 2000,
            "signals": {
                "pause_file": str(pause_file),
                "http": check_url,
                "sql": {"query": "SELECT COUNT(*) FROM users", "threshold": 50},
                "disk_free": "1B",
            },
        }
    )
    pause_file.touch()
    path = held.synapse.database_path
    rows = sqlite_data.queue_search_reindex(path)
    with held.synapse:
        wait_until(lambda: "Holding event_search" in held.synapse.log())
        wait_until(lambda: f"behind it: pause_file {pause_file}\n" in held.synapse.log())
        assert [] == batch_log.batches(held.synapse.log(), REINDEX)
        pause_file.unlink()
        wait_until(lambda: "behind it: http answers 503\n" in held.synapse.log())
        assert [] == batch_log.batches(held.synapse.log(), REINDEX)
        Check.status = 200
        wait_until(lambda: "Going on with event_search" in held.synapse.log())
        wait_until(lambda: sqlite_data.pending_updates(path) == 0)
    assert rows == sqlite_data.count_rows(path, "SELECT COUNT(*) FROM event_search")


def test_a_budget_that_cannot_be_read_is_closed(make_server: MakeServer) -> None:
    """Loudly: the query has an error, which is told, and no batch runs."""
    query = {"query": "SELECT a FROM nowhere", "threshold": 1}
    server = make_server({"signals": {"sql": query}})
    sqlite_data.queue_search_reindex(server.synapse.database_path)
    with server.synapse:
        wait_until(lambda: "sql is configured and cannot be read" in server.synapse.log())
    log = server.synapse.log()
    assert "no such table: nowhere" in log
    assert "WARNING" in next(line for line in log.splitlines() if "cannot be read" in line)
    assert [] == batch_log.batches(log, REINDEX)
