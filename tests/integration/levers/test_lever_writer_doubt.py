"""A connection lost during a lever's write: the levers then match what was written."""

import logging
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import psycopg2
import pytest

from synapse_bgthrottle.core.levers.request import StoreUnavailableError
from synapse_bgthrottle.homeserver.storage.store import Store
from testbed.virtual.server import VirtualServer
from tests.integration.levers.lever_world import World
from tests.integration.virtual_module import change_levers, levers_of, restarted, rows

MakeServer = Callable[..., VirtualServer]

_LEVERS = "SELECT kind FROM bgthrottle_levers ORDER BY created_ms"


@pytest.fixture
def world(virtual_server: MakeServer) -> World:
    """With nothing that runs, so that every timer is the desk's."""
    made = World(virtual_server, {"sleep": "1s"})
    made.server.advance(5)
    assert [] == made.server.timers()
    return made


@contextmanager
def _lost(*, is_done: bool) -> Iterator[None]:
    change: Any = Store.change

    async def lost(*arguments: Any) -> None:
        if is_done:
            await change(*arguments)
        raise psycopg2.OperationalError("server closed the connection unexpectedly")

    with patch.object(Store, "change", lost):
        yield


def _pull_and_lose(world: World, action: str, *, is_done: bool = True, **request: Any) -> None:
    with (
        _lost(is_done=is_done),
        pytest.raises(StoreUnavailableError, match="it may be done, see the status") as caught,
    ):
        change_levers(world.server, action, **request)
    assert caught.value.may_be_done


def _kinds(world: World) -> list[str]:
    return [lever.kind.value for lever in levers_of(world.module)]


@pytest.mark.parametrize(
    ("action", "request_", "expected"),
    [
        ("pause", {}, ["pause", "override", "pause"]),
        ("resume", {}, ["override"]),
        (
            "override",
            {"update": "*", "settings": {"max_batch_size": 7}},
            ["pause", "override", "override"],
        ),
        ("reset", {}, ["pause"]),
        ("release", {"update": "event_a"}, ["pause", "override", "release"]),
    ],
)
@pytest.mark.parametrize("is_done", [True, False])
def test_what_was_done_shows_within_seconds(
    world: World, action: str, request_: dict[str, Any], expected: list[str], is_done: bool
) -> None:
    """Whatever it was, and no timer is left; where it was not done, nothing has changed."""
    before = ["pause", "override"]
    change_levers(world.server, "pause")
    world.server.advance(1)
    change_levers(world.server, "override", update="*", settings={"sleep": 0})
    world.server.advance(1)
    _pull_and_lose(world, action, is_done=is_done, **request_)
    assert before == _kinds(world)
    world.server.advance(10)
    assert (expected if is_done else before) == _kinds(world)
    assert _kinds(world) == [kind for (kind,) in rows(world.server, _LEVERS)]
    assert [] == world.server.timers()


def test_resume_at_once_ends_it_too(world: World, virtual_server: MakeServer) -> None:
    """Who asks again and then resumes leaves no pause that would be in force after a restart."""
    _pull_and_lose(world, "pause", duration="7d", reason="load test")
    assert 2 == len(change_levers(world.server, "pause", duration="2h")["in_force"])
    assert [] == change_levers(world.server, "resume")["in_force"]
    assert [] == rows(world.server, _LEVERS)
    later = restarted(world.server, virtual_server())
    module = later.load({})
    later.advance(0)
    assert () == levers_of(module)


def test_it_is_logged(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """Nobody was answered, so that the log says what is in force, or over."""
    with caplog.at_level(logging.INFO, logger="synapse_bgthrottle.homeserver.storage.lever_writer"):
        _pull_and_lose(world, "pause", update="event_*", database="master", reason="party")
        world.server.advance(10)
        _pull_and_lose(world, "resume")
        world.server.advance(10)
    begun, ended = caplog.messages
    what = "though its answer was lost: pause of event_* in master by @admin:virtual.test until"
    assert begun.startswith(f"in force, {what}")
    assert begun.endswith(": party")
    assert ended.startswith(f"over, {what}")


def test_database_that_stays_away(world: World) -> None:
    """It is asked until it answers, every ten seconds at least; meanwhile nothing is changed."""
    pool = world.server.pools["master"]
    _pull_and_lose(world, "pause")
    pool.broken = sqlite3.OperationalError("gone")
    world.server.advance(600)
    with pytest.raises(StoreUnavailableError, match="nothing has changed: gone") as caught:
        change_levers(
            world.server, "override", update="*", settings={"sleep": 0}, database="master"
        )
    assert not caught.value.may_be_done
    pool.broken = None
    assert [] == _kinds(world)
    world.server.advance(10)
    assert ["pause"] == _kinds(world)
    assert [] == world.server.timers()


def test_database_that_is_still_at_it(world: World) -> None:
    """What is done some seconds after the connection is lost is found, though others came first."""
    _pull_and_lose(world, "pause", is_done=False)
    change_levers(world.server, "override", update="*", settings={"sleep": 0})
    world.server.advance(4)
    world.server.pools["master"].connection.execute(
        "INSERT INTO bgthrottle_levers SELECT 'late', 'pause', '*', NULL, '{}', '', author,"
        " created_ms - 1, ends_ms, NULL FROM bgthrottle_levers"
    )
    world.server.advance(10)
    assert ["pause", "override"] == _kinds(world)
    assert [] == world.server.timers()


def test_server_that_ends(world: World) -> None:
    """A clock that takes no more calls ends the reading."""

    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("Cannot start delayed call. Clock has been shutdown")

    _pull_and_lose(world, "pause")
    world.server.api.delayed_background_call = refuse
    world.server.advance(60)
    assert [] == world.server.timers()
    assert [] == world.server.failures
