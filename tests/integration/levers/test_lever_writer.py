"""Levers on the virtual server: made, ended, refused, and logged."""

from collections.abc import Callable
from unittest.mock import patch

import pytest

from synapse_bgthrottle.core.config.problems import InvalidConfigError
from synapse_bgthrottle.core.levers.lever import MOST_LEVERS
from synapse_bgthrottle.core.levers.request import NothingMatchesError, TooManyLeversError
from synapse_bgthrottle.homeserver.storage.lever_writer import Queue
from testbed.virtual.server import EPOCH_S, VirtualServer, Work
from tests.integration.levers.lever_world import World
from tests.integration.virtual_module import (
    ADMIN,
    answer,
    change_levers,
    levers_of,
    queued,
    restarted,
    service_of,
    stated,
)

MakeServer = Callable[..., VirtualServer]


@pytest.fixture
def world(virtual_server: MakeServer) -> World:
    return World(virtual_server, {"sleep": "1s"})


def test_pause_is_told_as_it_was_made(world: World) -> None:
    """A pause has who, why and until when, and is in force."""
    told = change_levers(world.server, "pause", update="event_*", duration="1h", reason="party")
    (made,) = told["made"]
    assert len(made.pop("id")) == 8
    assert {
        "kind": "pause",
        "update": "event_*",
        "database": None,
        "settings": {},
        "reason": "party",
        "author": ADMIN,
        "created_ms": round(EPOCH_S * 1000),
        "ends_ms": round(EPOCH_S * 1000) + 3_600_000,
        "used_ms": None,
    } == made
    assert ([], 1) == (told["ended"], len(told["in_force"]))


def test_pause_holds_at_once_and_ends_by_itself(world: World) -> None:
    """No batch begins after the answer, until the end; what is ended goes on within a second."""
    world.server.start()
    world.server.advance(10)
    work = world.works["event_a"]
    change_levers(world.server, "pause", duration="1m")
    before = len(work.starts_s)
    world.server.advance(59)
    assert before == len(work.starts_s)
    world.server.advance(3)
    assert before < len(work.starts_s)
    change_levers(world.server, "pause")
    before = len(work.starts_s)
    world.server.advance(600)
    assert before == len(work.starts_s)
    change_levers(world.server, "resume")
    world.server.advance(2)
    assert before < len(work.starts_s)


def test_resume_ends_pauses_that_are_meant(world: World) -> None:
    """What was named, or matches what was named, is over; overrides and the others are not."""
    queued(world.server, "other")
    for update in ("event_a", "event_b", "other"):
        change_levers(world.server, "pause", update=update)
    change_levers(world.server, "override", update="event_a", settings={"sleep": 0})
    made, ended, in_force = world.change_levers("resume", update="event_*")
    assert ([], ["event_a", "event_b"], ["other", "event_a"]) == (made, ended, in_force)
    message = "no pause matches event_a; in force for: other"
    with pytest.raises(NothingMatchesError, match=message):
        world.change_levers("resume", update="event_a")
    assert ["other"] == world.change_levers("resume")[1]
    with pytest.raises(NothingMatchesError, match="nothing is paused"):
        world.change_levers("resume")


def test_reset_ends_overrides_and_releases(world: World) -> None:
    """What lets updates go faster ends with one word; pauses stay."""
    change_levers(world.server, "pause")
    change_levers(world.server, "override", update="event_*", settings={"sleep": 0})
    change_levers(world.server, "release", update="event_a")
    assert ([], ["event_*", "event_a"], ["*"]) == world.change_levers("reset")
    with pytest.raises(NothingMatchesError):
        world.change_levers("reset", database="master")


def test_release_is_one_of_each_pending_update(world: World) -> None:
    """A glob releases what is pending now, by name and database, not what comes later."""
    assert ["event_a", "event_b"] == world.change_levers("release", update="event_*")[0]
    assert {("master", None)} == {(v.database, v.used_s) for v in levers_of(world.module)}
    with pytest.raises(NothingMatchesError, match="pending are: event_a, event_b"):
        world.change_levers("release", update="other")
    with pytest.raises(InvalidConfigError, match="found 'state'; accepted is master"):
        world.change_levers("release", update="event_a", database="state")


