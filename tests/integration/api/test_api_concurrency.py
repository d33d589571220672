"""The HTTP API with many requests at a time, and with clients that hang up."""

from typing import Any

import pytest
from twisted.internet.defer import CancelledError

from synapse_bgthrottle.api.concurrency import MOST_AT_WORK, MOST_WAITING
from testbed.virtual.fake_service import ERRORS
from testbed.virtual.web_world import LOST, ProcessedRequest, World, answered, request


@pytest.fixture
def world() -> World:
    return World()


def different(number: int) -> bytes:
    """A question that nobody else asks."""
    return request("GET", f"uses?limit={number + 1}")


def test_cancellation(world: World) -> None:
    """What was cancelled is none of our errors, and whoever still waits is answered."""
    _, first = world.connect(request("GET", "status"))
    _, second = world.connect(request("GET", "status"))
    world.service.waits[0].cancel()
    assert [503, 503] == [answered(client.value()).status for client in (first, second)]
    assert [] == world.errors


def test_same_questions_share_an_answer(world: World) -> None:
    """Who asks while the answer is on its way gets that; who asks later gets a new one."""
    for path in ("status", "uses?limit=5"):
        world.service.waits.clear()
        clients = [world.connect(request("GET", path))[1] for _ in range(20)]
        assert 1 == len(world.service.waits)
        world.service.waits[0].callback(None)
        assert [200] * 20 == [answered(client.value()).status for client in clients]
        world.connect(request("GET", path))
        world.connect(request("GET", "uses?limit=6"))
        assert 3 == len(world.service.waits)
        for wait in world.service.waits[1:]:
            wait.callback(None)


def test_failure_is_shared(world: World) -> None:
    """Who shares a question shares its failure."""
    clients = [world.connect(request("GET", "status"))[1] for _ in range(3)]
    world.service.waits[0].errback(ERRORS["no_store"])
    assert [503] * 3 == [answered(client.value()).status for client in clients]


def test_after_a_lever_nobody_is_told_what_was_before(world: World) -> None:
    """A status that was on its way is not shared with whoever asks after a lever."""
    world.connect(request("GET", "status"))
    assert 200 == world.ask("POST", "pause").status
    world.connect(request("GET", "status"))
    assert 2 == len(world.service.waits)
    for wait in world.service.waits:
        wait.callback(None)


def test_crowd(world: World) -> None:
    """Twenty work, a hundred wait, and whoever is more is sent away; then all go on in order."""
    clients = [world.connect(different(number))[1] for number in range(200)]
    most = MOST_AT_WORK + MOST_WAITING
    assert MOST_AT_WORK == len(world.service.waits)
    refused = [answered(client.value()) for client in clients[most:]]
    assert {429} == {answer.status for answer in refused}
    assert {"1"} == {answer.headers["Retry-After"] for answer in refused}
    assert {1000} == {answer.json["retry_after_ms"] for answer in refused}
    assert {b""} == {client.value() for client in clients[:most]}
    # Strangers and the lost are told so as ever: they neither wait nor take a place.
    assert 401 == world.ask("GET", "uses", None).status
    assert 403 == world.ask("GET", "uses", "user").status
    assert 404 == world.ask("GET", "nothing").status
    done = 0
    while done < len(world.service.waits):
        world.service.waits[done].callback(None)
        done += 1
    assert most == done
    assert {200} == {answered(client.value()).status for client in clients[:most]}
    assert 200 == world.ask("POST", "pause").status


def test_crowd_that_is_quickly_done(world: World) -> None:
    """A hundred who wait and need no time at all do not overflow the stack."""
    blocking = [world.connect(different(number))[1] for number in range(MOST_AT_WORK)]
    quick = [world.connect(request("GET", "history"))[1] for _ in range(MOST_WAITING)]
    world.service.waits[0].callback(None)
    assert {200} == {answered(client.value()).status for client in quick}
    assert 1 == len([client for client in blocking if client.value()])


def test_who_hangs_up_while_waiting_pulls_no_lever(world: World) -> None:
    """A lever is not pulled behind the back of who asked; the place is free for others."""
    for number in range(MOST_AT_WORK):
        world.connect(different(number))
    channel, transport = world.connect(request("POST", "pause"))
    _, other = world.connect(request("GET", "history"))
    ended = ProcessedRequest.ended
    channel.connectionLost(LOST)
    for wait in list(world.service.waits):
        wait.callback(None)
    assert b"" == transport.value()
    assert 200 == answered(other.value()).status
    assert not [seen for seen in world.seen if seen.startswith("pause")]
    assert ended + MOST_AT_WORK + 2 == ProcessedRequest.ended
    assert [] == world.errors


def test_who_hangs_up_midway(world: World) -> None:
    """Nobody is told, nothing fails, and whoever shares the question gets the answer."""
    channel, transport = world.connect(request("GET", "status"))
    _, other = world.connect(request("GET", "status"))
    channel.connectionLost(LOST)
    world.service.waits[0].callback(None)
    assert b"" == transport.value()
    assert 200 == answered(other.value()).status
    assert [] == world.errors


def test_cancelled_while_waiting(world: World) -> None:
    """Who is cancelled in the crowd leaves it."""
    for number in range(MOST_AT_WORK):
        world.connect(different(number))
    crowd: Any = world.resource._queue
    _, transport = world.connect(request("GET", "history"))
    crowd._waiting[0].errback(CancelledError())
    assert 503 == answered(transport.value()).status
    assert not crowd._waiting
    for wait in world.service.waits:
        wait.callback(None)
    assert 0 == crowd._at_work
