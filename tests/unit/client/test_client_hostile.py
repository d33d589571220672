"""The client with bad servers: endless, packed and slow answers, wrong protocols."""

import asyncio
import gzip
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from synapse_bgthrottle.client import (
    AsyncClient,
    CertificatesError,
    Client,
    ClientError,
    NotUnderstoodError,
    TimedOutError,
    UnreachableError,
)
from tests.unit.client.world import TOKEN

Talk = Callable[[socket.socket], Any]
Asked = Callable[[str, float], ClientError]
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
_STATUS = b'{"enabled": true, "current_updates": {}}'


@contextmanager
def _server(talk: Talk, listening: socket.socket | None = None) -> Iterator[str]:
    """Something that listens, and talks to whoever asks, until the client is gone."""
    with listening or socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    threading.Thread(target=answer, args=(connection,), daemon=True).start()

        def answer(connection: socket.socket) -> None:
            with connection, suppress(OSError):
                connection.recv(65_536)
                talk(connection)

        threading.Thread(target=serve, daemon=True).start()
        if server.family == socket.AF_INET:
            yield f"http://127.0.0.1:{server.getsockname()[1]}"
        else:
            yield f"unix:{server.getsockname()}"
        server.shutdown(socket.SHUT_RDWR)


def _asked(url: str, timeout_s: float) -> ClientError:
    with Client(url, TOKEN, timeout_s=timeout_s) as client, pytest.raises(ClientError) as caught:
        client.status()
    return caught.value


def _asked_async(url: str, timeout_s: float) -> ClientError:
    async def ask() -> None:
        async with AsyncClient(url, TOKEN, timeout_s=timeout_s) as client:
            await client.status()

    with pytest.raises(ClientError) as caught:
        asyncio.run(ask())
    return caught.value


_BOTH = pytest.mark.parametrize("asked", [_asked, _asked_async])


def _endless(connection: socket.socket) -> None:
    connection.sendall(_HEAD + b"\r\n")
    while True:
        connection.sendall(b" " * 65_536)


def _dripping_body(connection: socket.socket) -> None:
    connection.sendall(_HEAD + b"Content-Length: 100000\r\n\r\n")
    while True:
        connection.sendall(b" ")
        time.sleep(0.05)


def _dripping_head(connection: socket.socket) -> None:
    connection.sendall(_HEAD + b"X-Long: ")
    while True:
        connection.sendall(b"x")
        time.sleep(0.05)


def _bomb(connection: socket.socket) -> None:
    packed = gzip.compress(b" " * 2**28, 9)
    connection.sendall(_HEAD + b"Content-Encoding: gzip\r\n")
    connection.sendall(b"Content-Length: %d\r\n\r\n" % len(packed) + packed)


def _odd_encoding(connection: socket.socket) -> None:
    connection.sendall(_HEAD + b"Content-Encoding: br\r\nContent-Length: 1\r\n\r\nx")


def _no_gzip(connection: socket.socket) -> None:
    connection.sendall(_HEAD + b"Content-Encoding: gzip\r\nContent-Length: 3\r\n\r\nxyz")


@_BOTH
@pytest.mark.parametrize(
    ("said", "talk"),
    [
        ("more than 32 MiB", _endless),
        ("more than 32 MiB", _bomb),
        ("encoded as br, unasked", _odd_encoding),
        ("cannot be unpacked", _no_gzip),
    ],
)
def test_answers_of_any_size(asked: Asked, said: str, talk: Talk) -> None:
    """No more is read, or unpacked, than a Synapse would ever answer."""
    with _server(talk) as url:
        error = asked(url, 60)
    assert isinstance(error, NotUnderstoodError)
    assert said in str(error)


@_BOTH
@pytest.mark.parametrize("talk", [_dripping_body, _dripping_head])
def test_answers_that_drip(asked: Asked, talk: Talk) -> None:
    """The time-out is for the whole answer, and not for each of its bytes."""
    start_s = time.monotonic()
    with _server(talk) as url:
        error = asked(url, 0.5)
    assert isinstance(error, TimedOutError)
    assert "no complete answer within 0.5 s" in str(error)
    assert time.monotonic() - start_s < 30


