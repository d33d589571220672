"""The HTTP API on a real server: permissions, refusals, and effects on other requests."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from testbed.servers import redis
from testbed.servers.matrix import MatrixClient
from testbed.servers.redis import RedisServer
from testbed.servers.server import SynapseServer, SynapseWorker
from testbed.virtual.fake_service import example
from testbed.waiting import HANG_S
from tests.end_to_end.api.web_server import BASE, TROUBLES, WebServer, configuration, running

GETS = ["status", "history", "uses", "load", "explain?update=x", "openapi.json"]
POSTS = ["pause", "resume", "release", "override", "reset"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebServer]:
    with running(tmp_path_factory.mktemp("web") / "server") as server:
        yield server


@pytest.fixture(autouse=True)
def no_harm(server: WebServer) -> Iterator[None]:
    """After each test: the server is up, nothing of it failed, and no log context was lost."""
    begin = len(server.synapse.log())
    yield
    assert MatrixClient(server.synapse.url).call("GET", "/_matrix/client/versions")
    log = server.synapse.log()[begin:]
    for trouble in TROUBLES:
        assert trouble not in log, log


def test_administrator(server: WebServer) -> None:
    """An administrator gets what the service tells, and pulls levers."""
    admin = server.tokens["admin"]
    for path in ("status", "history", "uses", "explain?update=event_search"):
        status, answer, _ = server.ask("GET", path, admin)
        assert (200, example("get", f"/v1/{path.partition('?')[0]}")) == (status, answer)
    body: dict[str, Any] = {"update": "event_*", "reason": "nächtlich"}
    for action in POSTS:
        sent = {**body, "settings": {"sleep": 0}} if action == "override" else body
        status, answer, _ = server.ask("POST", action, admin, json.dumps(sent).encode())
        assert (200, example("post", f"/v1/{action}")) == (status, answer)
        assert f"{action} event_* by @admin:bgthrottle.test" == server.seen()[-1]
    log = server.synapse.log()
    assert "@admin:bgthrottle.test paused event_* in all databases until 20" in log
    assert "UTC: nächtlich" in log


@pytest.mark.parametrize("who", ["user", "guest", "gone", "service", "garbage", "none"])
def test_strangers(server: WebServer, who: str) -> None:
    """Nobody else gets anything, whatever they send, and the service hears nothing of it."""
    before = server.seen()
    token = {"none": None, "garbage": "syt_garbage"}.get(who, server.tokens.get(who))
    expected = 403 if who in ("user", "guest", "service") else 401
    for method, paths in (("GET", GETS), ("HEAD", GETS), ("POST", POSTS)):
        for path in paths:
            for body in (b"{}", b"x" * 70_000) if method == "POST" else (None,):
                if method == "HEAD":
                    target = f"HEAD {BASE}/{path} HTTP/1.1\r\nHost: x\r\n"
                    target += f"Authorization: Bearer {token}\r\n" if token else ""
                    status = server.raw(f"{target}\r\n".encode())[0]
                else:
                    status, answer, headers = server.ask(method, path, token, body)
                    assert answer["errcode"].startswith("M_")
                    assert "no-store" == headers["Cache-Control"]
                    assert "Access-Control-Allow-Origin" not in headers
                assert expected == status
    assert before == server.seen()


def test_token_elsewhere(server: WebServer) -> None:
    """Even the administrator's token is refused in the query, in a form, twice, or as another's."""
    before = server.seen()
    admin = server.tokens["admin"]
    form = {"Content_Type": "application/x-www-form-urlencoded"}
    sent = f"access_token={admin}".encode()
    assert 401 == server.ask("GET", f"status?access_token={admin}", None)[0]
    assert 401 == server.ask("GET", f"status?access_token={admin}", admin)[0]
    assert 401 == server.ask("POST", "pause", None, sent, **form)[0]
    assert 401 == server.ask("GET", "status", None, None, Authorization=f"Basic {admin}")[0]
    user_id = "%40admin%3Abgthrottle.test"
    service = server.tokens["service"]
    assert 403 == server.ask("GET", f"status?user_id={user_id}", service)[0]
    assert before == server.seen()
    assert admin not in server.synapse.log()


@pytest.mark.parametrize(
    "path",
    [
        *(
            "/v1",
            "/v1/",
            "/page",
            "/page/../openapi.json",
            "/v1/status/",
            "//v1/status",
            "/v1//status",
            "/v1%2Fstatus",
        ),
        *("/v1/%73tatus", "/./v1/status", "/x/../v1/status", "/../bgthrottle/v1/status"),
        *("/v1/status;a=b", "/v1/status%00", "/v1/status%3Fa", "/v1/status#a", "/V1/status"),
    ],
)
def test_path_tricks(server: WebServer, path: str) -> None:
    """A thing has one path; proxies' rules about paths mean here what they mean there."""
    before = server.seen()
    authorization = f"Authorization: Bearer {server.tokens['admin']}\r\n"
    sent = f"GET /_synapse/bgthrottle{path} HTTP/1.1\r\nHost: x\r\n{authorization}\r\n"
    assert 404 == server.raw(sent.encode())[0]
    for prefix in ("/_synapse/bg%74hrottle", "/%5Fsynapse/bgthrottle", "//_synapse/bgthrottle"):
        sent = f"GET {prefix}/v1/status HTTP/1.1\r\nHost: x\r\n{authorization}\r\n"
        assert 404 == server.raw(sent.encode())[0]
    assert before == server.seen()


