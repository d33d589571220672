"""The recorder on the virtual server: at the start, and while updates run."""

import logging
import sqlite3
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import pytest
from twisted.internet.defer import Deferred

from testbed.virtual.server import VirtualServer
from tests.integration.virtual_module import change_levers, queued, restarted, service_of, stated

MakeServer = Callable[..., VirtualServer]


def _told(caplog: pytest.LogCaptureFixture, level: int = logging.WARNING) -> list[str]:
    return [
        r.getMessage()
        for r in caplog.records
        if r.levelno >= level and r.name.endswith(("recorder", "loader"))
    ]


# --- the start ---


def test_nothing_runs_until_what_was_paused_is_read(
    virtual_server: MakeServer, caplog: pytest.LogCaptureFixture
) -> None:
    """A connection that hangs holds all updates, which is logged; another one is tried soon."""
    server = virtual_server()
    work = queued(server, "work")
    hanging: list[Deferred[None]] = []

    def hang(*_: Any) -> Deferred[None]:
        hanging.append(Deferred())
        return hanging[-1]

    with patch.object(server.api, "run_db_interaction", hang):
        module = server.load({"sleep": 0})
        server.start()
        server.advance(600)
    assert [] == work.starts_s
    assert "are not read yet" in repr(module)
    (line,) = _told(caplog)
    assert "all updates are held; the module tries again: no answer within 30 s" in line
    server.advance(36)
    assert work.starts_s


def test_lost_connection_at_the_start(
    virtual_server: MakeServer, caplog: pytest.LogCaptureFixture
) -> None:
    """It is told once, everything is held, and tried again until it can be read."""
    server = virtual_server()
    work = queued(server, "work")
    with patch(
        "synapse_bgthrottle.homeserver.storage.store._open",
        side_effect=sqlite3.OperationalError("locked"),
    ):
        module = server.load({"sleep": 0})
        server.start()
        server.advance(100)
        (line,) = _told(caplog)
        assert "so all updates are held; the module tries again: locked" in line
        told = stated(server, service_of(server).status())
        assert ("store", "locked") == (
            told["problems"][0]["kind"],
            module._parts.recorder.loader.problem,
        )
    assert [] == work.starts_s
    server.advance(6)
    assert work.starts_s
    assert [] == stated(server, service_of(server).status())["problems"]
    assert "" == module._parts.recorder.loader.problem


def test_missing_right_lets_updates_go_on(
    virtual_server: MakeServer, caplog: pytest.LogCaptureFixture
) -> None:
    """Where our tables may not be made, that is an error in the log, and updates are not held."""
    server = virtual_server()
    work = queued(server, "work")
    error = sqlite3.ProgrammingError("permission denied for schema public")
    with patch("synapse_bgthrottle.homeserver.storage.store._open", side_effect=error) as tried:
        server.load({"sleep": 0})
        server.start()
        server.advance(100)
    assert work.starts_s
    assert 1 == tried.call_count
    assert "permission denied" in _told(caplog, logging.ERROR)[0]
    problems = stated(server, service_of(server).status())["problems"]
    assert [("store", True)] == [(v["kind"], "permission" in v["message"]) for v in problems]


def test_server_without_timers(virtual_server: MakeServer) -> None:
    """Where nothing can be read, since nothing can be called later, updates are not held."""
    server = virtual_server()
    work = queued(server, "work")
    timers = "synapse_bgthrottle.homeserver.internals.timers.Timers"
    with patch(f"{timers}.call_later", return_value=None):
        module = server.load({"sleep": 0})
        server.start()
        server.advance(60)
    assert work.starts_s
    assert "no timers" in module._parts.recorder.loader.problem


def test_what_was_paused_is_told(
    virtual_server: MakeServer, caplog: pytest.LogCaptureFixture
) -> None:
    """After a restart each lever in force is a line; what cannot be read is an error."""
    server = virtual_server()
    server.load({})
    server.advance(0)
    change_levers(server, "pause", update="event_*", database="master", reason="party")
    change_levers(server, "override", update="*", settings={"sleep": 0})
    change_levers(server, "override", update="event_b", settings={"duty_cycle": "2%"})
    server.pools["master"].connection.execute(
        "UPDATE bgthrottle_levers SET settings = '{}' WHERE kind = 'override' AND update_glob = '*'"
    )
    later = restarted(server, virtual_server())
    with caplog.at_level(logging.INFO, logger="synapse_bgthrottle.homeserver.storage.loader"):
        later.load({})
        later.advance(0)
    (error,) = [line for line in caplog.messages if "cannot be read" in line]
    # Made in the same millisecond: their order is by chance.
    override, pause = sorted(line for line in caplog.messages if "still in force" in line)
    assert "still in force: override of event_b to duty_cycle=2% by @admin" in override
    assert "still in force: pause of event_* in master by @admin:virtual.test until" in pause
    assert pause.endswith(" UTC: party")
    assert "this row cannot be read, and is left out: override of * by @admin" in error


# --- the queue ---


def test_unknown_name_is_warned_of_once(
    virtual_server: MakeServer, caplog: pytest.LogCaptureFixture
) -> None:
    """A name in the queue that the server does not know is told, once, and in the status."""
    server = virtual_server()
    queued(server, "work")
    server.pools["master"].connection.execute(
        "INSERT INTO background_updates VALUES ('of_a_module', '{}', NULL, 9)"
    )
    server.load({})
    server.advance(2)
    (line,) = _told(caplog)  # also before anything begins: it may be the first
    server.start()
    server.advance(600)
    (line,) = _told(caplog)
    assert "does not know of_a_module in the queue of master, and stops there" in line
    kinds = [v["kind"] for v in stated(server, service_of(server).status())["problems"]]
    assert "unknown_update" in kinds


def test_nothing_is_polled_while_nothing_is_pending(virtual_server: MakeServer) -> None:
    """After the start, and after the last update, no timer of ours is left."""
    server = virtual_server()
    server.load({})
    server.advance(2)
    assert [] == server.timers()
    queued(server, "work", 300)
    server.start()
    server.advance(100)
    assert [] == server.timers()
    change_levers(server, "pause")
    assert [] == server.timers()


def test_queue_is_looked_at_seldom_while_it_is_held(virtual_server: MakeServer) -> None:
    """An update is looked at after a twentieth of its time, within 0.5 to 5 s; held, each minute.

    That makes 20 looks in 10 s, 20 ln(10) more in 100 s, and then one in 5 s.
    """
    server = virtual_server()
    queued(server, "work")
    server.load({"sleep": 0})
    looks: list[float] = []
    pool = server.pools["master"]
    run: Any = pool.runInteraction

    async def counted(description: str, *arguments: Any) -> Any:
        if description == "bgthrottle_queue":
            looks.append(server.clock.monotonic())
        return await run(description, *arguments)

    def count(seconds: float) -> int:
        before = len(looks)
        server.advance(seconds)
        return len(looks) - before

    with patch.object(pool, "runInteraction", counted):
        server.start()
        assert 20 == pytest.approx(count(10), abs=2)
        assert 46 == pytest.approx(count(90), abs=2)
        assert 120 == pytest.approx(count(600), abs=2)
        change_levers(server, "pause")
        server.advance(10)
        assert 10 == pytest.approx(count(600), abs=1)