def test_release_made_anew_gets_the_new_end(world: World) -> None:
    """An update is released once, until the last end that was given."""
    change_levers(world.server, "release", update="event_a", duration="1h")
    made, ended, in_force = world.change_levers("release", update="event_a", duration="2h")
    assert (["event_a"],) * 3 == (made, ended, in_force)
    assert [EPOCH_S + 7200] == [lever.ends_s for lever in levers_of(world.module)]


@pytest.mark.parametrize(
    ("stays", "asked_s", "database", "names"),
    [
        (False, 1, "master", ()),
        (False, 1, "master", ("event_b",)),
        (True, 1, "master", ("event_a",)),
        (True, 1, "state", ()),
        # What was released after the queue was asked for may have come after that, too.
        (True, 0, "master", ()),
    ],
)
def test_release_ends_where_its_update_left_the_queue(
    world: World, stays: bool, asked_s: float, database: str, names: tuple[str, ...]
) -> None:
    """A queue without the update ends its release, whoever saw it leave; no other queue does."""
    change_levers(world.server, "release", update="event_a")
    queues = {database: Queue(EPOCH_S + asked_s, frozenset(names))}
    answer(world.server, world.module._parts.recorder.levers.follow([], queues))
    assert stays is bool(levers_of(world.module))


def test_profile_brings_its_pace(world: World, virtual_server: MakeServer) -> None:
    """An override to a profile is adaptive although the configuration sleeps; after a restart too.

    The settings are told as they were written.
    """
    told = change_levers(world.server, "override", update="*", settings={"profile": "finish"})
    assert {"profile": "finish"} == told["made"][0]["settings"]
    later = restarted(world.server, virtual_server())
    later.load({"sleep": "1s"})
    later.advance(0)
    for server in (world.server, later):
        told = stated(server, service_of(server).explain("event_a", "master", False))
        assert ("adaptive", "finish") == (told["limits"]["duty_cycle"], told["limits"]["profile"])


def test_no_more_levers_than_may_be(world: World) -> None:
    """Of a hundred in force one must end first; those that have ended do not count."""
    change_levers(world.server, "pause", update="event_a", duration="1s")
    for stars in range(MOST_LEVERS - 1):
        change_levers(world.server, "pause", update="event_b" + "*" * stars)
    with pytest.raises(TooManyLeversError, match="100 may be"):
        change_levers(world.server, "pause")
    world.server.advance(1)
    assert MOST_LEVERS == len(change_levers(world.server, "pause")["in_force"])
    assert MOST_LEVERS - 1 == len(
        change_levers(world.server, "resume", update="event_b")["in_force"]
    )


def test_items_per_second_end_with_their_override(virtual_server: MakeServer) -> None:
    """What one of them slowed down goes on within a second of its end, at the pace of then."""
    server = virtual_server()
    work = Work(server, 10**9, cost_ms=1)
    server.pools["master"].queue("event_search", work)
    server.load({"sleep": "100ms"})
    server.start()
    server.advance(5)
    slow = {"settings": {"max_items_per_second": 0.01}, "duration": "10s"}
    change_levers(server, "override", update="event_search", **slow)
    server.advance(9)
    before = len(work.starts_s)
    server.advance(2)
    assert len(work.starts_s) > before


# --- what it is about ---


@pytest.mark.parametrize("action", ["pause", "override"])
def test_names_that_this_server_does_not_have(world: World, action: str) -> None:
    """What nothing is named like, here or in the queue, is refused with what there is."""
    settings = {"settings": {"sleep": 0}} if action == "override" else {}
    message = "knows matches event_x; did you mean event_[ab].*pending are: event_a, event_b"
    with pytest.raises(NothingMatchesError, match=message):
        change_levers(world.server, action, update="event_x", **settings)
    with pytest.raises(NothingMatchesError, match=r"matches receipts_\*"):
        change_levers(world.server, action, update="receipts_*", **settings)
    with pytest.raises(InvalidConfigError, match="database: found 'foo'; accepted is master"):
        change_levers(world.server, action, update="*", database="foo", **settings)
    assert () == levers_of(world.module)
    world.server.pools["master"].connection.execute(
        "INSERT INTO background_updates (update_name, progress_json) VALUES ('strange', '{}')"
    )
    change_levers(world.server, action, update="strange", **settings)
    assert 1 == len(levers_of(world.module))


