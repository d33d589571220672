"""After an error of the module in an outage, updates neither abort nor wait forever."""

import sqlite3
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import pytest

from testbed.virtual.outages import Full, Gone, Outage
from testbed.virtual.server import VirtualServer, Work

MakeServer = Callable[..., VirtualServer]

PLACES = [
    "homeserver.internals.database.Database.probe",
    "core.scheduling.holds.rulings",
    "homeserver.iteration.Iteration.__init__",
    "homeserver.iteration.Iteration._decided",
    "homeserver.iteration.Iteration._report",
    "homeserver.iteration.Iteration._finish",
    "homeserver.iteration.Iteration._wait",
    "homeserver.iteration.Iteration._wait_for_database",
    "homeserver.iteration.kind_of",
    "core.scheduling.throttle.Throttle.decide",
    "core.scheduling.throttle.Throttle.failed",
    "core.scheduling.throttle.Throttle.finish",
    "homeserver.sampling.database_probe.DatabaseProbe._ask",
    "homeserver.sampling.database_probe.DatabaseProbe._no_answer",
    "homeserver.sampling.database_probe.DatabaseProbe.check",
    "homeserver.sampling.database_probe.DatabaseProbe.failed",
    "homeserver.sampling.database_probe.DatabaseProbe.ask_if_due",
    "homeserver.sampling.database_probe.DatabaseProbe.is_due",
    "homeserver.sampling.database_probe.is_from_database",
]
# Stock, which has a batch a second, has given up after five.
OUTAGE_S = 12


def fail(*_: object, **__: object) -> Any:
    raise ZeroDivisionError("an error of our own")


@pytest.mark.parametrize("kind", [Gone, Full])
@pytest.mark.parametrize("place", PLACES)
def test_no_abort(
    virtual_server: MakeServer,
    caplog: pytest.LogCaptureFixture,
    place: str,
    kind: Callable[[int, int], Outage],
) -> None:
    """With this place failing from the outage on, all is done in the end; tracebacks are few."""
    server = virtual_server()
    pool = server.pools["master"]
    work = Work(server, 500, cost_ms=1)
    outage = kind(2, 2 + OUTAGE_S)
    ended: list[Any] = []
    server.load({"duty_cycle": "10%"})
    pool.queue("work", work)
    server.start().addBoth(ended.append)
    server.advance(outage.from_s)
    with patch(f"synapse_bgthrottle.{place}", fail):
        outage.begin(pool)
        server.advance(OUTAGE_S)
        assert 0 < work.left_items
        outage.end(pool)
        server.advance(700)
    assert ([None], 0) == (ended, work.left_items)
    assert len([1 for record in caplog.records if "of its own" in record.getMessage()]) <= 3


@pytest.mark.parametrize(
    "place",
    [
        "homeserver.sampling.database_probe.is_from_database",
        "homeserver.sampling.database_probe.DatabaseProbe._ask",
        "homeserver.sampling.database_probe.DatabaseProbe._no_answer",
    ],
)
def test_one_error_is_none_for_good(virtual_server: MakeServer, place: str) -> None:
    """Where one question could not be put or answered, the next one is."""
    server = virtual_server()
    pool = server.pools["master"]
    work = Work(server, 500, cost_ms=1)
    module = server.load({"duty_cycle": "10%"})
    pool.queue("work", work)
    server.start()
    server.advance(2)
    pool.broken = sqlite3.OperationalError("gone")
    with patch(f"synapse_bgthrottle.{place}", fail):
        server.advance(2)
    server.advance(5)
    assert "does not answer: gone" in repr(module)
    pool.broken = None
    server.advance(30)
    assert 0 == work.left_items


@pytest.mark.parametrize("place", ["complaint_of", "is_from_database", "is_refusal", "min"])
def test_nothing_can_be_read_at_the_start(
    virtual_server: MakeServer, caplog: pytest.LogCaptureFixture, place: str
) -> None:
    """Where it is not known either whether to try again, updates go on, and why is told."""
    server = _gone(virtual_server())
    with patch(
        f"synapse_bgthrottle.homeserver.storage.loader.{place}", fail, create=place == "min"
    ):
        server.load({"duty_cycle": "10%"})
        server.advance(3)
    assert 0 == _left_items(server)
    assert 1 == caplog.text.count("internal error keeping levers and history")
    assert [] == server.failures


def test_no_timer_to_try_again(virtual_server: MakeServer) -> None:
    """What cannot be read, and could not later either, is not waited for."""
    server = _gone(virtual_server())
    server.load({"duty_cycle": "10%"})
    with patch.object(server.api, "delayed_background_call", fail):
        server.advance(3)
    assert 0 == _left_items(server)


def _gone(server: VirtualServer) -> VirtualServer:
    server.pools["master"].broken = sqlite3.OperationalError("gone")
    return server


def _left_items(server: VirtualServer) -> int:
    """Of an update that comes once the database is back."""
    server.pools["master"].broken = None
    work = Work(server, 500, cost_ms=1)
    server.pools["master"].queue("work", work)
    server.start()
    server.advance(6)
    return work.left_items
