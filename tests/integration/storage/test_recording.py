"""The history of updates and the hours of the week, as the recorder writes them."""

import logging
import sqlite3
from collections.abc import Callable
from itertools import pairwise
from typing import Any
from unittest.mock import patch

import pytest

from testbed.virtual.server import VirtualServer, Work
from tests.integration.virtual_module import (
    change_levers,
    levers_of,
    queued,
    restarted,
    rows,
    service_of,
    stated,
)

MakeServer = Callable[..., VirtualServer]

_HISTORY = "SELECT update_name, outcome, batches FROM bgthrottle_history ORDER BY started_ms"


def test_history_of_two_updates(virtual_server: MakeServer) -> None:
    """Each update is written while it runs and when it is done."""
    server = virtual_server()
    first, second = queued(server, "first", 2000), queued(server, "second", 1000)
    server.load({"sleep": "1s"})
    server.start()
    server.advance(3)
    assert [("first", "running")] == [row[:2] for row in rows(server, _HISTORY)]
    server.advance(600)
    assert [
        ("first", "done", len(first.sizes)),
        ("second", "done", len(second.sizes)),
    ] == rows(server, _HISTORY)


def test_history_is_written_once_a_minute(virtual_server: MakeServer) -> None:
    """However many batches there are, what goes on is written once a minute."""
    server = virtual_server()
    queued(server, "work")
    server.load({"sleep": 0})
    written: list[float] = []
    with patch("synapse_bgthrottle.homeserver.storage.store._write") as write:
        write.side_effect = lambda *_: written.append(server.clock.monotonic())
        server.start()
        server.advance(600)
    assert 10 <= len(written) <= 11
    assert all(b - a >= 60 for a, b in pairwise(written))


def test_history_goes_on_over_a_kill(virtual_server: MakeServer) -> None:
    """After a kill the same run goes on in the same row, from what was last written."""
    server = virtual_server()
    queued(server, "work")
    server.load({"sleep": "1s"})
    server.start()
    server.advance(120)
    ((_, _, before),) = rows(server, _HISTORY)
    later = restarted(server, virtual_server())
    work = Work(later, 1000, cost_ms=1)
    later.pools["master"].updates.register_background_update_handler("work", work)
    later.load({"sleep": "1s"})
    later.start()
    later.advance(600)
    assert [("work", "done", before + len(work.sizes))] == rows(later, _HISTORY)


def test_what_ended_meanwhile_is_done(virtual_server: MakeServer) -> None:
    """What is gone after a restart is told as done at once, also while another one is held."""
    server = virtual_server()
    queued(server, "work")
    server.load({"sleep": "1s"})
    server.start()
    server.advance(70)
    later = restarted(server, virtual_server())
    later.pools["master"].connection.execute("DELETE FROM background_updates")
    queued(later, "another")
    later.load({"approval": "required"})
    later.start()
    later.advance(5)
    told = [(name, outcome) for name, outcome, _ in rows(later, _HISTORY)]
    assert [("work", "done"), ("another", "running")] == told


def test_history_of_an_abort(virtual_server: MakeServer) -> None:
    """What Synapse gave up is written as aborted; started anew, the same run goes on."""
    server = virtual_server()
    work = queued(server, "work", 1000)
    work.fail = 5
    server.load({"sleep": 0})
    server.start().addErrback(lambda _: None)
    server.advance(130)
    assert [("work", "aborted", 5)] == rows(server, _HISTORY)
    (entry,) = stated(server, service_of(server).history(10, None, None))
    assert ("aborted", "this batch was told to fail") == (entry["outcome"], entry["last_failure"])
    server.start()
    server.advance(600)
    ((_, outcome, batches),) = rows(server, _HISTORY)
    assert ("done", len(work.sizes)) == (outcome, batches)


def test_unwritten_end_is_written_later(virtual_server: MakeServer) -> None:
    """Where the last update's end cannot be written, it is tried again until it is; then quiet."""
    server = virtual_server()
    work = queued(server, "work", 300)
    server.load({"sleep": "1s"})
    server.advance(0)
    with patch(
        "synapse_bgthrottle.homeserver.storage.store._write",
        side_effect=sqlite3.OperationalError("full"),
    ):
        server.start()
        server.advance(100)
        assert (0, []) == (work.left_items, rows(server, _HISTORY))
        told = stated(server, service_of(server).history(10, None, None))
        assert [("work", "done")] == [(entry["update"], entry["outcome"]) for entry in told]
    server.advance(200)
    assert [("work", "done", len(work.sizes))] == rows(server, _HISTORY)
    assert [] == server.timers()


