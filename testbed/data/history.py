"""A room's history as its server would have made it: chained, authorised, hashed and signed.

It is made by Synapse's own code, but many events at once, and without its persistence. The signing
key is an earlier one of the server.
"""

import random
from collections.abc import Iterator, Mapping

import attrs
from signedjson.key import decode_signing_key_base64
from synapse.api.room_versions import KNOWN_ROOM_VERSIONS, RoomVersion
from synapse.crypto.event_signing import add_hashes_and_signatures
from synapse.event_auth import auth_types_for_event
from synapse.events import EventBase, make_event_from_dict
from synapse.types import JsonDict
from synapse.util.json import json_encoder

from testbed.servers.server import SERVER_NAME

OLD_KEY_ID = "ed25519:a_old"

OLD_KEY = decode_signing_key_base64(
    "ed25519", "a_old", "0Xk2cX1nH6mXKqC2xJXjJm0bE8Zk7jX9c0l5pZ3oQ1s"
)
_WORDS = 5000


@attrs.frozen
class Room:
    """A room to write a history into.

    Attributes:
        version: the room's version.
        state: event ids by (type, state key).
        last_event_id, depth: the event before the history.
        senders: user ids of members.
        begin_ms: time of the first event, ms since the epoch; the others follow at 1 ms each.
        seed: determines texts and senders.
    """

    room_id: str
    version: str
    state: Mapping[tuple[str, str], str]
    last_event_id: str
    depth: int
    senders: tuple[str, ...]
    begin_ms: int
    seed: int


@attrs.frozen
class Event:
    """One event, with what the tables need."""

    event_id: str
    prev_event_id: str
    sender: str
    depth: int
    at_ms: int
    json: str


def history(room: Room, count: int) -> Iterator[Event]:
    """So many messages, each on top of the previous one."""
    source = random.Random(room.seed)
    words = ["".join(source.choices("aeioulnrst", k=source.randint(2, 9))) for _ in range(_WORDS)]
    version = KNOWN_ROOM_VERSIONS[room.version]
    prev_event_id = room.last_event_id
    auth_events: dict[str, list[str]] = {}
    for number in range(count):
        sender = source.choice(room.senders)
        at_ms = room.begin_ms + number
        content: JsonDict = {
            "room_id": room.room_id,
            "sender": sender,
            "type": "m.room.message",
            "content": {"msgtype": "m.text", "body": _text(source, words)},
            "depth": room.depth + 1 + number,
            "origin_server_ts": at_ms,
            "prev_events": [prev_event_id],
            "auth_events": auth_events.get(sender, []),
            "unsigned": {"age_ts": at_ms},
        }
        if sender not in auth_events:
            wanted = auth_types_for_event(version, _signed(version, dict(content)))
            auth_events[sender] = [room.state[key] for key in sorted(wanted) if key in room.state]
            content["auth_events"] = auth_events[sender]
        event_id = _signed(version, content).event_id
        depth = room.depth + 1 + number
        yield Event(event_id, prev_event_id, sender, depth, at_ms, json_encoder.encode(content))
        prev_event_id = event_id


def _signed(version: RoomVersion, content: JsonDict) -> EventBase:
    """The event; its hashes and signatures are added to the content."""
    add_hashes_and_signatures(version, content, SERVER_NAME, OLD_KEY)
    return make_event_from_dict(content, version)


def _text(source: random.Random, words: list[str]) -> str:
    # Most are short and a few long, like people's messages: so an update's rows are uneven.
    length = min(int(source.lognormvariate(2.3, 0.9)) + 1, 500)
    return " ".join(words[int(_WORDS * source.random() ** 3)] for _ in range(length))
