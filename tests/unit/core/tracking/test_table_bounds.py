"""The cursors of Synapse's handlers, and queries that read no whole table."""

import inspect
import re
import sqlite3
from collections.abc import Iterator
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from synapse.storage.database import LoggingDatabaseConnection
from synapse.storage.engines import create_engine
from synapse.storage.prepare_database import prepare_database

from synapse_bgthrottle.core.tracking.table_bounds import CURSORS, Bounds, bounds_sql, read_bounds

_FROM_THE_START = {
    "event_fields_sender_url",
    "event_origin_server_ts",
    "event_search",
    "event_search_order",
}
_ASKED = sorted(_FROM_THE_START | set(CURSORS))
_STATEMENTS = sorted({sql for name in _ASKED if (sql := bounds_sql(name)) is not None})


@pytest.fixture(scope="module")
def database() -> Iterator[sqlite3.Connection]:
    """An empty database with the installed Synapse's schema."""
    connection = sqlite3.connect(":memory:")
    engine = create_engine({"name": "sqlite3", "args": {"database": ":memory:"}})
    arguments: dict[str, Any] = {"conn": connection, "engine": engine, "default_txn_name": "test"}
    if "server_name" in inspect.signature(LoggingDatabaseConnection).parameters:
        arguments["server_name"] = "example.org"
    prepare_database(LoggingDatabaseConnection(**arguments), engine, config=None)
    yield connection
    connection.close()


@pytest.fixture(scope="module")
def source() -> str:
    """The storage layer of the installed Synapse."""
    spec = find_spec("synapse.storage")
    assert spec is not None
    assert spec.origin is not None
    folder = Path(spec.origin).parent
    paths = [*folder.rglob("*.py"), *folder.parent.glob("types/storage/*.py")]
    return "\n".join(path.read_text("utf-8") for path in paths)


def _is_there(statement: str, database: sqlite3.Connection) -> bool:
    tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master")}
    return set(re.findall(r"FROM (\w+)", statement)) <= tables


@pytest.mark.parametrize("statement", _STATEMENTS)
def test_statement_reads_the_ends_of_an_index(statement: str, database: sqlite3.Connection) -> None:
    """SQLite goes to the ends of an index, or of the table itself, and scans nothing."""
    if not _is_there(statement, database):
        pytest.skip("a table of other versions of Synapse")
    plan = [row[-1] for row in database.execute(f"EXPLAIN QUERY PLAN {statement}")]
    reads = [step for step in plan if not step.startswith(("SCAN CONSTANT", "SCALAR SUBQUERY"))]
    assert [] == [step for step in reads if not step.startswith("SEARCH")]
    assert statement.count("FROM") == len(reads)


@pytest.mark.parametrize("statement", _STATEMENTS)
def test_empty_table_has_no_bounds(statement: str, database: sqlite3.Connection) -> None:
    """Where there are no rows there is nothing to go by."""
    if not _is_there(statement, database):
        pytest.skip("a table of other versions of Synapse")
    assert read_bounds(database.execute(statement).fetchone()) is None


def test_bounds_of_rows(database: sqlite3.Connection) -> None:
    """The lowest and the highest of what is there."""
    statement = bounds_sql("mark_unreferenced_state_groups_for_deletion_bg_update")
    assert statement is not None
    database.executemany(
        "INSERT INTO state_groups (id, room_id, event_id) VALUES (?, '!a:b', '$c')",
        [(7,), (3,), (12,)],
    )
    found = read_bounds(database.execute(statement).fetchone())
    database.rollback()
    assert Bounds(3, 12) == found


def test_walks_from_zero() -> None:
    """Those that begin at 0 ask for the highest only."""
    from_zero = {name for name, cursor in CURSORS.items() if cursor.origin == 0}
    assert {
        "cleanup_device_federation_outbox",
        "populate_event_stream_ordering",
        "remove_dead_devices_from_device_inbox",
    } == from_zero
    for name in from_zero:
        assert CURSORS[name].bounds_sql.startswith("SELECT 0, (SELECT MAX(")


@pytest.mark.parametrize("name", sorted(CURSORS))
def test_cursor_is_what_the_handler_writes(name: str, source: str) -> None:
    """Synapse knows the update and its key by these names."""
    if f'"{name}"' not in source:
        pytest.skip("an update of other versions of Synapse")
    for key in CURSORS[name].path:
        assert f'"{key}"' in source


@pytest.mark.parametrize("name", ["event_store_labels", "chain_cover", "new", ""])
def test_nothing_to_ask(name: str) -> None:
    """Of the others nothing is asked."""
    assert bounds_sql(name) is None


@pytest.mark.parametrize(
    ("expected", "row"),
    [
        (Bounds(-5, 7), (-5, 7)),
        (Bounds(7, 7), [7, 7]),
        (None, (None, None)),
        (None, (0, None)),
        (None, (8, 7)),
        (None, None),
        (None, ()),
        (None, (1, 2, 3)),
        (None, "ab"),
        (None, (Decimal(1), 2.0)),
        (None, (False, True)),
        (None, (0, 10**30)),
    ],
)
def test_read_bounds(expected: Bounds | None, row: object) -> None:
    """A row of two whole numbers in order, or nothing."""
    assert expected == read_bounds(row)
