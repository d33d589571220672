"""The server's data: users and rooms made by its API, then a long history in some rooms."""

import json
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import islice, repeat
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import attrs
from synapse.api.room_versions import KNOWN_ROOM_VERSIONS

from testbed.data.databases import Database
from testbed.data.history import Event, Room, history
from testbed.servers.matrix import MatrixClient
from testbed.servers.server import SynapseServer

_USERS = 20
_LOAD_ROOMS = 5
_HISTORY_ROOMS = 10
_MEMBERS = 4  # of each room, without the administrator
_MESSAGES = 200
_PROCESSES = 2
_ROWS_AT_ONCE = 5000


@attrs.frozen
class Crowd:
    """The users and rooms of a template.

    Attributes:
        admin: the administrator's access token.
        tokens: those of the other users.
        rooms: ids of the rooms that clients use.
    """

    admin: str
    tokens: list[str]
    rooms: list[str]


@attrs.frozen
class Span:
    """Stream orderings of the history, and a time (ms) after its end."""

    low: int
    high: int
    end_ms: int


def ensure(database: Database, events: int) -> str:
    """Name of the template with so many events of history; it is made if missing."""
    name = f"events_{events}"
    if not database.has(name):
        database.create()
        with tempfile.TemporaryDirectory() as folder:
            _make_rooms(database, Path(folder))
        _write_history(database, events)
        database.vacuum()
        database.keep(name)
    return name


def crowd(database: Database) -> Crowd:
    """Read the crowd from the database, so that the template needs no other file."""
    tokens = dict(database.execute("SELECT user_id, token FROM access_tokens ORDER BY id"))
    admin = next(user_id for user_id in tokens if user_id.startswith("@alice:"))
    rooms = [room_id for _, room_id in _rooms(database, "load")]
    return Crowd(tokens.pop(admin), list(tokens.values()), rooms)


def span(database: Database) -> Span:
    """Where the history is among the events."""
    room_ids = [room_id for _, room_id in _rooms(database, "history")]
    marks = ", ".join(["%s"] * len(room_ids))
    ((low, high, received_ms),) = database.execute(
        "SELECT MIN(stream_ordering), MAX(stream_ordering), MAX(received_ts) FROM events"
        f" WHERE type = 'm.room.message' AND room_id IN ({marks})",
        *room_ids,
    )
    return Span(low, high, received_ms + 1)


def _rooms(database: Database, kind: str) -> list[Any]:
    return database.execute(
        "SELECT room_alias, room_id FROM room_aliases WHERE room_alias LIKE %s ORDER BY room_alias",
        f"#{kind}%",
    )


def _make_rooms(database: Database, folder: Path) -> None:
    extra = {
        "database": database.synapse_config(),
        "background_updates": {"sleep_enabled": False},
        "bcrypt_rounds": 4,
    }
    with SynapseServer(folder / "server", None, extra) as server:
        admin = MatrixClient.register(server.url, "alice", admin=True)
        users = [
            MatrixClient.register(server.url, f"user{number}", admin=False)
            for number in range(_USERS)
        ]
        rooms = []
        for kind, count in (("load", _LOAD_ROOMS), ("history", _HISTORY_ROOMS)):
            for number in range(count):
                room_id = admin.create_room(f"{kind} {number}", alias=f"{kind}{number}")
                for member in range(_MEMBERS):
                    users[(number * _MEMBERS + member) % _USERS].join(room_id)
                rooms.append(room_id)
        for number in range(_MESSAGES):
            admin.send(rooms[number % _LOAD_ROOMS], f"message {number} " + "lorem ipsum " * 8)
        while database.execute("SELECT 1 FROM background_updates"):
            time.sleep(0.2)


