"""The updates to measure, and how to queue each again."""

import json
from collections.abc import Callable
from typing import Any

import attrs

from testbed.data import made_updates
from testbed.data.databases import Database
from testbed.data.history import OLD_KEY_ID
from testbed.data.template import Span

Progress = dict[str, Any]

# A one-shot, which is one item: the index.
INDEX_BUILD = "events_jump_to_date_index"

_NEW_KEY_ID = "ed25519:a_test"  # from testbed.servers.server


@attrs.frozen
class Update:
    """An update in the queue.

    Attributes:
        begin: its progress when nothing is done.
        reset: undoes its work.
        is_slow_to_reset: whether that takes seconds.
    """

    name: str
    begin: Callable[[Span], Progress]
    reset: Callable[[Database, Span], None]
    is_slow_to_reset: bool = False


def queue(database: Database, update: Update, progress: Progress) -> None:
    """Put the update into the queue, or change its progress if it is there."""
    if progress_of(database, update) is None:
        database.execute(
            "INSERT INTO background_updates (update_name, progress_json) VALUES (%s, %s)",
            update.name,
            json.dumps(progress),
        )
    else:
        database.execute(
            "UPDATE background_updates SET progress_json = %s WHERE update_name = %s",
            json.dumps(progress),
            update.name,
        )


def progress_of(database: Database, update: Update) -> Progress | None:
    """Its progress; None: not in the queue."""
    rows = database.execute(
        "SELECT progress_json FROM background_updates WHERE update_name = %s", update.name
    )
    return json.loads(rows[0][0]) if rows else None


def _reset_search(database: Database, span: Span) -> None:
    postgres = database.synapse_config()["name"] == "psycopg2"
    database.execute("TRUNCATE event_search" if postgres else "DELETE FROM event_search")


def _reset_signatures(database: Database, span: Span) -> None:
    # Only the key's name: the update does not read the signature that it replaces.
    database.execute(
        "UPDATE event_json SET json = REPLACE(json, %s, %s) WHERE event_id IN"
        " (SELECT event_id FROM events WHERE stream_ordering BETWEEN %s AND %s)"
        " AND json LIKE %s",
        f'"{_NEW_KEY_ID}":',
        f'"{OLD_KEY_ID}":',
        span.low,
        span.high,
        f'%"{_NEW_KEY_ID}":%',
    )
    database.vacuum("event_json")


def _reset_nothing(database: Database, span: Span) -> None:
    # To write the same value again is the same work. PostgreSQL prunes the dead rows itself.
    del database, span


def _drop_index(database: Database, span: Span) -> None:
    database.execute("DROP INDEX IF EXISTS events_jump_to_date_idx")


UPDATES = {
    update.name: update
    for update in (
        Update(
            "event_search",
            begin=lambda span: {
                "target_min_stream_id_inclusive": span.low,
                "max_stream_id_exclusive": span.high + 1,
            },
            reset=_reset_search,
        ),
        Update(
            "event_resign",
            begin=lambda span: {"last_stream_pos": span.low - 1, "before_ts": span.end_ms},
            reset=_reset_signatures,
            is_slow_to_reset=True,
        ),
        Update(
            "events_populate_state_key_rejections",
            begin=lambda span: {
                "min_stream_ordering_exclusive": span.low - 1,
                "max_stream_ordering_inclusive": span.high,
            },
            reset=_reset_nothing,
        ),
        Update(INDEX_BUILD, begin=lambda span: {}, reset=_drop_index),
        Update(made_updates.WAITS, begin=lambda span: {"at": 0}, reset=_reset_nothing),
        Update(made_updates.TURNS, begin=lambda span: {"at": 0}, reset=_reset_nothing),
    )
}