@pytest.mark.parametrize(
    "body",
    [
        *(b"{", b"\xff\xfe", b"null", b"[]", b"5", b'"x"', b'{"a":1,"a":2}', b'{"for":NaN}'),
        *(b'{"for":1e999}', b'{"for":' + b"9" * 65_000 + b"}", b"[" * 65_000, b"\0" * 100),
        *(b'{"a":' * 12_000 + b"1" + b"}" * 4_000, b'{"update":"\\u0000"}', b'{"update":[]}'),
        *(b'{"update":"\\u202e"}', b'{"update":"\\ud800"}', b'{"for":"1y"}', b'{"for":true}'),
        *(b'{"reason":"a\\nb"}', b'{"database":"\\u001b[2J"}', b'{"settings":{"sleep":"1s"}}'),
        b"{" + b",".join(b'"k%d":1' % number for number in range(6000)) + b"}",
    ],
)
def test_bad_bodies(server: WebServer, body: bytes) -> None:
    """What is no request is refused with 400 and a reason."""
    before = server.seen()
    status, answer, _ = server.ask("POST", "pause", server.tokens["admin"], body)
    assert 400 == status
    assert answer["errcode"] in ("M_NOT_JSON", "M_BAD_JSON", "M_INVALID_PARAM")
    assert before == server.seen()


def test_large_bodies(server: WebServer) -> None:
    """Above 64 KiB it is 413, in chunks too; far above, the server itself hangs up or says so."""
    before = server.seen()
    admin = server.tokens["admin"]
    assert 413 == server.ask("POST", "pause", admin, b" " * 65_537)[0]
    head = f"POST {BASE}/pause HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {admin}\r\n"
    chunks = b"10001\r\n" + b" " * 65_537 + b"\r\n0\r\n\r\n"
    sent = f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + chunks
    assert 413 == server.raw(sent)[0]
    sent = f"{head}Content-Length: 5\r\nContent-Length: 6\r\n\r\n12345".encode()
    assert server.raw(sent)[0] in (0, 400)
    sent = f"{head}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".encode()
    assert server.raw(sent)[0] in (0, 400)
    assert before == server.seen()


def test_methods(server: WebServer) -> None:
    """Other methods are refused; a browser's question whether it may is Synapse's to answer."""
    before = server.seen()
    for method in ("PUT", "DELETE", "PATCH", "TRACE"):
        status, _, headers = server.ask(method, "status", server.tokens["admin"])
        assert (405, "GET, HEAD") == (status, headers["Allow"])
    assert 405 == server.ask("GET", "pause", server.tokens["admin"])[0]
    assert 204 == server.raw(f"OPTIONS {BASE}/status HTTP/1.1\r\nHost: x\r\n\r\n".encode())[0]
    assert before == server.seen()


def test_half_requests_and_lost_clients(server: WebServer) -> None:
    """Who never ends a request, or never reads the answer, keeps nobody else from theirs."""
    before = server.seen()
    admin = server.tokens["admin"]
    head = f"POST {BASE}/pause HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {admin}\r\n"
    slow = [server.connect() for _ in range(100)]
    for number, connection in enumerate(slow):
        sent = f"{head}Content-Length: 100\r\n\r\n" + "{" * 50 if number % 2 else head[:60]
        connection.sendall(sent.encode())
    assert before == server.seen()
    assert 200 == server.ask("GET", "status", admin)[0]
    for connection in slow:
        connection.close()
    for _ in range(100):
        with server.connect() as connection:
            connection.sendall(
                f"GET {BASE}/status HTTP/1.1\r\nAuthorization: Bearer {admin}".encode()
            )
            connection.sendall(b"\r\nHost: x\r\n\r\n")
    assert 200 == server.ask("GET", "status", admin)[0]
    assert not [line for line in server.seen()[len(before) :] if line != "status"]


@pytest.mark.skipif(not redis.is_installed(), reason="no Redis")
def test_worker(tmp_path: Path) -> None:
    """A worker says where to ask; the main one answers on its replication listener too."""
    with RedisServer(tmp_path / "redis") as cache:
        main = SynapseServer(tmp_path / "main", None, configuration(tmp_path / "main"), cache.port)
        with main, SynapseWorker(main, "worker") as worker:
            listeners = yaml.safe_load(main.config_path.read_text())["listeners"]
            replication_url = f"http://127.0.0.1:{listeners[1]['port']}"
            for url, expected in ((main.url, 401), (replication_url, 401), (worker.url, 404)):
                with pytest.raises(urllib.error.HTTPError) as refused:
                    urllib.request.urlopen(f"{url}{BASE}/status", timeout=HANG_S)
                assert expected == refused.value.code, url
            assert b"main process" in refused.value.read()
