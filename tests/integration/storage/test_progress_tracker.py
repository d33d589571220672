"""Progress of an update that needs a table's ends, whose query may fail or be slow."""

import json
from collections.abc import Callable
from itertools import pairwise
from typing import Any
from unittest.mock import patch

import pytest
from twisted.internet.defer import Deferred

from synapse_bgthrottle.core.tracking.measured_pace import MeasuredPace
from synapse_bgthrottle.homeserver.internals.database import Database
from testbed.virtual.server import VirtualServer
from tests.integration.virtual_module import queued, service_of, stated

MakeServer = Callable[..., VirtualServer]

_WALK = "remove_deleted_email_pushers"
_LAST = 100_000


def _walking(server: VirtualServer, last: int = _LAST) -> None:
    """An update that walks along a table of this many rows, ten in each tenth of a second."""
    pool = server.pools["master"]
    at = 0

    async def walk(progress: Any, size: int) -> int:
        nonlocal at
        await server.clock.sleep(0.1)
        at += 10
        if at >= last:
            await pool.updates._end_background_update(_WALK)
        told = json.dumps({"last_pusher": at})
        pool.connection.execute("UPDATE background_updates SET progress_json = ?", (told,))
        return 10

    pool.queue(_WALK, walk)


def _make_table(server: VirtualServer) -> None:
    connection = server.pools["master"].connection
    connection.execute("CREATE TABLE pushers (id INT)")
    connection.execute("INSERT INTO pushers VALUES (1), (?)", (_LAST,))


def _told(server: VirtualServer, within_s: float = 0) -> tuple[bool, str]:
    """Whether it is known how far it is, and what is wrong with the queue."""
    told = stated(server, service_of(server).status(), within_s)["databases"][0]
    return told["current"]["progress"] is not None, told["queue_problem"]


def _slow(server: VirtualServer, takes_s: float) -> Any:
    async def ask_row(*_: Any) -> Any:
        await server.clock.sleep(takes_s)
        return 1, _LAST

    return patch.object(Database, "ask_row", ask_row)


def test_ends_that_cannot_be_asked_for(virtual_server: MakeServer) -> None:
    """The queue is read all the same; it is tried again soon, and old ends are better than none."""
    server = virtual_server()
    _walking(server)
    server.load({"sleep": 0})
    server.start()
    server.advance(5)
    assert (False, "") == _told(server)
    _make_table(server)
    server.advance(15)
    assert (True, "") == _told(server)
    server.pools["master"].connection.execute("DROP TABLE pushers")
    server.advance(700)
    assert (True, "") == _told(server)


def test_ends_that_nobody_answers(virtual_server: MakeServer) -> None:
    """They are waited for no longer than the status is."""
    server = virtual_server()
    _walking(server)
    server.load({"sleep": 0})

    async def ask_row(*_: Any) -> Any:
        await Deferred()

    with patch.object(Database, "ask_row", ask_row):
        server.start()
        server.advance(0.5)
        assert (False, "") == _told(server, 2.9)


def test_two_looks_at_once(virtual_server: MakeServer) -> None:
    """The one that had to wait tells nothing that is older than what the other one told."""
    server = virtual_server()
    _walking(server)
    server.load({"sleep": 0})
    seen: list[tuple[float, float]] = []
    with (
        _slow(server, 1),
        patch("synapse_bgthrottle.homeserver.progress_tracker._ASK_BOUNDS_EVERY_S", 5),
        patch.object(MeasuredPace, "observe", lambda _, look: seen.append((look.now_s, look.left))),
    ):
        server.start()
        server.advance(5)
        for _ in range(40):
            _told(server, 1.1)
    assert len(seen) > 40
    assert all(a[0] <= b[0] and a[1] >= b[1] for a, b in pairwise(seen))


@pytest.mark.parametrize("follows", [False, True])
def test_update_that_ends_while_its_table_is_asked(
    virtual_server: MakeServer, follows: bool
) -> None:
    """Nothing is wrong with the queue then, whether another update begins or none does."""
    server = virtual_server()
    _walking(server, 50)
    if follows:
        queued(server, "another")
    server.load({"sleep": 0})
    with _slow(server, 1.8):
        server.start()
        server.advance(0.3)
        told = stated(server, service_of(server).status(), 2.5)["databases"][0]
    assert "" == told["queue_problem"]