def test_the_call_after_a_dripping_one() -> None:
    """The client can be used again."""
    answers = iter([_dripping_body, _good])

    def talk(connection: socket.socket) -> None:
        next(answers)(connection)

    with _server(talk) as url, Client(url, TOKEN, timeout_s=0.3) as client:
        with pytest.raises(TimedOutError):
            client.status()
        client.timeout_s = 60
        assert client.status().enabled


def _good(connection: socket.socket) -> None:
    packed = gzip.compress(_STATUS)
    connection.sendall(_HEAD + b"Content-Encoding: gzip\r\n")
    connection.sendall(b"Content-Length: %d\r\n\r\n" % len(packed) + packed)


def test_packed_answers() -> None:
    """An answer that is packed as was asked for is understood."""
    with _server(_good) as url, Client(url, TOKEN) as client:
        assert client.status().enabled


@pytest.mark.parametrize("form", ["unix:{}", "unix://{}"])
def test_unix_sockets(tmp_path: Path, form: str) -> None:
    """`unix:` and a path reach what listens on that socket, also without waiting for it."""
    listening = socket.socket(socket.AF_UNIX)
    path = tmp_path / "main.sock"
    listening.bind(str(path))
    listening.listen()
    url = form.format(path)

    async def ask() -> bool:
        async with AsyncClient(url, TOKEN) as client:
            return (await client.status()).enabled

    with _server(_good, listening), Client(url, TOKEN) as client:
        assert client.status().enabled
        assert asyncio.run(ask())
    error = _asked(f"unix:{tmp_path}/none.sock", 60)
    assert isinstance(error, UnreachableError)
    assert f"unix:{tmp_path}/none.sock" in str(error)


@pytest.mark.parametrize("url", ["unix:", "unix:relative", "unix:/a?b", "unix:/a#b", "unix://"])
def test_no_unix_socket(url: str) -> None:
    """What is no absolute path is refused, with what is accepted."""
    with pytest.raises(ValueError, match="like unix:/run/"):
        Client(url, TOKEN)


def _waits(connection: socket.socket) -> None:
    time.sleep(60)


def _complains(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")


@_BOTH
@pytest.mark.parametrize("talk", [_waits, _complains])
def test_https_where_there_is_http(asked: Asked, talk: Talk) -> None:
    """It ends long before the time-out, with what to try."""
    start_s = time.monotonic()
    with _server(talk) as url:
        error = asked(url.replace("http:", "https:"), 300)
    assert isinstance(error, UnreachableError)
    assert "if the server speaks plain HTTP, use http://" in str(error)
    assert time.monotonic() - start_s < 100


def _alert(connection: socket.socket) -> None:
    connection.sendall(b"\x15\x03\x01\x00\x02\x02\x46")  # what OpenSSL says to plain HTTP


@_BOTH
def test_http_where_there_is_https(asked: Asked) -> None:
    """The other way round too."""
    with _server(_alert) as url:
        assert "if the server speaks TLS, use https://" in str(asked(url, 60))


def test_certificates_that_are_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file that SSL_CERT_FILE names is told, if it is missing or has no certificate."""
    usual = ssl.get_default_verify_paths().cafile or ""
    empty = tmp_path / "empty.pem"
    empty.touch()
    for path, why in ((tmp_path / "none.pem", "No such file"), (empty, "it has no certificate")):
        monkeypatch.setenv("SSL_CERT_FILE", str(path))
        for made in (Client, AsyncClient):
            with pytest.raises(CertificatesError, match=f"SSL_CERT_FILE {path}: {why}"):
                made("https://127.0.0.1:1", TOKEN)
    monkeypatch.setenv("SSL_CERT_FILE", usual)
    Client("https://127.0.0.1:1", TOKEN).close()
