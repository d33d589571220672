"""The benchmark measures real servers: a run with each kind of arm, and the table of them."""

import json
from pathlib import Path

import pytest
from synapse.crypto import event_signing

from testbed.servers.versions import SYNAPSE

if not hasattr(event_signing, "event_needs_resigning"):
    pytest.skip(
        f"the benchmark is for Synapses with event_resign, not for {SYNAPSE}",
        allow_module_level=True,
    )

from benchmarks.latency import report
from benchmarks.latency.arms import arm
from benchmarks.latency.cells import Cell
from benchmarks.latency.measure import Run, measure
from benchmarks.latency.paces import Bench
from benchmarks.latency.run import path_of
from testbed.data import template
from testbed.data.databases import Database, open_database
from testbed.data.made_updates import TURNS, WAITS
from testbed.data.updates import UPDATES

EVENTS = 200
ALONE_S = (0.0, 2.0)
UPDATE_S = 6.0


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Database:
    """SQLite, with a history."""
    database = open_database("sqlite", tmp_path_factory.mktemp("data"))
    template.ensure(database, EVENTS)
    return database


def test_runs_make_a_table(database: Database, tmp_path: Path) -> None:
    """Runs of stock, ours and no update are measured, kept as files, and shown side by side.

    Each has the clients' requests and the batches of the update, and ours its own CPU and what its
    law knew.
    """
    cell = Cell(WAITS, "15", "sqlite")
    for name in cell.arms:
        database.restore(f"events_{EVENTS}")
        run = Run(cell, arm(name, {}), UPDATE_S, alone_s=ALONE_S)
        found = measure(run, database, tmp_path / name)
        assert all(piece["requests"] for piece in found["pieces"])
        assert (name != "control") == bool(found["batches"])
        assert (name == "balanced") == (found["own_cpu"] is not None)
        assert (name == "balanced") == any(WAITS == known.get("update") for known in found["law"])
        about = {"update": WAITS, "load": "15", "deployment": "sqlite", "revision": ""}
        path = path_of(tmp_path, cell, name, 0)
        path.write_text(json.dumps({**about, "arm": name, "round": 0, **found}))
    ((name, figures),) = report.load(tmp_path).items()
    assert str(cell) == name
    for arm_name in ("stock", "balanced"):
        assert figures[arm_name].items_per_s > 0
        assert figures[arm_name].slowdown is not None
    assert "| balanced |" in report.details(name, figures)


def test_an_update_that_is_done_ends_the_run(database: Database, tmp_path: Path) -> None:
    """On SQLite, where undoing it would take long; when it was done is told."""
    database.restore(f"events_{EVENTS}")
    run = Run(Cell("event_search", "idle", "sqlite"), arm("unthrottled", {}), 600.0)
    found = measure(run, database, tmp_path)
    assert 1 == len(found["done_s"])
    assert EVENTS <= sum(items for _, _, items in found["batches"])
    assert found["during_s"][1] - found["during_s"][0] < 600


def test_an_update_turns_harmful(database: Database, tmp_path: Path) -> None:
    """From its moment on a thread of Synapse computes for as long as it had waited."""
    used = {}
    for name, harmful_after_s in (("waits", 600.0), ("computes", 0.0)):
        database.restore(f"events_{EVENTS}")
        cell = Cell(TURNS, "idle", "sqlite")
        run = Run(cell, arm("unthrottled", {}), UPDATE_S, harmful_after_s, ALONE_S)
        used[name] = measure(run, database, tmp_path / name)["server_cpu"]
    assert used["waits"] < used["computes"] / 2


def test_fixed_paces_take_turns(database: Database, tmp_path: Path) -> None:
    """In one server, each with its own requests, and with batches where it has any."""
    database.restore(f"events_{EVENTS}")
    bench = Bench(tmp_path, database)
    with bench.server:
        blocks = bench.measure(UPDATES[WAITS], "15", ["none", "unthrottled"], 2, UPDATE_S)
    assert 4 == len(blocks)
    assert all(block.latencies_ms for block in blocks)
    for block in blocks:
        assert (block.pace == "unthrottled") == (block.items_per_s > 0)
