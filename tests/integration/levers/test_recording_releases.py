"""The ends of releases, as the recorder writes them."""

import sqlite3
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

from testbed.virtual.server import VirtualServer, Work
from tests.integration.virtual_module import change_levers, levers_of, queued, restarted, rows

MakeServer = Callable[..., VirtualServer]


def _approved(make: MakeServer) -> tuple[VirtualServer, Any, Work]:
    server = make()
    work = queued(server, "work", 20_000)
    module = server.load({"sleep": "1s", "approval": "required"})
    server.start()
    server.advance(100)
    assert [] == work.starts_s
    return server, module, work


def test_release_is_for_one_run(virtual_server: MakeServer) -> None:
    """A release is in use when its update goes, outlives its end, and is gone with the update."""
    server, module, work = _approved(virtual_server)
    change_levers(server, "release", update="work", duration="10s")
    assert [None] == [lever.used_s for lever in levers_of(module)]
    server.advance(6)
    assert work.starts_s
    (lever,) = levers_of(module)
    assert lever.used_s is not None
    assert [(round(lever.used_s * 1000),)] == rows(server, "SELECT used_ms FROM bgthrottle_levers")
    server.advance(60)
    assert 0 < work.left_items
    server.advance(600)
    assert (0, ()) == (work.left_items, levers_of(module))
    assert [] == rows(server, "SELECT * FROM bgthrottle_levers")


def test_release_that_ends_before_its_use_is_written(virtual_server: MakeServer) -> None:
    """A second is enough for what it lets go."""
    server, module, work = _approved(virtual_server)
    change_levers(server, "release", update="work", duration="1s")
    server.advance(600)
    assert (0, ()) == (work.left_items, levers_of(module))


def test_release_that_is_not_used_ends(virtual_server: MakeServer) -> None:
    """An update that something else holds all the time is not let go later."""
    server, module, work = _approved(virtual_server)
    change_levers(server, "pause", update="work", duration="1h")
    change_levers(server, "release", update="work", duration="10m")
    server.advance(3700)
    assert [] == work.starts_s
    assert [None] == [lever.used_s for lever in levers_of(module) if lever.kind.value == "release"]


def test_release_ends_although_nobody_could_write_that(virtual_server: MakeServer) -> None:
    """A release whose end could not be written ends later: it lets no second run go."""
    server, module, work = _approved(virtual_server)
    change_levers(server, "release", update="work")
    server.advance(6)
    change = "synapse_bgthrottle.homeserver.storage.store._change"
    with patch(change, side_effect=sqlite3.OperationalError("full")):
        server.advance(600)
        assert (0, 1) == (work.left_items, len(levers_of(module)))
    server.advance(600)
    assert () == levers_of(module)


def test_release_of_the_next_run_does_not_end_with_the_run_before(
    virtual_server: MakeServer,
) -> None:
    """That one ended a moment ago, which nobody has written yet."""
    server = virtual_server()
    module = server.load({"duty_cycle": "10%", "rules": [{"update": "x", "approval": "required"}]})
    work, other = Work(server, 100_000, cost_ms=1), Work(server, 10**9, cost_ms=1)
    pool = server.pools["master"]
    pool.queue("x", work)
    pool.queue("y", other)
    server.start()
    server.advance(5)
    change_levers(server, "release", update="x")
    while not other.starts_s:
        server.advance(0.1)
    work.left_items = 100
    pool.connection.execute("INSERT INTO background_updates VALUES ('x', '{}', NULL, 0)")
    change_levers(server, "release", update="x")
    server.advance(10)
    assert ["x"] == [lever.update for lever in levers_of(module)]
    assert [("x",)] == rows(server, "SELECT update_glob FROM bgthrottle_levers")


def test_release_ends_although_the_process_was_killed(virtual_server: MakeServer) -> None:
    """A release whose update ended just before a kill is gone after the restart."""
    server, _, work = _approved(virtual_server)
    change_levers(server, "release", update="work")
    with patch("synapse_bgthrottle.homeserver.storage.lever_writer.LeverWriter.follow"):
        server.advance(600)
    assert 0 == work.left_items
    server.pools["master"].connection.execute("UPDATE bgthrottle_levers SET used_ms = 1")
    later = restarted(server, virtual_server())
    module = later.load({})
    later.advance(0)
    assert 1 == len(levers_of(module))
    later.advance(2)
    assert () == levers_of(module)
