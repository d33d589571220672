"""Levers pulled on the virtual server: what is made, ended, written, refused."""

import sqlite3
from collections.abc import Callable
from importlib import import_module
from typing import Any
from unittest.mock import patch

import pytest
from synapse.module_api import make_deferred_yieldable, run_in_background
from twisted.internet.defer import Deferred, ensureDeferred

from harness.virtual import EPOCH_S, VirtualServer, Work
from synapse_bgthrottle.config import InvalidConfigError
from synapse_bgthrottle.lever_desk import Queue
from synapse_bgthrottle.lever_requests import (
    Action,
    NothingMatchesError,
    StoreUnavailableError,
    TooManyLeversError,
    parse_lever_request,
)
from synapse_bgthrottle.levers import MOST_LEVERS
from synapse_bgthrottle.limits import FixedSleep
from synapse_bgthrottle.module import BackgroundUpdateThrottle
from tests.virtual.kept import ADMIN, answer, levers_of, pull, queued, restarted, rows, steering_of

MakeServer = Callable[..., VirtualServer]

_CONTEXT: Any = import_module("synapse.logging.context")


class _World:
    """A server with two updates pending, and the module."""

    def __init__(self, make: MakeServer, config: dict[str, Any]) -> None:
        self.server = make()
        self.works = {name: Work(self.server, 10**9, cost_ms=1) for name in ("event_a", "event_b")}
        for name, work in self.works.items():
            self.server.pools["master"].queue(name, work)
        self.module: BackgroundUpdateThrottle = self.server.load(config)
        self.server.advance(0)

    def pull(self, action: str, **request: Any) -> tuple[list[str], list[str], list[str]]:
        """Updates of the levers made, ended and in force."""
        told = pull(self.server, action, **request)
        made, ended, in_force = ([v["update"] for v in told[key]] for key in told if key != "notes")
        return made, ended, in_force


@pytest.fixture
def world(virtual_server: MakeServer) -> _World:
    return _World(virtual_server, {"sleep": "1s"})


def test_pause_is_told_as_it_was_made(world: _World) -> None:
    """A pause has who, why and until when, and is in force."""
    told = pull(world.server, "pause", update="event_*", duration="1h", reason="party")
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


def test_pause_holds_at_once_and_ends_by_itself(world: _World) -> None:
    """No batch begins after the answer, until the end; what is ended goes on within a second."""
    world.server.start()
    world.server.advance(10)
    work = world.works["event_a"]
    pull(world.server, "pause", duration="1m")
    before = len(work.starts_s)
    world.server.advance(59)
    assert before == len(work.starts_s)
    world.server.advance(3)
    assert before < len(work.starts_s)
    pull(world.server, "pause")
    before = len(work.starts_s)
    world.server.advance(600)
    assert before == len(work.starts_s)
    pull(world.server, "resume")
    world.server.advance(2)
    assert before < len(work.starts_s)


def test_levers_outlive_the_process(world: _World, virtual_server: MakeServer) -> None:
    """A new process goes by what was pulled in the old one, and pauses before its first batch."""
    pull(world.server, "pause", update="event_b", reason="party")
    world.server.advance(1)
    pull(world.server, "override", update="*", settings={"sleep": "10s"})
    world.server.advance(1)
    pull(world.server, "pause", duration="1s")
    world.server.advance(1)
    before = levers_of(world.module)
    later = restarted(world.server, virtual_server())
    module = later.load({})
    assert None is module._throttle.levers
    later.advance(0)
    assert ["event_b", "*"] == [lever.update for lever in levers_of(module)]
    assert before[:2] == levers_of(module)
    assert FixedSleep(10_000) == levers_of(module)[1].settings.pace
    assert 2 == len(rows(later, "SELECT * FROM bgthrottle_levers"))


def test_resume_ends_pauses_that_are_meant(world: _World) -> None:
    """What was named, or matches what was named, is over; overrides and the others are not."""
    queued(world.server, "other")
    for update in ("event_a", "event_b", "other"):
        pull(world.server, "pause", update=update)
    pull(world.server, "override", update="event_a", settings={"sleep": 0})
    made, ended, in_force = world.pull("resume", update="event_*")
    assert ([], ["event_a", "event_b"], ["other", "event_a"]) == (made, ended, in_force)
    message = "no pause matches event_a; in force for: other"
    with pytest.raises(NothingMatchesError, match=message):
        world.pull("resume", update="event_a")
    assert ["other"] == world.pull("resume")[1]
    with pytest.raises(NothingMatchesError, match="nothing is paused"):
        world.pull("resume")


