"""Synapse accepts the benchmark's history as its own."""

import json
from itertools import pairwise

import pytest
from signedjson.key import decode_signing_key_base64, get_verify_key
from signedjson.sign import SignatureVerifyException, verify_signed_json
from synapse.api.room_versions import KNOWN_ROOM_VERSIONS
from synapse.crypto import event_signing
from synapse.events import EventBase, make_event_from_dict
from synapse.events.utils import prune_event

from testbed.servers.server import SERVER_NAME
from testbed.servers.versions import SYNAPSE

if not hasattr(event_signing, "event_needs_resigning"):
    pytest.skip(
        f"the benchmark is for Synapses with event_resign, not for {SYNAPSE}",
        allow_module_level=True,
    )

from testbed.data.history import OLD_KEY, OLD_KEY_ID, Event, Room, history

ALICE, BOB = f"@alice:{SERVER_NAME}", f"@bob:{SERVER_NAME}"
ROOM = Room(
    room_id="!room",
    version="12",
    state={
        ("m.room.power_levels", ""): "$levels",
        ("m.room.member", ALICE): "$alice",
        ("m.room.member", BOB): "$bob",
        ("m.room.topic", ""): "$topic",
    },
    last_event_id="$last",
    depth=9,
    senders=(ALICE, BOB),
    begin_ms=1000,
    seed=1,
)


@pytest.fixture(scope="module")
def made() -> list[Event]:
    """Some events of a room."""
    return list(history(ROOM, 50))


def parsed(event: Event) -> EventBase:
    """The event as Synapse reads it from its database."""
    return make_event_from_dict(json.loads(event.json), KNOWN_ROOM_VERSIONS[ROOM.version])


def test_events_are_chained(made: list[Event]) -> None:
    """Each follows on the one before, the first on the room's last event."""
    assert "$last" == made[0].prev_event_id
    assert all(before.event_id == event.prev_event_id for before, event in pairwise(made))
    assert [made[7].prev_event_id] == list(parsed(made[7]).prev_event_ids())
    assert [10 + number for number in range(50)] == [event.depth for event in made]


def test_events_are_authorised(made: list[Event]) -> None:
    """By the creation (its id is the room's), the power levels and the sender's membership."""
    for event in made:
        member = {ALICE: "$alice", BOB: "$bob"}[event.sender]
        assert {"$room", "$levels", member} == set(parsed(event).auth_event_ids())


def test_events_are_hashed_and_signed(made: list[Event]) -> None:
    """Identifier, hash and signature are valid; whoever changes the text breaks the hash."""
    for event in made:
        assert event.event_id == parsed(event).event_id
        assert event_signing.check_event_content_hash(parsed(event))
        redacted = prune_event(parsed(event)).get_pdu_json()
        verify_signed_json(redacted, SERVER_NAME, get_verify_key(OLD_KEY))
    with pytest.raises(SignatureVerifyException):
        verify_signed_json({**redacted, "depth": 1}, SERVER_NAME, get_verify_key(OLD_KEY))


def test_events_are_signed_with_an_old_key(made: list[Event]) -> None:
    """So `event_resign` has work: the key is not the one that the server has now."""
    assert [OLD_KEY_ID] == list(json.loads(made[0].json)["signatures"][SERVER_NAME])
    new_key = decode_signing_key_base64("ed25519", "a_new", "A" * 43)
    needs_resigning = event_signing.event_needs_resigning
    assert needs_resigning(parsed(made[0]), SERVER_NAME, get_verify_key(new_key))
    assert not needs_resigning(parsed(made[0]), SERVER_NAME, get_verify_key(OLD_KEY))


def test_history_is_the_same_each_time(made: list[Event]) -> None:
    """The same room gets the same history."""
    assert made == list(history(ROOM, 50))
