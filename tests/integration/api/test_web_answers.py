"""The HTTP API: its answers and their headers."""

import logging
from typing import Any
from unittest.mock import patch

import pytest

from synapse_bgthrottle.api.responses import HEADERS
from testbed.virtual.fake_service import ERRORS, FakeService, example
from testbed.virtual.web_world import POSTS, World, answered, request


@pytest.fixture
def world() -> World:
    return World()


@pytest.mark.parametrize("path", ["history", "uses", "explain?update=event_search"])
def test_get(world: World, path: str) -> None:
    """What the service answers is answered, as described."""
    if path == "uses":
        world.service.uses = lambda limit: FakeService.uses(world.service, limit)  # type: ignore[method-assign]
    answer = world.ask("GET", path)
    assert 200 == answer.status
    assert example("get", f"/v1/{path.partition('?')[0]}") == answer.json


def test_parameters(world: World) -> None:
    """Defaults are filled in, and what is given is decoded."""
    world.ask("GET", "history")
    world.ask("GET", "history?limit=7&update=event_%2A&database=state")
    world.ask("GET", "explain?update=a%C3%BC&one_shot=true&database=state")
    world.ask("GET", "explain?update=x")
    assert [
        "history 100 None None",
        "history 7 event_* state",
        "explain aü state True",
        "explain x master False",
    ] == world.seen


@pytest.mark.parametrize("action", POSTS)
def test_post(world: World, action: str, caplog: pytest.LogCaptureFixture) -> None:
    """A lever is pulled by its author, and the log says so."""
    body: dict[str, Any] = {"update": "event_*", "reason": "too slow"}
    if action == "override":
        body["settings"] = {"duty_cycle": "5%"}
    with caplog.at_level(logging.INFO):
        answer = world.ask("POST", action, "admin", body)
    assert (200, example("post", f"/v1/{action}")) == (answer.status, answer.json)
    assert [f"{action} event_* by @admin:test"] == world.seen
    assert "@admin:test" in caplog.messages[-1]
    assert "event_* in all databases" in caplog.messages[-1]
    assert "too slow" in caplog.messages[-1]


def test_empty_body_is_an_empty_object(world: World) -> None:
    """A pause of everything needs no word."""
    assert 200 == world.ask("POST", "pause").status
    assert ["pause * by @admin:test"] == world.seen


def test_openapi(world: World) -> None:
    """The description is served as it is."""
    assert "3.1.0" == world.ask("GET", "openapi.json").json["openapi"]


@pytest.mark.parametrize("path", ["status", "nothing", "pause", "history?limit=x"])
@pytest.mark.parametrize("token", ["admin", "user", None])
def test_headers(world: World, path: str, token: str | None) -> None:
    """Every answer has our headers, its length, and none that lets other pages read it."""
    _, transport = world.connect(request("GET", path, token))
    for wait in world.service.waits:
        wait.callback(None)
    answer = answered(transport.value())
    assert set(HEADERS.items()) <= set(answer.headers.items())
    assert str(len(answer.body)) == answer.headers["Content-Length"]
    assert not [name for name in answer.headers if name.startswith("Access-Control")]


def test_head(world: World) -> None:
    """HEAD is GET without the body."""
    get, head = (world.ask(method, "history") for method in ("GET", "HEAD"))
    assert (200, b"") == (head.status, head.body)
    assert get.headers["Content-Length"] == head.headers["Content-Length"]


def test_scope(world: World) -> None:
    """Where tokens have scopes, the administrators' scope decides, whatever the account."""
    assert 200 == world.ask("GET", "history", "scoped").status


def test_author_is_who_did_it(world: World) -> None:
    """An administrator who logged in as another one is told, not the other one."""
    assert 200 == world.ask("POST", "pause", "puppet").status
    assert ["pause * by @boss:test"] == world.seen


@pytest.mark.parametrize(
    ("name", "status", "errcode"),
    [
        ("nothing_matches", 404, "M_NOT_FOUND"),
        ("too_many", 429, "M_LIMIT_EXCEEDED"),
        ("no_store", 503, "M_UNKNOWN"),
        ("perhaps", 503, "M_UNKNOWN"),
        ("broken", 500, "M_UNKNOWN"),
        ("no_database", 400, "M_INVALID_PARAM"),
    ],
)
def test_steering_refuses(world: World, name: str, status: int, errcode: str) -> None:
    """What the service raises has a status; what it should not raise is told once as ours."""
    answer = world.ask("POST", "pause", "admin", {"update": name})
    assert (status, errcode) == (answer.status, answer.json["errcode"])
    assert "told to fail" not in answer.json["error"]
    assert (name == "perhaps") is answer.json.get("may_be_done", False)
    assert status == world.ask("GET", f"explain?update={name}").status
    told = [("answering v1/pause", ERRORS[name]), ("answering v1/explain", ERRORS[name])]
    assert (told if name == "broken" else []) == world.errors


def test_errors_of_ours(world: World) -> None:
    """A failing look at the token and an answer that is no JSON are ours too."""
    assert 500 == world.ask("GET", "history", "fail").status

    async def no_json(**_: Any) -> Any:
        return [float("nan")]

    world.service.history = no_json  # type: ignore[assignment]
    assert 500 == world.ask("GET", "history").status
    assert ["answering v1/history"] * 2 == [where for where, _ in world.errors]


@pytest.mark.parametrize("place", ["__init__", "send"])
def test_errors_of_ours_around_the_answer(world: World, place: str) -> None:
    """They are told as all others are, and whoever asked is not kept waiting."""
    with patch(f"synapse_bgthrottle.api.resource._Client.{place}", side_effect=ZeroDivisionError):
        _, transport = world.connect(request("GET", "history"))
    assert transport.disconnecting
    assert ["serving a request"] == [where for where, _ in world.errors]


def test_database_is_gone_when_a_token_is_looked_up(world: World) -> None:
    """That is no error of ours, and strangers are not told what it is."""
    answered = world.ask("GET", "history", "lost")
    assert 503 == answered.status
    assert "connection" not in answered.body.decode()
    assert [] == world.errors


def test_worker() -> None:
    """A worker says where to ask, to everybody and on every path."""
    world = World(is_main=False)
    for path in ("status", "/_synapse/bgthrottle", "/_synapse/bgthrottle/x"):
        for token in ("admin", None):
            answer = world.ask("GET", path, token)
            assert (404, "M_UNRECOGNIZED") == (answer.status, answer.json["errcode"])
            assert "main process" in answer.json["error"]
            assert answer.json["is_worker"] is True