def test_reset_ends_overrides_and_releases(world: _World) -> None:
    """What lets updates go faster ends with one word; pauses stay."""
    pull(world.server, "pause")
    pull(world.server, "override", update="event_*", settings={"sleep": 0})
    pull(world.server, "release", update="event_a")
    assert ([], ["event_*", "event_a"], ["*"]) == world.pull("reset")
    with pytest.raises(NothingMatchesError):
        world.pull("reset", database="master")


def test_release_is_one_of_each_pending_update(world: _World) -> None:
    """A glob releases what is pending now, by name and database, not what comes later."""
    assert ["event_a", "event_b"] == world.pull("release", update="event_*")[0]
    assert {("master", None)} == {(v.database, v.used_s) for v in levers_of(world.module)}
    with pytest.raises(NothingMatchesError, match="pending are: event_a, event_b"):
        world.pull("release", update="other")
    with pytest.raises(InvalidConfigError, match="found 'state'; accepted is master, or null"):
        world.pull("release", update="event_a", database="state")


def test_release_made_anew_gets_the_new_end(world: _World) -> None:
    """An update is released once, until the last end that was given."""
    pull(world.server, "release", update="event_a", duration="1h")
    made, ended, in_force = world.pull("release", update="event_a", duration="2h")
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
    world: _World, stays: bool, asked_s: float, database: str, names: tuple[str, ...]
) -> None:
    """A queue without the update ends its release, whoever saw it leave; no other queue does."""
    pull(world.server, "release", update="event_a")
    queues = {database: Queue(EPOCH_S + asked_s, frozenset(names))}
    answer(world.server, world.module._keeper._desk.follow([], queues))
    assert stays is bool(levers_of(world.module))


def test_profile_brings_its_pace(world: _World, virtual_server: MakeServer) -> None:
    """An override to a profile is adaptive although the configuration sleeps; after a restart too.

    The settings are told as they were written.
    """
    told = pull(world.server, "override", update="*", settings={"profile": "finish"})
    assert {"profile": "finish"} == told["made"][0]["settings"]
    later = restarted(world.server, virtual_server())
    later.load({"sleep": "1s"})
    later.advance(0)
    for server in (world.server, later):
        told = answer(server, steering_of(server).explain("event_a", "master", False))
        assert ("adaptive", "finish") == (told["limits"]["duty_cycle"], told["limits"]["profile"])


def test_no_more_levers_than_may_be(world: _World) -> None:
    """Of a hundred in force one must end first; those that have ended do not count."""
    pull(world.server, "pause", update="event_a", duration="1s")
    for stars in range(MOST_LEVERS - 1):
        pull(world.server, "pause", update="event_b" + "*" * stars)
    with pytest.raises(TooManyLeversError, match="100 may be"):
        pull(world.server, "pause")
    world.server.advance(1)
    assert MOST_LEVERS == len(pull(world.server, "pause")["in_force"])
    assert MOST_LEVERS - 1 == len(pull(world.server, "resume", update="event_b")["in_force"])


@pytest.mark.parametrize("action", ["pause", "resume", "override", "reset"])
def test_failing_write_changes_nothing(world: _World, action: str) -> None:
    """Where it cannot be written nothing changes, neither here nor there, and that is said."""
    pull(world.server, "pause")
    pull(world.server, "override", update="*", settings={"sleep": 0})
    before, stored = levers_of(world.module), rows(world.server, "SELECT * FROM bgthrottle_levers")
    settings = {"settings": {"sleep": "5s"}} if action == "override" else {}
    world.server.pools["master"].broken = sqlite3.OperationalError("database is locked")
    with pytest.raises(StoreUnavailableError, match="nothing has changed: database is locked"):
        pull(world.server, action, update="*", **settings)
    world.server.pools["master"].broken = None
    assert before == levers_of(world.module)
    assert stored == rows(world.server, "SELECT * FROM bgthrottle_levers")
    assert 2 == len(answer(world.server, steering_of(world.server).uses(100)))
    pull(world.server, action, update="*", **settings)
    assert before != levers_of(world.module)


def test_error_of_ours_while_writing_changes_nothing(world: _World) -> None:
    """Whatever the error is, the desk is open for the next one."""
    with (
        patch("synapse_bgthrottle.store._change", side_effect=ZeroDivisionError("of our own")),
        pytest.raises(StoreUnavailableError, match="of our own"),
    ):
        pull(world.server, "pause")
    assert () == levers_of(world.module)
    assert 1 == len(pull(world.server, "pause")["in_force"])


