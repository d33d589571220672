"""Templates of servers, made by real servers, once for all processes of a run."""

import fcntl
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest

from testbed.faults import sqlite_data
from testbed.faults.reindex_worlds import synapse_database
from testbed.servers.matrix import MatrixClient
from testbed.servers.postgres import PostgresServer
from testbed.servers.server import SynapseServer
from testbed.waiting import wait_until

_EVENTS = 20_000
_MESSAGES = 120

# A database of the cluster.
TEMPLATE = "template"

_DATABASE = "homeserver.db"
_TOKEN = "token"
_CLUSTER = "cluster"


@attrs.frozen
class Template:
    """A stopped server's database with nothing pending, and a token of its administrator."""

    database: Path
    token: str


def template(factory: pytest.TempPathFactory) -> Template:
    """A database of 20000 events, made by a real server: users, rooms, messages, then clones."""
    folder = _made_once(factory, "template", _make_template)
    return Template(folder / _DATABASE, (folder / _TOKEN).read_text())


def template_of(factory: pytest.TempPathFactory, events: int) -> Template:
    """The same, with so many."""
    few = template(factory)

    def make(folder: Path) -> None:
        shutil.copy(few.database, folder / _DATABASE)
        sqlite_data.multiply_events(folder / _DATABASE, events)

    folder = _made_once(factory, f"template_of_{events}", make)
    return attrs.evolve(few, database=folder / _DATABASE)


def copy_cluster(factory: pytest.TempPathFactory, folder: Path) -> None:
    """A stopped cluster with the database `template`: Synapse's schema, its updates all pending."""
    made = _made_once(factory, "postgres", _make_cluster)
    folder.mkdir()
    # Not by `shutil`: its files belong to an unprivileged user.
    subprocess.run(["cp", "-a", made / _CLUSTER / "data", folder], check=True)


def _make_template(folder: Path) -> None:
    no_rests = {"background_updates": {"sleep_enabled": False}}
    with SynapseServer(folder / "server", None, no_rests) as server:
        admin = MatrixClient.register(server.url, "admin", admin=True)
        room_id = admin.create_room("a room")
        for number in range(_MESSAGES):
            admin.send(room_id, f"message {number}")
        wait_until(lambda: sqlite_data.pending_updates(server.database_path) == 0)
    sqlite_data.multiply_events(server.database_path, _EVENTS)
    server.database_path.rename(folder / _DATABASE)
    (folder / _TOKEN).write_text(admin.token)


def _make_cluster(folder: Path) -> None:
    postgres = PostgresServer(folder / _CLUSTER)
    postgres.start()
    try:
        postgres.create_database(TEMPLATE)
        stock = {"background_updates": {"sleep_duration_ms": 3_600_000}}
        with SynapseServer(
            folder / "server", None, {**synapse_database(postgres, TEMPLATE), **stock}
        ):
            pass
    finally:
        postgres.stop()


def _made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """A folder that whichever process comes first makes; the others wait for it."""
    base = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent  # each worker's is in that of the run
    folder = base / f"shared_{name}"
    done = folder / "done"
    with (base / f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)  # of one that failed
            folder.mkdir()
            make(folder)
            done.touch()
    return folder
