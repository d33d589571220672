"""Levers on the virtual server: what is written, by whom, and failed writes."""

import sqlite3
from collections.abc import Callable
from importlib import import_module
from typing import Any
from unittest.mock import patch

import psycopg2
import pytest
from synapse.module_api import make_deferred_yieldable, run_in_background
from twisted.internet.defer import Deferred, ensureDeferred

from synapse_bgthrottle.core.config.limits import FixedSleep
from synapse_bgthrottle.core.levers.lever import Levers
from synapse_bgthrottle.core.levers.request import (
    Action,
    StoreUnavailableError,
    parse_lever_request,
)
from testbed.virtual.server import EPOCH_S, VirtualServer
from tests.integration.levers.lever_world import World
from tests.integration.virtual_module import (
    ADMIN,
    answer,
    change_levers,
    levers_of,
    restarted,
    rows,
    service_of,
    stated,
)

MakeServer = Callable[..., VirtualServer]

_CONTEXT: Any = import_module("synapse.logging.context")


@pytest.fixture
def world(virtual_server: MakeServer) -> World:
    return World(virtual_server, {"sleep": "1s"})


def test_levers_outlive_the_process(world: World, virtual_server: MakeServer) -> None:
    """A new process goes by what was pulled in the old one, and pauses before its first batch."""
    change_levers(world.server, "pause", update="event_b", reason="party")
    world.server.advance(1)
    change_levers(world.server, "override", update="*", settings={"sleep": "10s"})
    world.server.advance(1)
    change_levers(world.server, "pause", duration="1s")
    world.server.advance(1)
    before = levers_of(world.module)
    later = restarted(world.server, virtual_server())
    module = later.load({})
    assert None is module._parts.throttle.levers
    later.advance(0)
    assert before == levers_of(module)
    in_force = Levers(before).in_force(later.clock.time())
    assert ["event_b", "*"] == [lever.update for lever in in_force]
    assert FixedSleep(10_000) == in_force[1].settings.pace


@pytest.mark.parametrize("action", ["pause", "resume", "override", "reset"])
def test_failing_write_changes_nothing(world: World, action: str) -> None:
    """Where it cannot be written nothing changes, neither here nor there, and that is said."""
    change_levers(world.server, "pause")
    change_levers(world.server, "override", update="*", settings={"sleep": 0})
    before, stored = levers_of(world.module), rows(world.server, "SELECT * FROM bgthrottle_levers")
    settings = {"settings": {"sleep": "5s"}} if action == "override" else {}
    world.server.pools["master"].broken = sqlite3.OperationalError("database is locked")
    said = "nothing has changed: database is locked"
    with pytest.raises(StoreUnavailableError, match=said) as caught:
        change_levers(world.server, action, update="*", **settings)
    assert not caught.value.may_be_done
    world.server.pools["master"].broken = None
    assert before == levers_of(world.module)
    assert stored == rows(world.server, "SELECT * FROM bgthrottle_levers")
    assert 2 == len(answer(world.server, service_of(world.server).uses(100)))
    change_levers(world.server, action, update="*", **settings)
    assert before != levers_of(world.module)


def test_connection_lost_while_writing(world: World) -> None:
    """That may have been between the commit and its answer, so it is not said that it is undone."""
    lost = psycopg2.OperationalError("server closed the connection unexpectedly")
    with (
        patch("synapse_bgthrottle.homeserver.storage.store._change", side_effect=lost),
        pytest.raises(StoreUnavailableError, match="it may be done") as caught,
    ):
        change_levers(world.server, "pause")
    assert caught.value.may_be_done


def test_error_of_ours_while_writing_changes_nothing(world: World) -> None:
    """Whatever the error is, the desk is open for the next one."""
    with (
        patch(
            "synapse_bgthrottle.homeserver.storage.store._change",
            side_effect=ZeroDivisionError("of our own"),
        ),
        pytest.raises(StoreUnavailableError, match="of our own"),
    ):
        change_levers(world.server, "pause")
    assert () == levers_of(world.module)
    assert 1 == len(change_levers(world.server, "pause")["in_force"])


def test_one_at_a_time(world: World) -> None:
    """Two administrators at once: both pauses are there afterwards, in the order of asking."""
    pool = world.server.pools["master"]
    silent: list[Any] = []
    pool.silent = silent
    told: list[Any] = []
    for update in ("event_a", "event_b"):
        request = parse_lever_request(Action.PAUSE, {"update": update})
        ensureDeferred(service_of(world.server).change_levers(request, ADMIN)).addCallback(
            told.append
        )
    world.server.advance(0.1)
    assert ([], 1) == (told, len(silent))
    pool.silent = None
    silent[0].callback(None)
    world.server.advance(0)
    by_update = {each.made[0].update: len(each.in_force) for each in told}
    assert {"event_a": 1, "event_b": 2} == by_update
    assert ["event_a", "event_b"] == [lever.update for lever in levers_of(world.module)]


def test_uses_tell_who_did_what(world: World) -> None:
    """Every lever that was pulled is told, newest first, with its end where it made something."""
    change_levers(world.server, "pause", update="event_*", duration="1h", reason="party")
    world.server.advance(60)
    change_levers(
        world.server, "override", update="*", settings={"duty_cycle": "5%"}, duration="1m"
    )
    change_levers(world.server, "resume", reason="over")
    told = stated(world.server, service_of(world.server).uses(10))
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
            await module._parts.recorder.levers.carry_out(request, ADMIN, [])
            seen.append((name, str(_CONTEXT.current_context())))

    with patch.object(server.api, "run_db_interaction", slow):
        for name in ("first", "second", "third"):
            with _CONTEXT.PreserveLoggingContext():
                run_in_background(one, name)
        server.advance(1)
    assert [(name, name) for name in ("first", "second", "third")] == seen
