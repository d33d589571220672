"""The administrator's HTTP check: it only reads the status of the answer.

An HTTP client would read the body, follow redirects and keep connections. But the endpoint must
cost this server nothing, whatever it sends. So at most some KiB are read, and the connection is
closed after two seconds.
"""

import re
import socket
import ssl
import struct
from collections.abc import Callable
from contextlib import suppress
from urllib.parse import urlsplit

from synapse_bgthrottle.homeserver.internals.bounded_calls import BlockingCall

# For the address, connecting, request and answer together.
LONGEST_S = 2.0
# Of the answer, with its body.
MOST_BYTES = 16 * 1024

_STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([0-9]{3})(?: .*)?")
_BEGINNING = b"HTTP/1."
# Complete interim answers (1xx), except 101, which is final.
_INTERIM = re.compile(rb"(?:HTTP/1\.[01] 1(?!01)[0-9]{2}[ \r\n].*?\r?\n\r?\n)*", re.DOTALL)
# On close, drop all unsent and unread data, so that the kernel keeps nothing of the connection.
_ABORT = struct.pack("ii", 1, 0)


class NoStatusError(Exception):
    """The endpoint does not answer as an HTTP server does."""


class HttpCheck:
    """Requests the status of one URL: http or https, with a host and without a user."""

    def __init__(self, url: str, now_s: Callable[[], float]) -> None:
        self._now_s = now_s
        parts = urlsplit(url)
        self._host = parts.hostname or ""
        self._is_tls = parts.scheme == "https"
        self._port = parts.port or (443 if self._is_tls else 80)
        target = f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"
        self._request = (
            f"GET {target} HTTP/1.1\r\nHost: {parts.netloc}\r\nUser-Agent: synapse-bgthrottle\r\n"
            "Accept: */*\r\nConnection: close\r\n\r\n"
        ).encode("ascii")
        self._context: ssl.SSLContext | None = None
        self._addresses = BlockingCall(socket.getaddrinfo)

    def status(self) -> int:
        """The status of the answer, even of a redirect. It blocks, so call it in a thread.

        Raises TimeoutError if there was no status in time, NoStatusError if the endpoint is no HTTP
        server, and OSError if the connection failed, or was lost.
        """
        deadline_s = self._now_s() + LONGEST_S
        try:
            with self._connected(deadline_s) as connection:
                connection.sendall(self._request)
                return self._status_read(connection, deadline_s)
        except TimeoutError as error:
            raise TimeoutError(f"no answer within {LONGEST_S:g} s") from error

    def _connected(self, deadline_s: float) -> socket.socket:
        error: OSError = OSError(f"{self._host} has no address")
        left_s = self._left_s(deadline_s)
        found = self._addresses.within(left_s, self._host, self._port, 0, socket.SOCK_STREAM)
        for family, kind, protocol, _, address in found:
            connection = socket.socket(family, kind, protocol)
            try:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
                connection.settimeout(self._left_s(deadline_s))
                connection.connect(address)
                connection.settimeout(self._left_s(deadline_s))
                return self._secured(connection)
            except OSError as raised:  # another address may answer
                connection.close()
                error = raised
        raise error

    def _secured(self, connection: socket.socket) -> socket.socket:
        if not self._is_tls:
            return connection
        if self._context is None:
            self._context = ssl.create_default_context()
        return self._context.wrap_socket(connection, server_hostname=self._host)

    def _left_s(self, deadline_s: float) -> float:
        left_s = deadline_s - self._now_s()
        if left_s <= 0:
            raise TimeoutError
        return left_s

    def _status_read(self, connection: socket.socket, deadline_s: float) -> int:
        head = b""
        while len(head) < MOST_BYTES:
            connection.settimeout(self._left_s(deadline_s))
            received = connection.recv(4096)
            if not received:
                raise NoStatusError("the connection was closed without an answer")
            head += received
            status = status_in(head)
            if status is not None:
                self._read_rest(connection, deadline_s, MOST_BYTES - len(head))
                return status
        raise NoStatusError(f"no status in {MOST_BYTES} bytes")

    def _read_rest(self, connection: socket.socket, deadline_s: float, left: int) -> None:
        # Many endpoints log an error if the client closes the connection during the answer.
        with suppress(OSError):  # the status is known, so an error here does not matter
            while left > 0:
                connection.settimeout(self._left_s(deadline_s))
                received = connection.recv(4096)
                if not received:
                    return
                left -= len(received)


def status_in(head: bytes) -> int | None:
    """The status in the beginning of an answer; None: more of it is needed.

    Raises NoStatusError if it is not HTTP.
    """
    interim = _INTERIM.match(head)
    line, end, _ = head[interim.end() if interim is not None else 0 :].partition(b"\n")
    if not end and line[: len(_BEGINNING)] == _BEGINNING[: len(line)]:
        return None
    found = _STATUS_LINE.fullmatch(line.removesuffix(b"\r")) if end else None
    if found is None:
        raise NoStatusError("the answer is not HTTP")
    status = int(found[1])
    return None if 100 <= status <= 199 and status != 101 else status
