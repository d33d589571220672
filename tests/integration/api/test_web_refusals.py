"""The HTTP API: refused requests have no effect."""

import json

import pytest

from testbed.virtual.web_world import GETS, POSTS, World


@pytest.fixture
def world() -> World:
    return World()


@pytest.mark.parametrize(
    "path",
    [
        "/_synapse/bgthrottle/v1",
        "/_synapse/bgthrottle/v2/status",
        "/_synapse/bgthrottle/v1/status/",
        "/_synapse/bgthrottle//v1/status",
        "/_synapse/bgthrottle/v1//status",
        "/_synapse/bgthrottle/v1%2Fstatus",
        "/_synapse/bgthrottle/v1/%73tatus",
        "/_synapse/bgthrottle/./v1/status",
        "/_synapse/bgthrottle/x/../v1/status",
        "/_synapse/bgthrottle/v1/status;x",
        "/_synapse/bgthrottle/v1/status%00",
        "/_synapse/bgthrottle/v1/status%3Flimit=1",
        "/_synapse/bgthrottle/v1/STATUS",
        "/_synapse/bg%74hrottle/v1/status",
        "/%5Fsynapse/bgthrottle/v1/status",
    ],
)
def test_path_tricks(world: World, path: str) -> None:
    """A thing has one path, for whoever asks."""
    for token in ("admin", None):
        answer = world.ask("GET", path, token)
        assert (404, "M_UNRECOGNIZED") == (answer.status, answer.json["errcode"])
    assert [] == world.seen


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "get", "X"])
def test_methods(world: World, method: str) -> None:
    """A path says which methods it has."""
    for path in (*GETS, *POSTS):
        answer = world.ask(method, path, None)
        assert (405, "M_UNRECOGNIZED") == (answer.status, answer.json["errcode"])
        assert ("POST" if path in POSTS else "GET, HEAD") == answer.headers["Allow"]
    assert 405 == world.ask("GET", "pause").status
    assert 405 == world.ask("POST", "status").status


@pytest.mark.parametrize(
    ("token", "status", "errcode"),
    [
        (None, 401, "M_MISSING_TOKEN"),
        ("", 401, "M_MISSING_TOKEN"),
        ("two words", 401, "M_MISSING_TOKEN"),
        ("\xfc", 401, "M_MISSING_TOKEN"),
        ("x" * 4097, 401, "M_MISSING_TOKEN"),
        ("unknown", 401, "M_UNKNOWN_TOKEN"),
        ("user", 403, "M_FORBIDDEN"),
        ("guest", 403, "M_FORBIDDEN"),
        ("bridge", 403, "M_FORBIDDEN"),
        ("narrow", 403, "M_FORBIDDEN"),
    ],
)
def test_not_allowed(world: World, token: str | None, status: int, errcode: str) -> None:
    """Nobody but an administrator gets anything, on any path, whatever else is wrong."""
    for path in GETS:
        answer = world.ask("GET", path, token)
        assert (status, errcode) == (answer.status, answer.json["errcode"])
    for path in POSTS:
        answer = world.ask("POST", path, token, b"x" * 70_000)
        assert (status, errcode) == (answer.status, answer.json["errcode"])
    assert [] == world.seen


def test_token_elsewhere(world: World) -> None:
    """A token in the query or in a form is refused, and so are two headers."""
    for token in ("admin", None):
        assert 401 == world.ask("GET", "history?access_token=admin", token).status
        form = "Content-Type: application/x-www-form-urlencoded"
        assert 401 == world.ask("POST", "pause", token, "access_token=admin", form).status
    assert 401 == world.ask("GET", "history", "admin", b"", "Authorization: Bearer admin").status
    assert 401 == world.ask("GET", "history", None, b"", "Authorization: Basic admin").status
    assert [] == world.seen


@pytest.mark.parametrize(
    "query",
    [
        *("limit=0", "limit=1001", "limit=x", "limit=", "limit=1&limit=2", "limit", "limt=1"),
        *("limit=%31%30%30%30%30", "limit=%D9%A1", "limit=+1", "limit=%FF", "&", "=1"),
        *("update=%00", "update=%E2%80%AE", "update=" + "x" * 201, "database=%0A", "database="),
        *("a=1&" * 30, "x" * 5000),
    ],
)
def test_bad_query(world: World, query: str) -> None:
    """Parameters that are not, not once or not right are refused."""
    answer = world.ask("GET", f"history?{query}")
    assert (400, "M_INVALID_PARAM") == (answer.status, answer.json["errcode"])
    assert 400 == world.ask("POST", f"pause?{query}").status
    assert 400 == world.ask("GET", "explain").status
    assert [] == world.seen


@pytest.mark.parametrize(
    ("body", "errcode"),
    [
        (b"{", "M_NOT_JSON"),
        (b"\xff", "M_NOT_JSON"),
        (b"\xef\xbb\xbf{}", "M_NOT_JSON"),
        (b'{"for": NaN}', "M_NOT_JSON"),
        (b'{"for": -Infinity}', "M_NOT_JSON"),
        (b"{} {}", "M_NOT_JSON"),
        (b'{"update": "a\x01b"}', "M_NOT_JSON"),
        (b'{"update": "a", "update": "b"}', "M_BAD_JSON"),
        (b'{"for": 1e999}', "M_BAD_JSON"),
        (b'{"for": ' + b"1" * 60_000 + b"}", "M_BAD_JSON"),
        (b"[" * 30_000 + b"]" * 30_000, "M_BAD_JSON"),
        (b'{"a":' * 10_000 + b"1" + b"}" * 10_000, "M_BAD_JSON"),
        (b"[" * 20 + b"]" * 20, "M_BAD_JSON"),
        (b"[]", "M_INVALID_PARAM"),
        (b"null", "M_INVALID_PARAM"),
        (b'{"update": "\\ud800"}', "M_INVALID_PARAM"),
        (b'{"update": 5, "for": "x", "\\ud800": 1}', "M_INVALID_PARAM"),
    ],
)
def test_bad_body(world: World, body: bytes, errcode: str) -> None:
    """What is no request is refused, and says why."""
    for action in POSTS:
        answer = world.ask("POST", action, "admin", body)
        assert (400, errcode) == (answer.status, answer.json["errcode"])
    assert [] == world.seen
    assert [] == world.errors


def test_problems(world: World) -> None:
    """Each problem is told with its place."""
    body = {"update": "x", "settings": {"duty_cycle": "500%"}, "\ud800": 1}
    problems = world.ask("POST", "override", "admin", body).json["problems"]
    assert ["\\ud800"] == problems[0]["path"]
    assert ["settings", "duty_cycle"] == problems[1]["path"]
    assert "found '500%'; accepted is" in problems[1]["message"]


def test_size(world: World) -> None:
    """A body above 64 KiB is refused, in one piece or in chunks; one of 64 KiB is read."""
    padding = 64 * 1024 - len('{"reason": ""}')
    for extra, status in ((1, 413), (0, 400)):
        body = json.dumps({"reason": "x" * (padding + extra)}).encode()
        assert status == world.ask("POST", "pause", "admin", body).status
        chunks = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
        answer = world.ask("POST", "pause", "admin", chunks, "Transfer-Encoding: chunked")
        assert status == answer.status
    assert [] == world.seen
