"""The client: what is sent, what is understood, and what goes wrong in which way."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from synapse_bgthrottle import client as client_package
from synapse_bgthrottle.client import (
    JOBS,
    AsyncClient,
    Client,
    ClientError,
    CurrentUpdate,
    NoModuleError,
    NotAdministratorError,
    NotAllowedError,
    NotFoundError,
    NotUnderstoodError,
    RedirectedError,
    RefusedError,
    ServerFailedError,
    TimedOutError,
    TooManyError,
    UnreachableError,
    UpdatesStatus,
)

URL = "https://matrix.example.org"
TOKEN = "syt_secret"
OFFICIAL = "/_synapse/admin/v1/background_updates"
MODULE = "/_synapse/bgthrottle/v1"


class Server:
    """Answers every request alike, and keeps what was sent."""

    def __init__(self, status: int = 200, body: Any = None, **headers: str) -> None:
        self.requests: list[httpx.Request] = []
        self._content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self._status, self._headers = status, headers

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return httpx.Response(self._status, content=self._content, headers=self._headers)

    def client(self, **arguments: Any) -> Client:
        """A client that talks to it."""
        return Client(URL, TOKEN, transport=httpx.MockTransport(self), **arguments)

    @property
    def sent(self) -> tuple[str, str, Any]:
        """Method, path with query, and body of the only request."""
        (request,) = self.requests
        path = request.url.raw_path.decode()
        return request.method, path, json.loads(request.content) if request.content else None


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
            lambda c: c.set_enabled(True),
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
    current = CurrentUpdate("event_search", 50, 10_000.0, None)
    with Server(body=STATUS).client() as client:
        assert UpdatesStatus(True, {"master": current}) == client.status()


@pytest.mark.parametrize("body", [b"", b" \n"])
def test_an_empty_body(body: bytes) -> None:
    """An empty answer to a change is a yes, and to a question an error."""
    with Server(body=body).client() as client:
        client.run(JOBS[0])
        assert client.enabled(False) is False
        assert client.set_enabled(True) is True
        for ask in (client.status, client.enabled, client.throttle_status, client.pause):
            with pytest.raises(NotUnderstoodError, match="empty"):
                ask()


HTML = b"<html><body>502 Bad Gateway</body></html>"


@pytest.mark.parametrize(
    ("expected", "status", "body", "said"),
    [
        (NotUnderstoodError, 200, HTML, "web page"),
        (NotUnderstoodError, 200, b"\xff\x00", "something else"),
        (NotUnderstoodError, 200, b"[" * 100_000, "something else"),
        (NotUnderstoodError, 200, b'{"enabled": NaN}', "something else"),
        (NotUnderstoodError, 200, [], "not an object"),
        (NotUnderstoodError, 200, {}, "answer.enabled is missing"),
        (NotUnderstoodError, 200, {"enabled": "yes"}, "answer.enabled is not true or false"),
        (NotUnderstoodError, 200, {"enabled": None}, "missing"),
        (RedirectedError, 302, b"", "not followed"),
        (NotAllowedError, 401, {"errcode": "M_UNKNOWN_TOKEN", "error": "Invalid"}, "Invalid"),
        (NotAllowedError, 401, HTML, "missing or unknown"),
        (NotAdministratorError, 403, {"errcode": "M_FORBIDDEN", "error": "no"}, "no admin"),
        (NotAdministratorError, 403, HTML, "by a proxy"),
        (NotFoundError, 404, {"errcode": "M_NOT_FOUND", "error": "no pause"}, "no pause"),
        (NoModuleError, 404, {"errcode": "M_UNRECOGNIZED", "error": "?"}, "no such path"),
        (NoModuleError, 404, HTML, "no such path"),
        (RefusedError, 400, {"errcode": "M_UNKNOWN", "error": "Invalid job_name"}, "Invalid job"),
        (RefusedError, 405, HTML, "405"),
        (RefusedError, 413, {"errcode": 5, "error": [], "problems": 7}, "413"),
        (TooManyError, 429, {"errcode": "M_LIMIT_EXCEEDED", "error": "100 levers"}, "100 levers"),
        (ServerFailedError, 500, {"errcode": "M_UNKNOWN", "error": "Internal"}, "Internal"),
        (ServerFailedError, 502, HTML, "502"),
    ],
)
def test_errors(expected: type[ClientError], status: int, body: Any, said: str) -> None:
    """Each thing that may go wrong has its class and says what happened, without the token."""
    with Server(status, body).client() as client, pytest.raises(expected, match=said) as caught:
        client.enabled()
    assert expected is caught.type
    assert TOKEN not in str(caught.value)


def test_no_module() -> None:
    """Without the module its methods say so, whatever the page that comes."""
    with Server(404, HTML).client() as client, pytest.raises(NoModuleError, match="not loaded"):
        client.throttle_status()


def test_problems() -> None:
    """A refusal keeps where and why."""
    problem = {"path": ["settings", "duty_cycle"], "message": "found '500%'"}
    body = {"errcode": "M_INVALID_PARAM", "error": "e", "problems": [problem, "odd", {}]}
    with Server(400, body).client() as client, pytest.raises(RefusedError) as caught:
        client.override("e", {"duty_cycle": "500%"})
    assert ["settings.duty_cycle: found '500%'", ""] == list(map(str, caught.value.problems))


@pytest.mark.parametrize("retry_after_ms", [2000, None])
def test_retry_after(retry_after_ms: int | None) -> None:
    """When to try again is told, if the server says so."""
    body = {"errcode": "M_LIMIT_EXCEEDED", "retry_after_ms": retry_after_ms}
    with Server(429, body).client() as client, pytest.raises(TooManyError) as caught:
        client.pause()
    assert retry_after_ms == caught.value.retry_after_ms


def test_a_redirect_is_not_followed() -> None:
    """The token goes nowhere else, and passwords in the new address are not shown."""
    server = Server(301, b"", Location="https://user:pw@evil.example/x")
    with server.client() as client, pytest.raises(RedirectedError) as caught:
        client.status()
    assert 1 == len(server.requests)
    assert "https://evil.example/x" in str(caught.value)
    assert "pw" not in str(caught.value)


@pytest.mark.parametrize(
    ("expected", "raised"),
    [
        (TimedOutError, httpx.ReadTimeout("")),
        (TimedOutError, httpx.ConnectTimeout("")),
        (UnreachableError, httpx.ConnectError("Connection refused")),
        (UnreachableError, httpx.RemoteProtocolError("")),
        (UnreachableError, httpx.ReadError("")),
    ],
)
def test_no_answer(expected: type[ClientError], raised: Exception) -> None:
    """A time-out, a refused connection and a broken one are told apart from answers."""

    def fail(_: httpx.Request) -> httpx.Response:
        raise raised

    client = Client(URL, TOKEN, timeout_s=3, transport=httpx.MockTransport(fail))
    with client, pytest.raises(expected) as caught:
        client.status()
    assert expected is caught.type
    assert str(caught.value).startswith(f"{URL}: ")


@pytest.mark.parametrize(
    ("url", "token", "more"),
    [
        ("matrix.example.org", TOKEN, {}),
        ("ftp://matrix.example.org", TOKEN, {}),
        ("https://u:pw@matrix.example.org", TOKEN, {}),
        ("https://matrix.example.org?x", TOKEN, {}),
        ("https://[", TOKEN, {}),
        (URL, "", {}),
        (URL, "two words\n", {}),
        (URL, "tökén", {}),
        (URL, TOKEN, {"prefix": "own"}),
        (URL, TOKEN, {"prefix": "/own?"}),
        (URL, TOKEN, {"timeout_s": 0}),
    ],
)
def test_arguments_that_never_work(url: str, token: str, more: dict[str, Any]) -> None:
    """They are refused before anything is sent, and neither token nor password is told."""
    with pytest.raises(ValueError, match=r".") as caught:
        Client(url, token, **more)
    assert "pw" not in str(caught.value)
    assert not token or token not in str(caught.value)


def run(steps: Any) -> Any:
    """What a coroutine returns that never really waits."""
    steps = steps.__await__()
    try:
        next(steps)
    except StopIteration as end:
        return end.value
    raise AssertionError("it waits")


def methods() -> Iterator[str]:
    """The public ones."""
    return (name for name in vars(Client) if not name.startswith("_") and name != "close")


def test_both_clients_are_alike() -> None:
    """The awaited methods have the names, arguments and docstrings of the others."""
    for name in methods():
        one, other = getattr(Client, name), getattr(AsyncClient, name)
        assert one.__doc__ == other.__doc__
        assert one.__annotations__ == other.__annotations__


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

    status, enabled = run(use())
    assert {"master"} == set(status.current_updates)
    assert enabled is True
    assert 3 == len(server.requests)


def test_every_error_and_method_is_documented() -> None:
    """The page has each of them."""
    text = (Path(__file__).parents[2] / "docs" / "client.md").read_text("utf-8")
    errors = {name for name in client_package.__all__ if name.endswith("Error")}
    for name in sorted({*errors, *methods()}):
        assert re.search(rf"`{name}\b", text), name
