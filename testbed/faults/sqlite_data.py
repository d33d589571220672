"""Data for updates, written into the SQLite database of a stopped server."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from testbed.servers.versions import is_at_least

# An update over all events, and the column that it fills. Old versions have none for state keys.
STATE_KEYS, _COLUMN = (
    ("events_populate_state_key_rejections", "state_key")
    if is_at_least(1, 74)
    else ("event_fields_sender_url", "sender")
)
# The events that `event_search` indexes.
SEARCHED = "type IN ('m.room.message', 'm.room.name')"
STATE_KEYS_SQL = f"SELECT COUNT(*) FROM events WHERE {_COLUMN} IS NOT NULL"


def queue_update(database: Path, name: str, progress: dict[str, Any], ordering: int = 0) -> None:
    """Put an update into the queue, as an upgrade would."""
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute(
            "INSERT INTO background_updates (update_name, progress_json, ordering)"
            " VALUES (?, ?, ?)",
            (name, json.dumps(progress), ordering),
        )


def clear_queue(database: Path) -> None:
    """Remove all updates from the queue."""
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("DELETE FROM background_updates")


def queue_search_reindex(database: Path, ordering: int = 0) -> int:
    """Empty the search index and queue `event_search`. Returns the number of rows to write."""
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("DELETE FROM event_search")
        low, high = stream_range(connection)
    queue_update(database, "event_search", search_progress(low, high), ordering)
    return count_rows(database, f"SELECT COUNT(*) FROM events WHERE {SEARCHED}")


def search_progress(low: int, high: int) -> dict[str, Any]:
    """The progress of `event_search` when nothing is done, by the range of the stream."""
    return {
        "target_min_stream_id_inclusive": low,
        "max_stream_id_exclusive": high + 1,
        "rows_inserted": 0,
        "have_added_indexes": True,
    }


def queue_state_keys(database: Path, ordering: int = 0) -> int:
    """Empty the column and queue its update. Returns the number of rows to restore."""
    state_keys = count_rows(database, STATE_KEYS_SQL)
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute(f"UPDATE events SET {_COLUMN} = NULL")
        progress = state_keys_progress(connection)
    queue_update(database, STATE_KEYS, progress, ordering)
    return state_keys


def state_keys_progress(connection: sqlite3.Connection) -> dict[str, int]:
    """Its initial progress: the two updates have different keys."""
    low, high = stream_range(connection)
    if _COLUMN == "sender":
        return {"target_min_stream_id_inclusive": low, "max_stream_id_exclusive": high + 1}
    return {"min_stream_ordering_exclusive": low - 1, "max_stream_ordering_inclusive": high}


def multiply_events(database: Path, total: int) -> None:
    """Clone messages, rows and JSON, until there are `total` events. It can be repeated."""
    with closing(sqlite3.connect(database)) as connection, connection:
        columns = {
            table: [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
            for table in ("events", "event_json")
        }
        _, high = stream_range(connection)
        have = count(connection, "SELECT COUNT(*) FROM events")
        connection.execute(
            "CREATE TEMP TABLE originals AS SELECT event_id, ROW_NUMBER() OVER () AS n"
            " FROM events WHERE type = 'm.room.message' LIMIT 200"
        )
        originals = count(connection, "SELECT COUNT(*) FROM originals")
        connection.execute(
            "CREATE TEMP TABLE clones AS WITH RECURSIVE numbers(k) AS"
            " (SELECT 1 UNION ALL SELECT k + 1 FROM numbers WHERE k < ?)"
            " SELECT k, (SELECT event_id FROM originals WHERE n = 1 + k % ?) AS event_id"
            " FROM numbers",
            (max(total - have, 1), originals),
        )
        for table, names in columns.items():
            values = {
                "event_id": f"clones.event_id || '_' || ({high} + clones.k)",
                "stream_ordering": f"{high} + clones.k",
            }
            selected = ", ".join(values.get(name, f"t.{name}") for name in names)
            connection.execute(
                f"INSERT INTO {table} ({', '.join(names)}) SELECT {selected}"
                f" FROM clones JOIN {table} t ON t.event_id = clones.event_id"
            )


def stream_range(connection: sqlite3.Connection) -> tuple[int, int]:
    low, high = connection.execute(
        "SELECT MIN(stream_ordering), MAX(stream_ordering) FROM events"
    ).fetchone()
    return low, high


def count(connection: sqlite3.Connection, sql: str) -> int:
    number: int = connection.execute(sql).fetchone()[0]
    return number


def count_rows(database: Path, sql: str) -> int:
    """The number that a query returns, on a connection of its own."""
    return int(rows(database, sql)[0][0])


def rows(database: Path, sql: str) -> list[tuple[Any, ...]]:
    """The rows of a query, on a connection of its own."""
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute(sql).fetchall()


def change(database: Path, sql: str) -> None:
    """Run a statement on a connection of its own."""
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute(sql)


def pending_updates(database: Path) -> int:
    return count_rows(database, "SELECT COUNT(*) FROM background_updates")
