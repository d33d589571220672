"""Whether a pause survives `kill -9`, on SQLite or PostgreSQL.

`python -m benchmarks.cost.kills --times 100`
"""

import argparse
import sys
import tempfile
from pathlib import Path

from testbed.faults import sqlite_data
from testbed.faults.reindex_worlds import synapse_database
from testbed.faults.restarts import Kills, kill_after_pauses
from testbed.servers.matrix import MatrixClient
from testbed.servers.postgres import PostgresServer
from testbed.servers.server import SynapseServer

_UPDATE = "populate_stats_process_rooms"
_CONFIG = {"profile": "finish"}  # without a hold it runs at once


def main() -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.cost.kills", description=__doc__)
    parser.add_argument("--times", type=int, default=100)
    parser.add_argument("--database", choices=("sqlite", "postgres"), default="sqlite")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if options.database == "sqlite":
            return _on_sqlite(Path(folder), options.times)
        return _on_postgres(Path(folder), options.times)


def _on_sqlite(folder: Path, times: int) -> int:
    server = SynapseServer(folder, _CONFIG)
    with server:
        token = MatrixClient.register(server.url, "admin", admin=True).token
    path = server.database_path
    sqlite_data.clear_queue(path)
    return _tell(
        kill_after_pauses(
            server,
            token,
            lambda: sqlite_data.queue_update(path, _UPDATE, {}),
            lambda: "".join(map(str, sqlite_data.rows(path, "SELECT * FROM background_updates"))),
            times,
        )
    )


def _on_postgres(folder: Path, times: int) -> int:
    with PostgresServer(folder / "cluster") as postgres:
        postgres.create_database("synapse")
        server = SynapseServer(folder / "server", _CONFIG, synapse_database(postgres, "synapse"))

        def ask(sql: str, *values: str) -> str:
            with postgres.session("synapse") as cursor:
                cursor.execute(sql, values)
                return "".join(map(str, cursor.fetchall() if cursor.description else ()))

        with server:
            token = MatrixClient.register(server.url, "admin", admin=True).token
        ask("DELETE FROM background_updates")

        def queue() -> None:
            ask(
                "INSERT INTO background_updates (update_name, progress_json) VALUES (%s, '{}')",
                _UPDATE,
            )

        return _tell(
            kill_after_pauses(
                server,
                token,
                queue,
                lambda: ask("SELECT * FROM background_updates"),
                times,
            )
        )


def _tell(seen: Kills) -> int:
    print(
        f"{seen.kills} times kill -9 within a second after an acknowledged pause:"
        f" {len(seen.lost)} pauses lost, {len(seen.back)} ended ones back,"
        f" {seen.ran} times the update went on;"
        f" it {'ran' if seen.ran_after else 'did not run'} when that was resumed"
    )
    return 1 if seen.lost or seen.back or seen.ran or not seen.ran_after else 0


if __name__ == "__main__":
    sys.exit(main())
