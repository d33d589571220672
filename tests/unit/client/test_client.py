"""The client: what it sends, and how it reads answers."""

import asyncio
import re
from collections.abc import Callable
from inspect import isfunction, signature
from pathlib import Path
from typing import Any

import httpx
import pytest

from synapse_bgthrottle import client as client_package
from synapse_bgthrottle.client import (
    JOBS,
    AsyncClient,
    Client,
    NotUnderstoodError,
    requests,
)
from synapse_bgthrottle.schema import CurrentUpdate, UpdatesStatus
from tests.unit.client.world import TOKEN, URL, Server

OFFICIAL = "/_synapse/admin/v1/background_updates"
MODULE = "/_synapse/bgthrottle/v1"
LEVERS: dict[str, Any] = {"made": [], "ended": [], "in_force": [], "notes": []}


@pytest.mark.parametrize(
    ("expected", "answer", "call"),
    [
        (("GET", f"{OFFICIAL}/status", None), {"enabled": True}, lambda c: c.status()),
        (("GET", f"{OFFICIAL}/enabled", None), {"enabled": True}, lambda c: c.enabled()),
        (
            ("POST", f"{OFFICIAL}/enabled", {"enabled": False}),
            {"enabled": False},
            lambda c: c.enabled(False),
        ),
        (
            ("POST", f"{OFFICIAL}/enabled", {"enabled": True}),
            {"enabled": True},
            lambda c: c.enabled(True),
        ),
        *(
            (("POST", f"{OFFICIAL}/start_job", {"job_name": job}), {}, lambda c, j=job: c.run(j))
            for job in JOBS
        ),
        (
            (
                "POST",
                f"{OFFICIAL}/start_job",
                {"job_name": "event_resign", "old_key": "k", "before_ts": 5},
            ),
            {},
            lambda c: c.run("event_resign", old_key="k", before_ts_ms=5),
        ),
        (
            ("GET", f"{MODULE}/status", None),
            {"enabled": True, "databases": []},
            lambda c: c.throttle_status(),
        ),
        (
            ("GET", f"{MODULE}/history?limit=7&update=event_%2A&database=master", None),
            {"history": []},
            lambda c: c.history(7, "event_*", "master"),
        ),
        (("GET", f"{MODULE}/uses?limit=100", None), {"uses": []}, lambda c: c.uses()),
        (("GET", f"{MODULE}/load", None), {"load": []}, lambda c: c.load()),
        (
            ("GET", f"{MODULE}/explain?update=a%26b&database=master&one_shot=true", None),
            {"update": "a&b"},
            lambda c: c.explain("a&b", one_shot=True),
        ),
        (("POST", f"{MODULE}/pause", {"update": "*"}), LEVERS, lambda c: c.pause()),
        (
            (
                "POST",
                f"{MODULE}/pause",
                {"update": "e*", "database": "state", "reason": "why", "for": "24h"},
            ),
            LEVERS,
            lambda c: c.pause("e*", database="state", duration="24h", reason="why"),
        ),
        (("POST", f"{MODULE}/resume", {"update": "*"}), LEVERS, lambda c: c.resume()),
        (
            ("POST", f"{MODULE}/release", {"update": "e", "for": 1000}),
            LEVERS,
            lambda c: c.release("e", duration=1000),
        ),
        (
            ("POST", f"{MODULE}/override", {"update": "e", "settings": {"profile": "finish"}}),
            LEVERS,
            lambda c: c.override("e", {"profile": "finish"}),
        ),
        (("POST", f"{MODULE}/reset", {"update": "e"}), LEVERS, lambda c: c.reset("e")),
    ],
)
def test_what_is_sent(
    expected: tuple[str, str, Any], answer: Any, call: Callable[[Client], Any]
) -> None:
    """Each method sends one request, the one of the API."""
    server = Server(body=answer)
    with server.client() as client:
        call(client)
    assert expected == server.sent


def test_the_token_is_in_the_header_alone() -> None:
    """The token is in no URL, no body and no representation."""
    server = Server(body=LEVERS)
    with server.client() as client:
        client.pause()
        (request,) = server.requests
        assert f"Bearer {TOKEN}" == request.headers["Authorization"]
        assert TOKEN not in f"{request.url} {request.content!r} {client._connection!r}"


def test_other_paths() -> None:
    """A path before `/_synapse` and another prefix of the module's API are kept."""
    server = Server(body={"enabled": True, "databases": []})
    transport = httpx.MockTransport(server)
    with Client(f"{URL}/hs/", TOKEN, prefix="/_synapse/own", transport=transport) as client:
        client.throttle_status()
    assert "/hs/_synapse/own/v1/status" == server.sent[1]


STATUS = {
    "enabled": True,
    "news": 1,
    "current_updates": {
        "master": {
            "name": "event_search",
            "total_item_count": 50,
            "total_duration_ms": 10000,
            "average_items_per_ms": None,
            "db_name": "master",
        }
    },
}


def test_a_null_rate_and_extra_keys() -> None:
    """The rate is null before the first batch, and a newer server may tell more."""
    current = CurrentUpdate(name="event_search", total_item_count=50, total_duration_ms=10_000.0)
    with Server(body=STATUS).client() as client:
        assert UpdatesStatus(enabled=True, current_updates={"master": current}) == client.status()


@pytest.mark.parametrize("body", [b"", b" \n"])
def test_an_empty_body(body: bytes) -> None:
    """An empty answer to a change is a yes, and to a question an error."""
    with Server(body=body).client() as client:
        client.run(JOBS[0])
        assert client.enabled(False) is False
        assert client.enabled(True) is True
        for ask in (client.status, client.enabled, client.throttle_status, client.pause):
            with pytest.raises(NotUnderstoodError, match="empty"):
                ask()


def methods() -> dict[str, Any]:
    """The calls that can be made, by name."""
    return {
        name: value
        for name, value in vars(requests).items()
        if isfunction(value) and value.__module__ == requests.__name__ and name[0] != "_"
    }


def test_both_clients_are_alike() -> None:
    """Each has a method for every call that can be made, with its arguments and its docstring."""
    assert 13 == len(methods())
    with Client(URL, TOKEN) as client:
        for name, make in methods().items():
            assert getattr(Client, name) is make is getattr(AsyncClient, name)
            method = getattr(client, name)
            assert (make.__doc__, signature(make)) == (method.__doc__, signature(method))


def test_the_awaited_client() -> None:
    """It sends and understands the same."""
    server = Server(body=STATUS)

    async def handler(request: httpx.Request) -> httpx.Response:
        return server(request)

    async def use() -> list[Any]:
        transport = httpx.MockTransport(handler)
        async with AsyncClient(URL, TOKEN, transport=transport) as client:
            await client.run(JOBS[0])
            return [await client.status(), await client.enabled()]

    status, enabled = asyncio.run(use())
    assert {"master"} == set(status.current_updates)
    assert enabled is True
    assert 3 == len(server.requests)


def test_every_error_and_method_is_documented() -> None:
    """The page has each of them."""
    text = (Path(__file__).parents[3] / "docs" / "client.md").read_text("utf-8")
    errors = {name for name in client_package.__all__ if name.endswith("Error")}
    for name in sorted({*errors, *methods()}):
        assert re.search(rf"`{name}\b", text), name
