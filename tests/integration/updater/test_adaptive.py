"""The adaptive pace under Synapse's own updater, and how it sees requests."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import pytest
from prometheus_client import CollectorRegistry, Counter

from synapse_bgthrottle.homeserver.internals import server as homeserver
from synapse_bgthrottle.homeserver.internals.server import Homeserver
from synapse_bgthrottle.homeserver.internals.synapse_metrics import ServerMetrics
from testbed.virtual.server import VirtualServer, Work

MakeServer = Callable[..., VirtualServer]


def test_adaptive_in_virtual_time(virtual_server: MakeServer) -> None:
    """Alone, all of the time is work; with a request at every moment as little as is known."""
    server = virtual_server()
    work = Work(server, 10**9, cost_ms=1)
    server.load({"duty_cycle": "adaptive"})
    server.pools["master"].queue("work", work)
    server.start()
    server.advance(20)
    assert 18 < sum(work.took_s)
    clients = FakeRequests(server)
    with patch("synapse_bgthrottle.homeserver.internals.server._requests", clients):
        server.advance(60)
        before = sum(work.took_s)
        server.advance(100)
    assert 5.0 < sum(work.took_s) - before < 38.0


@contextmanager
def answering_late(server: VirtualServer, work: Work, takes_s: float) -> Iterator[None]:
    """A request at every moment, and a database that takes so long for the module's question."""
    module = server.load({})
    server.pools["master"].queue("work", work)
    database = module._parts.host.databases["master"]
    probe = database.probe

    async def late(needs_room: bool = False) -> str | None:
        await server.clock.sleep(takes_s)
        return await probe(needs_room)

    requests = FakeRequests(server)
    with (
        patch("synapse_bgthrottle.homeserver.internals.server._requests", requests),
        patch.object(database, "probe", late),
    ):
        yield


@pytest.mark.parametrize("takes_s", [0.2, 0.52, 0.9, 1.5, 2.4, 2.9])
def test_a_database_that_answers_late(virtual_server: MakeServer, takes_s: float) -> None:
    """It is asked in time for the moments with batches: each of those has one."""
    server = virtual_server()
    work = Work(server, 10**9, cost_ms=1)
    with answering_late(server, work, takes_s):
        server.start()
        server.advance(15)
        before = len(work.starts_s)
        server.advance(300)
    assert len(work.starts_s) - before > 25


def test_a_database_that_answers_late_is_no_reason_to_learn_nothing(
    virtual_server: MakeServer,
) -> None:
    """Batches that wait for it still run in their moments, and this update harms nobody."""
    server = virtual_server()
    work = Work(server, 10**9, cost_ms=1)

    def answered(_: ServerMetrics) -> int:
        return int(server.clock.monotonic() * 20)

    def responses(metrics: ServerMetrics) -> dict[str, tuple[float, float]]:
        return {"a_kind": (answered(metrics) * 0.05, answered(metrics))}

    with (
        answering_late(server, work, 0.6),
        patch.object(ServerMetrics, "responses", responses),
        patch.object(ServerMetrics, "answered", answered),
    ):
        server.start()
        server.advance(300)
    assert 0.6 * 300 < sum(work.took_s)


class FakeRequests:
    """A set of requests in flight, one of which has always just come."""

    def __init__(self, server: VirtualServer) -> None:
        self._server = server

    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Iterator[Any]:
        yield SimpleNamespace(start_ts=self._server.clock.time(), name="AServlet")


def test_requests_that_cannot_be_seen(virtual_server: MakeServer) -> None:
    """With workers, or where this version does not tell."""
    server = virtual_server()
    host = Homeserver(server.api)
    assert 0 == host.active_requests()
    with patch("synapse_bgthrottle.homeserver.internals.server._requests", None):
        assert host.active_requests() is None
    server.config.redis = SimpleNamespace(redis_enabled=True)
    assert Homeserver(server.api).active_requests() is None


def test_many_requests(virtual_server: MakeServer) -> None:
    """More than 500, as on a server with as many clients, are looked at four times a second."""
    server = virtual_server()
    host = Homeserver(server.api)
    polls = [SimpleNamespace(start_ts=server.clock.time(), name="SyncRestServlet")] * 501
    one = SimpleNamespace(start_ts=server.clock.time(), name="AServlet")
    with patch("synapse_bgthrottle.homeserver.internals.server._requests", polls):
        assert 0 == host.active_requests()
        polls.append(one)
        assert 0 == host.active_requests()
        server.advance(0.25)
        assert 1 == host.active_requests()
        del polls[10:]
        assert 0 == host.active_requests()


def test_workers_with_a_database_that_has_nothing_to_do(
    virtual_server: MakeServer, caplog: pytest.LogCaptureFixture
) -> None:
    """It is looked at for the clients' sake, and nothing is told of it."""
    server = virtual_server(databases=("master", "state"))
    server.config.redis = SimpleNamespace(redis_enabled=True)
    work = Work(server, 100, cost_ms=1)
    work.database = "state"
    server.load({})
    server.pools["state"].queue("work", work)
    server.start("state")
    server.advance(60)
    assert 0 == work.left_items
    assert [] == [record for record in caplog.records if record.exc_info]
    assert "master" not in caplog.text


def test_requests_are_counted(virtual_server: MakeServer) -> None:
    """Synapse's own counter of answers is read, four times a second at most, but long polls."""
    server = virtual_server()
    labels = ["method", "servlet", "tag", "server_name"]
    registry = CollectorRegistry()
    counter = Counter("synapse_http_server_response_count", "", labels, registry=registry)
    with patch.object(homeserver, "ServerMetrics", lambda: ServerMetrics(registry)):
        host = Homeserver(server.api)
    assert 0 == host.requests_answered()
    counter.labels("GET", "RoomStateRestServlet", "", "a").inc(2)
    counter.labels("PUT", "RoomSendEventRestServlet", "", "a").inc()
    counter.labels("GET", "SyncRestServlet", "", "a").inc(100)
    assert 0 == host.requests_answered()
    server.advance(0.25)
    assert 3 == host.requests_answered()


def test_who_is_waited_for(virtual_server: MakeServer) -> None:
    """Neither a long poll, however young, nor a request that waits for another server."""
    server = virtual_server()
    now_s = server.clock.time()
    requests = [
        SimpleNamespace(start_ts=now_s - 0.5, name="RoomSendEventRestServlet"),
        SimpleNamespace(start_ts=now_s, name="SyncRestServlet"),
        SimpleNamespace(start_ts=now_s - 2, name="FederationMakeJoinServlet"),
    ]
    with patch("synapse_bgthrottle.homeserver.internals.server._requests", requests):
        assert 1 == Homeserver(server.api).active_requests()