def test_message_that_no_database_can_keep(
    virtual_server: MakeServer, caplog: pytest.LogCaptureFixture
) -> None:
    """An error with half a character is written without it, and with it all that has ended."""
    caplog.set_level(logging.CRITICAL)  # pytest-xdist cannot send such a character
    server = virtual_server()
    module = server.load({"rules": [{"update": "work", "approval": "required"}]})
    work = Work(server, 4000, cost_ms=1)
    failures = [ValueError("bad key \ud800")]

    async def update(progress: Any, size: int) -> int:
        if failures:
            raise failures.pop()
        return await work(progress, size)

    server.pools["master"].queue("work", update)
    server.start()
    server.advance(5)
    change_levers(server, "release", update="work", duration="1d")
    server.advance(600)
    assert (0, ()) == (work.left_items, levers_of(module))
    assert [("work", "done")] == [row[:2] for row in rows(server, _HISTORY)]


# --- the week ---

_HOURS = "SELECT hour_of_week, watched_ms FROM bgthrottle_load ORDER BY hour_of_week"


@pytest.mark.parametrize("pace", [{}, {"sleep": "1s"}], ids=["adaptive", "fixed"])
def test_week_goes_on_over_a_kill(virtual_server: MakeServer, pace: Any) -> None:
    """What was seen of an hour is there after a kill, but the last minute, and is added to."""
    server = virtual_server()
    queued(server, "work")
    server.load(pace)
    server.start()
    server.advance(300)
    ((hour, watched_ms),) = rows(server, _HOURS)
    assert 0 == hour
    assert 270_000 == pytest.approx(watched_ms, abs=31_000)
    later = restarted(server, virtual_server())
    work = Work(later, 10**9, cost_ms=1)
    later.pools["master"].updates.register_background_update_handler("work", work)
    later.load(pace)
    later.advance(0)
    (told,) = stated(later, service_of(later).load())
    assert (0, watched_ms / 1000) == (told["hour"], told["watched_s"])
    later.start()
    later.advance(120)
    (told,) = stated(later, service_of(later).load())
    assert watched_ms / 1000 + 120 == pytest.approx(told["watched_s"], abs=2)


def test_end_of_an_update_is_a_time_to_write_the_week(virtual_server: MakeServer) -> None:
    """What was seen until the last update ended is written with its end; then nothing is seen."""
    server = virtual_server()
    queued(server, "work", 30_000)
    server.load({"sleep": "1s"})
    server.start()
    server.advance(4000)
    ((_, watched_ms),) = rows(server, _HOURS)
    assert 10_000 < watched_ms < 1_000_000
    server.advance(4000)
    assert [(0, watched_ms)] == rows(server, _HOURS)


def test_nothing_is_seen_while_a_window_is_closed(virtual_server: MakeServer) -> None:
    """A hold that no measurement ends is not watched, and so tells nothing of the week."""
    server = virtual_server()
    queued(server, "work")
    server.load({"windows": [{"start": "02:00", "end": "03:00"}]})
    server.start()
    server.advance(2 * 3600 + 600)
    assert [2] == [hour for hour, watched_ms in rows(server, _HOURS) if watched_ms > 5000]


def test_week_that_cannot_be_written(virtual_server: MakeServer) -> None:
    """It is written once that works, with nothing lost."""
    server = virtual_server()
    queued(server, "work")
    server.load({"sleep": "1s"})
    server.advance(0)
    with patch(
        "synapse_bgthrottle.homeserver.storage.store._write",
        side_effect=sqlite3.OperationalError("full"),
    ):
        server.start()
        server.advance(300)
        assert [] == rows(server, _HOURS)
    server.advance(120)
    ((_, watched_ms),) = rows(server, _HOURS)
    assert 330_000 <= watched_ms <= 430_000
