"""Does a pause survive kill -9? `python -m bench.kills --times 100`, on SQLite or PostgreSQL."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from harness import data
from harness.kills import kill_after_pauses
from harness.matrix import MatrixClient
from harness.postgres import PostgresServer
from harness.server import SynapseServer

_UPDATE = "populate_stats_process_rooms"


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.kills", description=__doc__)
    parser.add_argument("--times", type=int, default=100)
    parser.add_argument("--database", choices=("sqlite", "postgres"), default="sqlite")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if options.database == "sqlite":
            return _on_sqlite(Path(folder), options.times)
        return _on_postgres(Path(folder), options.times)


def _on_sqlite(folder: Path, times: int) -> int:
    server = SynapseServer(folder, {})
    with server:
        token = MatrixClient.register(server.url, "admin", admin=True).token
    sql = "SELECT update_name || progress_json FROM background_updates ORDER BY update_name"
    data.clear_queue(server.database_path)
    data.queue_update(server.database_path, _UPDATE, {})
    return _tell(server, token, lambda: str(data.rows(server.database_path, sql)), times)


def _on_postgres(folder: Path, times: int) -> int:
    with PostgresServer(folder / "cluster") as postgres:
        postgres.create_database("synapse")
        arguments = {**postgres.connection("synapse"), "cp_min": 1, "cp_max": 5}
        extra = {"database": {"name": "psycopg2", "args": arguments}}
        server = SynapseServer(folder / "server", {}, extra)
        with server:
            token = MatrixClient.register(server.url, "admin", admin=True).token
        with postgres.session("synapse") as cursor:
            cursor.execute("DELETE FROM background_updates")
            cursor.execute(
                "INSERT INTO background_updates (update_name, progress_json) VALUES (%s, '{}')",
                (_UPDATE,),
            )

        def progress() -> str:
            with postgres.session("synapse") as cursor:
                cursor.execute("SELECT update_name, progress_json FROM background_updates")
                return str(cursor.fetchall())

        return _tell(server, token, progress, times)


def _tell(server: SynapseServer, token: str, progress: Callable[[], str], times: int) -> int:
    seen = kill_after_pauses(server, token, progress, times)
    print(
        f"{seen.kills} times kill -9 within a second after an acknowledged pause:"
        f" {len(seen.lost)} pauses lost, {len(seen.back)} ended ones back,"
        f" {seen.ran} times the update went on"
    )
    return 1 if seen.lost or seen.back or seen.ran else 0


if __name__ == "__main__":
    sys.exit(main())
