"""The client's errors, none of which shows the token."""

from typing import Any

import httpx
import pytest

from synapse_bgthrottle.client import (
    Client,
    ClientError,
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
    WorkerError,
)
from tests.unit.client.world import TOKEN, URL, Server

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
        (RedirectedError, 302, b"", "not sent there"),
        (NotAllowedError, 401, {"errcode": "M_UNKNOWN_TOKEN", "error": "Invalid"}, "Invalid"),
        (NotAllowedError, 401, HTML, "missing or unknown"),
        (NotAdministratorError, 403, {"errcode": "M_FORBIDDEN", "error": "no"}, "no admin"),
        (NotAdministratorError, 403, HTML, "by a proxy"),
        (NotFoundError, 404, {"errcode": "M_NOT_FOUND", "error": "no pause"}, "no pause"),
        (NoModuleError, 404, {"errcode": "M_UNRECOGNIZED", "error": "?"}, "no such path"),
        (NoModuleError, 404, HTML, "no such path"),
        (
            WorkerError,
            404,
            {"errcode": "M_UNRECOGNIZED", "error": "send", "is_worker": True},
            "send",
        ),
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


def test_a_time_out_that_is_set() -> None:
    """Between calls the time-out can be another one, which is what is told."""

    def fail(request: httpx.Request) -> httpx.Response:
        assert {7, 5.0} == set(request.extensions["timeout"].values())
        raise httpx.ReadTimeout("")

    client = Client(URL, TOKEN, timeout_s=3, transport=httpx.MockTransport(fail))
    client.timeout_s = 7
    with client, pytest.raises(TimedOutError, match="no answer within 7 s"):
        client.status()
    with pytest.raises(ValueError, match="above 0"):
        client.timeout_s = 0


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
