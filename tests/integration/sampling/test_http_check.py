"""The HTTP check against endpoints that misbehave: it costs little, and ends in time."""

import socket
import threading
import time
from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import pytest

from synapse_bgthrottle.homeserver.sampling import http_check
from synapse_bgthrottle.homeserver.sampling.http_check import (
    MOST_BYTES,
    HttpCheck,
    NoStatusError,
    status_in,
)
from testbed.servers.endpoints import Behaviour, endpoint, sends, sends_for_ever
from testbed.waiting import HANG_S

_LIMIT_S = 0.5


@pytest.fixture(autouse=True)
def _limit() -> Iterator[None]:
    with patch.object(http_check, "LONGEST_S", _LIMIT_S):
        yield


@pytest.mark.parametrize("status", [200, 204, 299, 302, 404, 503])
def test_the_status_is_the_answer(status: int) -> None:
    """Whatever its body and its words."""
    answer = b"HTTP/1.1 %d Some Words\r\nContent-Length: 5\r\n\r\nhello" % status
    with endpoint(sends(answer)) as there:
        assert status == HttpCheck(f"http://127.0.0.1:{there.port}/go?a=b", time.monotonic).status()
        assert there.asked[0].startswith(
            b"GET /go?a=b HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n" % there.port
        )
        assert there.asked[0].endswith(b"\r\nConnection: close\r\n\r\n")


def test_no_redirect_is_followed() -> None:
    """The address that it leads to is not asked."""
    with endpoint(sends(b"HTTP/1.1 200 OK\r\n\r\n")) as target:
        leads = b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:%d/\r\n\r\n" % target.port
        with endpoint(sends(leads)) as there:
            assert 302 == HttpCheck(f"http://127.0.0.1:{there.port}/", time.monotonic).status()
        assert [] == target.asked


@pytest.mark.parametrize(
    "behave",
    [
        sends(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", closes=False),
        sends_for_ever(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 65536),
        sends_for_ever(b"HTTP/1.1 200 OK\r\n", b"X-Header: x\r\n" * 5000),
        sends_for_ever(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n\x1f\x8b", b"\0" * 65536),
        sends_for_ever(b"HTTP/1.1 200 OK\r\n\r\n", b"x", pause_s=0.01),
    ],
    ids=["stalls", "endless body", "endless head", "gzip", "drips"],
)
def test_what_follows_the_status_costs_nothing(behave: Behaviour) -> None:
    """The answer is there within the limit, and the connection is gone."""
    with endpoint(behave) as there:
        before_s = time.monotonic()
        assert 200 == HttpCheck(f"http://127.0.0.1:{there.port}/", time.monotonic).status()
        assert time.monotonic() - before_s < _LIMIT_S + 5
        assert there.ended.wait(HANG_S)


@pytest.mark.parametrize(
    ("behave", "error", "message"),
    [
        (sends(closes=False), TimeoutError, "no answer within 0.5 s"),
        (sends_for_ever(b"HTTP/1.1 200 O", b"K", 0.01), TimeoutError, "no answer within 0.5 s"),
        (
            sends_for_ever(b"HTTP/1.1 103 Hints\r\n\r\n", b"HTTP/1.1 103 Hints\r\n\r\n", 0.01),
            TimeoutError,
            "no answer within 0.5 s",
        ),
        (
            sends_for_ever(b"HTTP/1.1 200 O", b"K" * 4096),
            NoStatusError,
            f"no status in {MOST_BYTES}",
        ),
        (sends(), NoStatusError, "the connection was closed without an answer"),
        (sends(b"SSH-2.0-OpenSSH\r\n", closes=False), NoStatusError, "the answer is not HTTP"),
        (sends(b"\x15\x03\x01", closes=False), NoStatusError, "the answer is not HTTP"),
    ],
    ids=["silent", "drips a line", "endless hints", "endless line", "closes", "ssh", "tls"],
)
def test_no_status(behave: Behaviour, error: type[Exception], message: str) -> None:
    """It is told what is there instead, within the limit, and the connection is gone."""
    with endpoint(behave) as there:
        with pytest.raises(error, match=message):
            HttpCheck(f"http://127.0.0.1:{there.port}/", time.monotonic).status()
        assert there.ended.wait(HANG_S)


def test_an_endpoint_without_tls() -> None:
    """Where https is asked for, whatever it answers is an error."""
    with endpoint(sends(b"HTTP/1.1 200 OK\r\n\r\n")) as there, pytest.raises(OSError, match="SSL"):
        HttpCheck(f"https://127.0.0.1:{there.port}/", time.monotonic).status()


def test_a_name_server_that_hangs() -> None:
    """Each check ends in time, and all wait for the one look-up; its answer is used at last."""
    lookups: list[str] = []
    answered = threading.Event()
    look_up = socket.getaddrinfo

    def hang(host: str, *arguments: Any, **named: Any) -> Any:
        lookups.append(host)
        answered.wait(HANG_S)
        return look_up("127.0.0.1", *arguments, **named)

    answers = endpoint(sends(b"HTTP/1.1 200 OK\r\n\r\n"))
    with answers as there, patch("socket.getaddrinfo", hang):
        check = HttpCheck(f"http://hangs.test:{there.port}/", time.monotonic)
        for _ in range(2):
            with pytest.raises(TimeoutError, match="no answer"):
                check.status()
        answered.set()
        assert 200 == check.status()
    assert ["hangs.test"] == lookups


def test_a_name_that_nobody_has() -> None:
    """The resolver's own words are the problem, each time."""
    unknown = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    with patch("socket.getaddrinfo", side_effect=unknown):
        check = HttpCheck("http://nobody.test/", time.monotonic)
        for _ in range(2):
            with pytest.raises(socket.gaierror, match="not known"):
                check.status()


def test_nobody_there() -> None:
    """A connection that is refused is an error, in the system's words."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(ConnectionRefusedError, match="Connection refused"):
        HttpCheck(f"http://127.0.0.1:{port}/", time.monotonic).status()


@pytest.mark.parametrize(
    ("status", "head"),
    [
        (200, b"HTTP/1.1 200\r\n"),
        (200, b"HTTP/1.0 200 OK\n"),
        (101, b"HTTP/1.1 101 Switching Protocols\r\n"),
        (
            204,
            b"HTTP/1.1 100 Continue\r\n\r\n"
            b"HTTP/1.1 103 Hints\r\nLink: a\r\n\r\n"
            b"HTTP/1.1 204 No Content\r\n",
        ),
        (None, b"HTTP/1.1 100 Continue\r\nHTTP/1.1 200 OK\r\n"),
        (None, b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK"),
        (None, b""),
        (None, b"HT"),
        (None, b"HTTP/1.1 200 O"),
    ],
)
def test_beginnings_of_answers(status: int | None, head: bytes) -> None:
    """Answers before the answer are passed over; a line that is not whole says nothing."""
    assert status == status_in(head)


@pytest.mark.parametrize("head", [b"hello", b"HTTP/2 200\r\n", b"HTTP/1.1 2000 OK\r\n", b"\r\n"])
def test_no_beginnings_of_answers(head: bytes) -> None:
    """What is not HTTP/1 is refused at once."""
    with pytest.raises(NoStatusError):
        status_in(head)