def test_one_at_a_time(world: _World) -> None:
    """Two administrators at once: both pauses are there afterwards, in the order of asking."""
    pool = world.server.pools["master"]
    silent: list[Any] = []
    pool.silent = silent
    told: list[Any] = []
    for update in ("event_a", "event_b"):
        request = parse_lever_request(Action.PAUSE, {"update": update})
        ensureDeferred(steering_of(world.server).pull(request, ADMIN)).addCallback(told.append)
    world.server.advance(0.1)
    assert ([], 1) == (told, len(silent))
    pool.silent = None
    silent[0].callback(None)
    world.server.advance(0)
    by_update = {each["made"][0]["update"]: len(each["in_force"]) for each in told}
    assert {"event_a": 1, "event_b": 2} == by_update
    assert ["event_a", "event_b"] == [lever.update for lever in levers_of(world.module)]


def test_uses_tell_who_did_what(world: _World) -> None:
    """Every lever that was pulled is told, newest first, with its end where it made something."""
    pull(world.server, "pause", update="event_*", duration="1h", reason="party")
    world.server.advance(60)
    pull(world.server, "override", update="*", settings={"duty_cycle": "5%"}, duration="1m")
    pull(world.server, "resume", reason="over")
    told = answer(world.server, steering_of(world.server).uses(10))
    assert "pause" == told[-1]["action"]
    by_action = {use.pop("action"): use for use in told}
    now_ms = round(EPOCH_S * 1000)
    common = {"author": ADMIN, "database": None}
    assert {
        "pause": {
            **common,
            "at_ms": now_ms,
            "update": "event_*",
            "reason": "party",
            "settings": {},
            "ends_ms": now_ms + 3_600_000,
        },
        "override": {
            **common,
            "at_ms": now_ms + 60_000,
            "update": "*",
            "reason": "",
            "settings": {"duty_cycle": "5%"},
            "ends_ms": now_ms + 120_000,
        },
        "resume": {
            **common,
            "at_ms": now_ms + 60_000,
            "update": "*",
            "reason": "over",
            "settings": {},
            "ends_ms": None,
        },
    } == by_action


def test_log_contexts_of_those_who_wait_for_each_other(virtual_server: MakeServer) -> None:
    """Each of many who pull levers at once is in the log context of its own when it is answered."""
    server = virtual_server()
    module = server.load({})
    server.advance(0)
    real, seen = server.api.run_db_interaction, []

    async def slow(*arguments: Any) -> Any:
        answer: Deferred[None] = Deferred()  # as Synapse's interactions, minding log contexts
        server.clock.reactor.callLater(0.1, answer.callback, None)
        await make_deferred_yieldable(answer)
        return await real(*arguments)

    async def one(name: str) -> None:
        request = parse_lever_request(Action.PAUSE, {"update": name})
        try:
            context = _CONTEXT.LoggingContext(name=name, server_name="virtual.test")
        except TypeError:  # before it knew its server
            context = _CONTEXT.LoggingContext(name=name)
        with context:
            await module._keeper._desk.pull(request, ADMIN, [])
            seen.append((name, str(_CONTEXT.current_context())))

    with patch.object(server.api, "run_db_interaction", slow):
        for name in ("first", "second", "third"):
            with _CONTEXT.PreserveLoggingContext():
                run_in_background(one, name)
        server.advance(1)
    assert [(name, name) for name in ("first", "second", "third")] == seen


def test_what_has_ended_is_deleted_with_the_next_change(world: _World) -> None:
    """The table does not grow with each pause that ends by itself."""
    for _ in range(20):
        world.pull("pause", update="event_a", duration="1s")
        world.server.advance(2)
    assert [(1,)] == rows(world.server, "SELECT COUNT(*) FROM bgthrottle_levers")


def test_items_per_second_end_with_their_override(virtual_server: MakeServer) -> None:
    """What one of them slowed down goes on within a second of its end, at the pace of then."""
    server = virtual_server()
    work = Work(server, 10**9, cost_ms=1)
    server.pools["master"].queue("event_search", work)
    server.load({"sleep": "100ms"})
    server.start()
    server.advance(5)
    slow = {"settings": {"max_items_per_second": 0.01}, "duration": "10s"}
    pull(server, "override", update="event_search", **slow)
    server.advance(9)
    before = len(work.starts_s)
    server.advance(2)
    assert len(work.starts_s) > before