def test_names_that_are_not_pending(world: World) -> None:
    """What the server knows may be paused before it is pending, which is said."""
    world.server.pools["master"].updates.register_background_update_handler(
        "later", world.works["event_a"]
    )
    told = change_levers(world.server, "pause", update="lat*")
    assert ["nothing pending matches lat* now"] == told["notes"]
    assert [] == change_levers(world.server, "pause", update="event_*")["notes"]


def test_names_where_it_is_not_told_what_there_is(virtual_server: MakeServer) -> None:
    """Where Synapse does not tell what it knows, a pause is made, and that is said."""
    server = virtual_server()
    server.load({})
    server.advance(0)
    told = change_levers(server, "pause", update="event_serch", database="foo")
    assert "it knows: check the name" in told["notes"][-1]


def test_release_behind_a_held_one(world: World) -> None:
    """It is said what a released update waits behind, and what holds that one."""
    change_levers(world.server, "pause", update="event_a", reason="party")
    (note,) = change_levers(world.server, "release", update="event_b")["notes"]
    assert note.startswith("event_b in master waits behind event_a, paused by @admin:virtual.test")
    (note,) = change_levers(world.server, "release", update="event_a")["notes"]
    assert note.startswith("event_a in master is still held: paused by @admin:virtual.test")


def test_release_of_what_this_server_does_not_know(world: World) -> None:
    """It cannot run, and is left out."""
    world.server.pools["master"].connection.execute(
        "INSERT INTO background_updates (update_name, progress_json, ordering)"
        " VALUES ('strange', '{}', 9)"
    )
    told = change_levers(world.server, "release", update="*")
    assert ["event_a", "event_b"] == [lever["update"] for lever in told["made"]]
    assert ["left out in master, because this server does not know it: strange"] == told["notes"]
    with pytest.raises(NothingMatchesError, match="does not know strange, and cannot run it"):
        change_levers(world.server, "release", update="strange")


def test_override_tells_what_still_holds(virtual_server: MakeServer) -> None:
    """A profile alone opens no window and lifts no approval."""
    closed = [{"days": ["sun"], "start": "00:00", "end": "01:00"}]
    server = World(virtual_server, {"windows": closed, "max_items_per_second": 50}).server
    told = change_levers(server, "override", update="*", settings={"profile": "finish"})
    limits, held = told["notes"]
    assert limits.startswith("event_a in master has now: duty cycle adaptive, finish")
    assert "50 items/s" in limits
    assert held.startswith("event_a in master is still held: windows are closed")
    settings = {"profile": "finish", "windows": "always", "max_items_per_second": "off"}
    (limits,) = change_levers(server, "override", update="*", settings=settings)["notes"]
    assert "items/s" not in limits


@pytest.mark.parametrize("place", ["homeserver.service.notes", "homeserver.service.in_order"])
def test_notes_that_fail(world: World, caplog: pytest.LogCaptureFixture, place: str) -> None:
    """What is written is answered as done, without notes; why they fail is logged once."""
    with patch(f"synapse_bgthrottle.{place}", side_effect=ZeroDivisionError("of our own")):
        for count in (1, 2):
            told = change_levers(world.server, "pause", update="event_*")
            assert ([], count) == (told["notes"], len(told["in_force"]))
    assert 2 == len(levers_of(world.module))
    (record,) = [record for record in caplog.records if record.exc_info]
    assert "internal error with the notes on a lever" in record.getMessage()
    assert "of our own" in str(record.exc_info)
