"""Missing and duplicate rows around real servers are counted correctly."""

import json
import sqlite3
from typing import Any

import pytest

from testbed.faults.reindex_worlds import UPDATE, World


def world(indexed: list[str], seen_down_to: int | None) -> World:
    """Five messages, these of them in the index; None: the update is done."""
    database = sqlite3.connect(":memory:")
    database.execute("CREATE TABLE events (event_id, type, stream_ordering)")
    database.execute("CREATE TABLE event_search (event_id)")
    database.execute("CREATE TABLE background_updates (update_name, progress_json)")
    for number in range(1, 6):
        row = (f"${number}", "m.room.message", number)
        database.execute("INSERT INTO events VALUES (?, ?, ?)", row)
    database.executemany("INSERT INTO event_search VALUES (?)", [(each,) for each in indexed])
    if seen_down_to is not None:
        progress = json.dumps({"max_stream_id_exclusive": seen_down_to})
        database.execute("INSERT INTO background_updates VALUES (?, ?)", (UPDATE, progress))
    server: Any = None  # it is not asked
    return World(server, "", lambda sql: database.execute(sql).fetchall(), 5, "", False)


@pytest.mark.parametrize(
    ("indexed", "seen_down_to", "wrong"),
    [
        (["$5", "$4"], 4, 0),
        (["$5"], 4, 1),
        (["$4", "$4"], 4, 2),
        (["$5", "$4", "$4"], 4, 1),
        (["$5", "$4", "$3"], 4, 1),
        (["$5", "$4", "$3", "$2", "$1"], None, 0),
        (["$5", "$4", "$2", "$1"], None, 1),
        ([], None, 5),
        ([], 6, 0),
    ],
)
def test_wrong(indexed: list[str], seen_down_to: int | None, wrong: int) -> None:
    """One for each row that is missing, there twice, or ahead of the update."""
    assert wrong == world(indexed, seen_down_to).wrong()


def test_is_intact() -> None:
    """SQLite finds nothing wrong with a file that is well."""
    assert world([], None).is_intact()