# --- what it is about ---


@pytest.mark.parametrize("action", ["pause", "override"])
def test_names_that_this_server_does_not_have(world: _World, action: str) -> None:
    """What nothing is named like, here or in the queue, is refused with what there is."""
    settings = {"settings": {"sleep": 0}} if action == "override" else {}
    message = "knows matches event_x; did you mean event_[ab].*pending are: event_a, event_b"
    with pytest.raises(NothingMatchesError, match=message):
        pull(world.server, action, update="event_x", **settings)
    with pytest.raises(NothingMatchesError, match=r"matches receipts_\*"):
        pull(world.server, action, update="receipts_*", **settings)
    with pytest.raises(InvalidConfigError, match="database: found 'foo'; accepted is master"):
        pull(world.server, action, update="*", database="foo", **settings)
    assert () == levers_of(world.module)
    world.server.pools["master"].connection.execute(
        "INSERT INTO background_updates (update_name, progress_json) VALUES ('strange', '{}')"
    )
    pull(world.server, action, update="strange", **settings)
    assert 1 == len(levers_of(world.module))


def test_names_that_are_not_pending(world: _World) -> None:
    """What the server knows may be paused before it is pending, which is said."""
    world.server.pools["master"].updates.register_background_update_handler(
        "later", world.works["event_a"]
    )
    told = pull(world.server, "pause", update="lat*")
    assert ["nothing pending matches lat* now"] == told["notes"]
    assert [] == pull(world.server, "pause", update="event_*")["notes"]


def test_names_where_it_is_not_told_what_there_is(virtual_server: MakeServer) -> None:
    """Where Synapse does not tell what it knows, a pause is made, and that is said."""
    server = virtual_server()
    server.load({})
    server.advance(0)
    told = pull(server, "pause", update="event_serch", database="foo")
    assert "is not told, so check the name" in told["notes"][-1]


def test_release_behind_a_held_one(world: _World) -> None:
    """It is said what a released update waits behind, and what holds that one."""
    pull(world.server, "pause", update="event_a", reason="party")
    (note,) = pull(world.server, "release", update="event_b")["notes"]
    assert note.startswith("event_b in master waits behind event_a, paused by @admin:virtual.test")
    (note,) = pull(world.server, "release", update="event_a")["notes"]
    assert note.startswith("event_a in master is held still: paused by @admin:virtual.test")


def test_release_of_what_this_server_does_not_know(world: _World) -> None:
    """It cannot run, and is left out."""
    world.server.pools["master"].connection.execute(
        "INSERT INTO background_updates (update_name, progress_json, ordering)"
        " VALUES ('strange', '{}', 9)"
    )
    told = pull(world.server, "release", update="*")
    assert ["event_a", "event_b"] == [lever["update"] for lever in told["made"]]
    assert ["left out in master, as this server does not know it: strange"] == told["notes"]
    with pytest.raises(NothingMatchesError, match="does not know strange, and cannot run it"):
        pull(world.server, "release", update="strange")


def test_override_tells_what_still_holds(virtual_server: MakeServer) -> None:
    """A profile alone opens no window and lifts no approval."""
    closed = [{"days": ["sun"], "start": "00:00", "end": "01:00"}]
    server = _World(virtual_server, {"windows": closed, "max_items_per_second": 50}).server
    told = pull(server, "override", update="*", settings={"profile": "finish"})
    limits, held = told["notes"]
    assert limits.startswith("event_a in master has now: duty cycle adaptive, finish")
    assert "50 items/s" in limits
    assert held.startswith("event_a in master is held still: windows are closed")
    settings = {"profile": "finish", "windows": "always", "max_items_per_second": "off"}
    (limits,) = pull(server, "override", update="*", settings=settings)["notes"]
    assert "items/s" not in limits


@pytest.mark.parametrize("place", ["steering.notes", "steering.in_order"])
def test_notes_that_fail(world: _World, caplog: pytest.LogCaptureFixture, place: str) -> None:
    """What is written is answered as done, without notes; why they fail is logged once."""
    with patch(f"synapse_bgthrottle.{place}", side_effect=ZeroDivisionError("of our own")):
        for count in (1, 2):
            told = pull(world.server, "pause", update="event_*")
            assert ([], count) == (told["notes"], len(told["in_force"]))
    assert 2 == len(levers_of(world.module))
    (record,) = [record for record in caplog.records if record.exc_info]
    assert "an error of its own with the notes on a lever" in record.getMessage()
    assert "of our own" in str(record.exc_info)