def _write_history(database: Database, events: int) -> None:
    ((low,),) = database.execute("SELECT MAX(stream_ordering) + 1 FROM events")
    rooms = [_room(database, room_id) for _, room_id in _rooms(database, "history")]
    share = events // len(rooms)
    with ProcessPoolExecutor(_PROCESSES, get_context("spawn")) as pool:
        for number, made in enumerate(pool.map(_made, rooms, repeat(share))):
            # The rooms are in use at the same time, so their events alternate in the stream.
            orderings = range(low + number, low + share * len(rooms), len(rooms))
            _write(database, rooms[number], made, orderings)
    high = low + share * len(rooms) - 1
    database.execute(
        "UPDATE stream_positions SET stream_id = %s WHERE stream_name = 'events'", high
    )
    # Mark all as sent; otherwise the server would be busy with it for minutes.
    database.execute(
        "UPDATE federation_stream_position SET stream_id = %s WHERE type = 'events'", high
    )
    database.execute("UPDATE appservice_stream_position SET stream_ordering = %s", high)
    if database.synapse_config()["name"] == "psycopg2":
        database.execute("SELECT setval('events_stream_seq', %s)", high)


def _made(room: Room, count: int) -> list[Event]:
    return list(history(room, count))


def _room(database: Database, room_id: str) -> Room:
    state = database.execute(
        "SELECT type, state_key, event_id FROM current_state_events WHERE room_id = %s", room_id
    )
    ((version,),) = database.execute("SELECT room_version FROM rooms WHERE room_id = %s", room_id)
    ((last_event_id, depth, begin_ms),) = database.execute(
        "SELECT event_id, depth, received_ts FROM event_forward_extremities"
        " JOIN events USING (event_id, room_id) WHERE room_id = %s",
        room_id,
    )
    return Room(
        room_id=room_id,
        version=version,
        state={(kind, key): event_id for kind, key, event_id in state},
        last_event_id=last_event_id,
        depth=depth,
        senders=tuple(sorted(key for kind, key, _ in state if kind == "m.room.member")),
        begin_ms=begin_ms,
        seed=depth,
    )


def _write(database: Database, room: Room, made: list[Event], orderings: range) -> None:
    ((state_group,),) = database.execute(
        "SELECT state_group FROM event_to_state_groups WHERE event_id = %s", room.last_event_id
    )
    format_version = KNOWN_ROOM_VERSIONS[room.version].event_format
    positions = iter(orderings)
    events = iter(made)
    while some := list(islice(events, _ROWS_AT_ONCE)):
        tables = _tables(room, some, positions, state_group, format_version)
        for table, rows in tables.items():
            database.insert(table, list(rows[0]), [list(row.values()) for row in rows])
    database.execute(
        "UPDATE event_forward_extremities SET event_id = %s WHERE room_id = %s",
        made[-1].event_id,
        room.room_id,
    )


def _tables(
    room: Room, some: list[Event], positions: Iterator[int], state_group: int, format_version: int
) -> dict[str, list[dict[str, Any]]]:
    """The rows that Synapse would have written, by table."""
    tables: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for event in some:
        tables["events"].append(
            {
                "event_id": event.event_id,
                "room_id": room.room_id,
                "type": "m.room.message",
                "sender": event.sender,
                "depth": event.depth,
                "topological_ordering": event.depth,
                "stream_ordering": next(positions),
                "instance_name": "master",
                "origin_server_ts": event.at_ms,
                "received_ts": event.at_ms,
                "processed": True,
                "outlier": False,
                "contains_url": False,
            }
        )
        tables["event_json"].append(
            {
                "event_id": event.event_id,
                "room_id": room.room_id,
                "internal_metadata": json.dumps({}),
                "json": event.json,
                "format_version": format_version,
            }
        )
        tables["event_edges"].append(
            {
                "event_id": event.event_id,
                "prev_event_id": event.prev_event_id,
                "is_state": False,
            }
        )
        tables["event_to_state_groups"].append(
            {"event_id": event.event_id, "state_group": state_group}
        )
    return tables
