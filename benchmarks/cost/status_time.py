"""How long the module's status takes with many updates pending.

`python -m benchmarks.cost.status_time` starts a new server whose first update is paused. Most
pending updates are Synapse's own, with invented ones behind them. One administrator requests the
status repeatedly.
"""

import argparse
import http.client
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks.latency.statistics import quantile
from testbed.faults import sqlite_data
from testbed.faults.reindex_worlds import synapse_database
from testbed.faults.restarts import API
from testbed.servers.matrix import MatrixClient
from testbed.servers.postgres import PostgresServer
from testbed.servers.server import SynapseServer

_AIM_MS = 50.0
_COUNT = "SELECT COUNT(*) FROM background_updates"
# It waits for ever behind an update without approval.
_MODULE = {"rules": [{"update": "*", "approval": "required"}]}


@contextmanager
def _server(engine: str, folder: Path) -> Iterator[tuple[SynapseServer, Callable[[str], Any]]]:
    """A new server, not yet started, and a function that runs SQL on its database."""
    if engine == "sqlite":
        server = SynapseServer(folder / "server", _MODULE, module_log_level="INFO")
        path = server.database_path
        yield (
            server,
            lambda sql: (sqlite_data.rows if sql == _COUNT else sqlite_data.change)(path, sql),
        )
        return
    with PostgresServer(folder / "postgres") as postgres:
        postgres.create_database("status")

        def run(sql: str) -> Any:
            with postgres.session("status") as cursor:
                cursor.execute(sql)
                return cursor.fetchall() if sql == _COUNT else None

        extra = synapse_database(postgres, "status")
        yield SynapseServer(folder / "server", _MODULE, extra, module_log_level="INFO"), run


def _invent(run: Callable[[str], Any], pending: int) -> None:
    ((real,),) = run(_COUNT)
    names = [f"invented_update_{number}" for number in range(pending - real)]
    rows = ", ".join(f"('{name}', '{{}}', 1000000)" for name in names)
    run(f"INSERT INTO background_updates (update_name, progress_json, ordering) VALUES {rows}")


def _ask(url: str, token: str, requests: int) -> tuple[list[float], int]:
    """The ms of each request, and the number of updates in the last answer."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
    headers = {"Authorization": f"Bearer {token}"}
    took_ms = []
    told: Any = None
    for _ in range(requests):
        begin_s = time.perf_counter()
        connection.request("GET", f"{API}/status", headers=headers)
        answer = connection.getresponse()
        body = answer.read()
        took_ms.append((time.perf_counter() - begin_s) * 1000)
        told = json.loads(body)
    connection.close()
    return took_ms, len(told["databases"][0]["pending"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pending", type=int, default=200, help="updates in the queue")
    parser.add_argument("--requests", type=int, default=200)
    options = parser.parse_args()
    print("| database | pending | median ms | 95th percentile ms | server's CPU ms | aim ms |")
    print("|---|---|---|---|---|---|")
    for engine in ("sqlite", "postgres"):
        with (
            tempfile.TemporaryDirectory() as folder,
            _server(engine, Path(folder)) as (server, run),
            server,
        ):
            admin = MatrixClient.register(server.url, "admin", admin=True)
            _invent(run, options.pending)
            _ask(server.url, admin.token, 20)
            before_s = server.cpu_s()
            took_ms, pending = _ask(server.url, admin.token, options.requests)
            cpu_ms = (server.cpu_s() - before_s) * 1000 / options.requests
            figures = f"{statistics.median(took_ms):.1f} | {quantile(took_ms, 0.95):.1f}"
            print(f"| {engine} | {pending} | {figures} | {cpu_ms:.1f} | {_AIM_MS:.0f} |")


if __name__ == "__main__":
    main()
