"""A thousand calls of the HTTP API at once do not block other requests."""

import asyncio
import http.client
import statistics
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest

from synapse_bgthrottle.api.concurrency import MOST_AT_WORK, MOST_WAITING
from testbed.waiting import HANG_S
from tests.end_to_end.api.web_server import BASE, TROUBLES, WebServer, running

_CALLS = 1000
_WHOAMI = "/_matrix/client/v3/account/whoami"


@contextmanager
def watched(server: WebServer, name: str) -> Iterator[None]:
    """An ordinary client asks who it is, over and over; prints how long that took.

    On one connection: a new one may wait a second where the system's queue of new ones is full,
    whatever the server does.
    """
    target = urlsplit(server.synapse.url)
    connection = http.client.HTTPConnection(str(target.hostname), target.port, timeout=HANG_S)
    headers = {"Authorization": f"Bearer {server.tokens['user']}"}
    took_ms: list[float] = []
    statuses: Counter[int] = Counter()
    is_over = threading.Event()

    def ask() -> None:
        while not is_over.is_set():
            begin = time.monotonic()
            connection.request("GET", _WHOAMI, headers=headers)
            answer = connection.getresponse()
            answer.read()
            statuses[answer.status] += 1
            took_ms.append(1000 * (time.monotonic() - begin))
            time.sleep(0.01)

    asking = threading.Thread(target=ask)
    asking.start()
    begin = time.monotonic()
    try:
        yield
    finally:
        lasted_s = time.monotonic() - begin
        is_over.set()
        asking.join()
        connection.close()
    assert {200: len(took_ms)} == statuses
    took_ms.sort()
    print(
        f"{name}: {lasted_s:.1f} s; whoami: {len(took_ms)} calls, median"
        f" {statistics.median(took_ms):.0f} ms, slowest {took_ms[-1]:.0f} ms"
    )


def storm(server: WebServer, path: str, tokens: list[str | None]) -> Counter[int]:
    """How often each status was answered to calls with these tokens, all at once."""
    target = urlsplit(server.synapse.url)

    async def call(token: str | None) -> int:
        reader, writer = await asyncio.open_connection(target.hostname, target.port)
        authorization = f"Authorization: Bearer {token}\r\n" if token else ""
        head = f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{authorization}\r\n"
        writer.write(head.encode())
        answer = await reader.read()
        writer.close()
        return int(answer.split(maxsplit=2)[1])

    async def calls() -> list[int]:
        return await asyncio.gather(*map(call, tokens))

    return Counter(asyncio.run(calls()))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebServer]:
    with running(tmp_path_factory.mktemp("web") / "server") as server:
        yield server


def test_storm(server: WebServer) -> None:
    """Each of a thousand calls is answered as it should be, and nobody else's call fails."""
    admin = server.tokens["admin"]
    with watched(server, "no token, Synapse's own whoami"):
        assert {401: _CALLS} == storm(server, _WHOAMI, [None] * _CALLS)
    with watched(server, "no token"):
        assert {401: _CALLS} == storm(server, f"{BASE}/status", [None] * _CALLS)
    with watched(server, "wrong tokens, Synapse's own whoami"):
        wrong: list[str | None] = [f"syt_bad_{number}" for number in range(_CALLS)]
        assert {401: _CALLS} == storm(server, _WHOAMI, wrong)
    with watched(server, "wrong tokens"):
        wrong = [f"syt_wrong_{number}" for number in range(_CALLS)]
        assert {401: _CALLS} == storm(server, f"{BASE}/status", wrong)
    assert [] == server.seen()
    with watched(server, "status"):
        statuses = storm(server, f"{BASE}/status", [admin] * _CALLS)
        assert {200, 429} >= set(statuses)
    print(f"status: {dict(statuses)}, asked {len(server.seen())} times")
    with watched(server, "slow answers"):
        statuses = storm(server, f"{BASE}/history?update=slow", [admin] * _CALLS)
    print(f"slow answers: {dict(statuses)}")
    assert {200, 429} == set(statuses)
    assert MOST_AT_WORK + MOST_WAITING <= statuses[200]
    with watched(server, "slow answers, and strangers"):
        statuses = storm(server, f"{BASE}/history?update=slow", [admin, None] * (_CALLS // 2))
    assert 500 == statuses[401]
    log = server.synapse.log()
    for trouble in TROUBLES:
        assert trouble not in log
