"""How to connect, and calls in the form that httpx needs; both clients use it."""

import math
import os
import re
import socket
import ssl
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar
from urllib.parse import urlsplit

import attrs
import httpx

from synapse_bgthrottle._version import __version__
from synapse_bgthrottle.client import responses
from synapse_bgthrottle.client.errors import (
    CertificatesError,
    NotUnderstoodError,
    TimedOutError,
    UnreachableError,
)
from synapse_bgthrottle.client.requests import MODULE_PREFIX, OFFICIAL_PREFIX, Call

T = TypeVar("T")

TIMEOUT_S = 30.0
# A server that takes longer to accept a connection probably speaks another protocol.
_CONNECT_S = 5.0
# Let httpx's own limits come first, because they say whether the call was sent.
_GRACE_S = 1.0
_MOST_BYTES = 32 * 2**20
_UNIX = re.compile(r"unix:(?://)?(/+[^/?#][^?#]*)")
_TOKEN = re.compile(r"[!-~]+", re.ASCII)
_PREFIX = re.compile(r"(/[A-Za-z0-9._~-]+)+", re.ASCII)
_UNUSABLE = (httpx.InvalidURL, httpx.UnsupportedProtocol)
_NO_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST")


@attrs.frozen
class Connection:
    """A server, and the token to use it."""

    # The server's address, perhaps with a path before `/_synapse`; or `unix:/path` of the Unix
    # socket on which it listens.
    url: str
    token: str = attrs.field(repr=False)  # never shown in a message or representation
    prefix: str = MODULE_PREFIX  # path of the module's API
    timeout_s: float = TIMEOUT_S  # limit for the whole answer

    def __attrs_post_init__(self) -> None:
        is_unix = self.socket_path is not None
        parts = urlsplit("http://localhost" if is_unix else self.url)
        for is_right, message in (
            (
                parts.scheme in ("http", "https") and parts.hostname,
                "the URL has to be like https://matrix.example.org, or like"
                " unix:/run/matrix-synapse/main.sock",
            ),
            (
                "@" not in parts.netloc and not parts.query and not parts.fragment,
                "the URL must have no user, no password, no ? and no #",
            ),
            (
                _TOKEN.fullmatch(self.token),
                "the token is empty or has characters that no token has",
            ),
            (
                _PREFIX.fullmatch(self.prefix),
                "the path prefix has to be like /_synapse/bgthrottle",
            ),
            (0 < self.timeout_s < math.inf, "the time-out has to be above 0 s"),
        ):
            if not is_right:
                raise ValueError(message)

    @property
    def socket_path(self) -> str | None:
        """Path of the Unix socket; None: the address has a host."""
        match = _UNIX.fullmatch(self.url)
        return None if match is None else match[1]

    @property
    def timeouts(self) -> httpx.Timeout:
        """How long httpx waits for each step."""
        return httpx.Timeout(self.timeout_s, connect=min(self.timeout_s, _CONNECT_S))

    @property
    def whole_s(self) -> float:
        """How long a call may take in total, however slow its answer."""
        return self.timeout_s + _GRACE_S

    @property
    def options(self) -> dict[str, Any]:
        """Arguments for httpx's clients, without redirects: they would get the token."""
        _check_certificates()
        headers = {
            "Authorization": f"Bearer {self.token}",
            "Accept": "application/json",
            "Accept-Encoding": "gzip",
            "User-Agent": f"bgthrottle/{__version__}",
        }
        return {"headers": headers, "timeout": self.timeouts, "follow_redirects": False}

    def request(self, call: Call[T]) -> dict[str, Any]:
        """The arguments of httpx's `request`."""
        prefix = self.prefix if call.of_module else OFFICIAL_PREFIX
        base = self.url if self.socket_path is None else "http://localhost"
        arguments: dict[str, Any] = {
            "method": call.method,
            "url": f"{base.rstrip('/')}{prefix}{call.path}",
        }
        if call.query:
            arguments["params"] = dict(call.query)
        if call.body is not None:
            arguments["json"] = dict(call.body)
        return arguments

    def result(self, call: Call[T], response: httpx.Response, body: bytes) -> T:
        """The call's result."""
        location = response.headers.get("Location", "")
        return responses.result(call, response.status_code, body, location)

    def too_slow(self) -> TimedOutError:
        """The error for an answer that was not complete in time."""
        return TimedOutError(f"{self.url}: no complete answer within {self.timeout_s:g} s")

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Turns httpx's errors into those of this package."""
        try:
            yield
        except httpx.TimeoutException as error:
            was_sent = not isinstance(error, (httpx.ConnectTimeout, httpx.PoolTimeout))
            for_s = self.timeout_s if was_sent else self.timeouts.connect
            message = f"{self.url}: no answer within {for_s:g} s{self._hint(error)}"
            raise TimedOutError(message, may_be_done=was_sent) from None
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
            what = str(error) or type(error).__name__
            was_sent = not isinstance(error, (*_UNUSABLE, httpx.ConnectError))
            may_pass = not isinstance(error, _UNUSABLE) and not _is_lasting(error)
            raise UnreachableError(
                f"{self.url}: {what}{self._hint(error)}", may_be_done=was_sent, may_pass=may_pass
            ) from None

    def _hint(self, error: Exception) -> str:
        is_tls = self.url.lower().startswith("https:")
        if is_tls and (isinstance(error, httpx.ConnectTimeout) or _is_no_tls(error)):
            return "; if the server speaks plain HTTP, use http://"
        if not is_tls and isinstance(error, httpx.RemoteProtocolError):
            return "; if the server speaks TLS, use https://"
        return ""


class Body:
    """An answer's body, collected part by part up to a largest size."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        """`headers` are the answer's; NotUnderstoodError: an encoding that was not requested."""
        encoding = headers.get("Content-Encoding", "").strip().lower()
        if encoding not in ("", "identity", "gzip", "x-gzip", "deflate"):
            raise NotUnderstoodError(f"the answer is encoded as {encoding:.40}, unasked")
        is_plain = encoding in ("", "identity")
        self._decoder = None if is_plain else zlib.decompressobj(zlib.MAX_WBITS | 32)
        self._gathered = bytearray()

    def add(self, part: bytes) -> None:
        """Add the next part, as sent; NotUnderstoodError: it is broken, or makes it too large."""
        if self._decoder is not None:
            try:
                # Unpack no more than that, however large the result would be.
                part = self._decoder.decompress(part, _MOST_BYTES + 1)
            except zlib.error:
                raise NotUnderstoodError("the answer cannot be unpacked") from None
        self._gathered += part
        if len(self._gathered) > _MOST_BYTES:
            raise NotUnderstoodError(
                f"the answer has more than {_MOST_BYTES >> 20} MiB: does the URL lead to Synapse?"
            )

    @property
    def content(self) -> bytes:
        """The whole body."""
        return bytes(self._gathered)


def _check_certificates() -> None:
    file = os.environ.get("SSL_CERT_FILE")
    if not file:
        return
    try:
        ssl.create_default_context(cafile=file)
    except OSError as error:  # includes ssl.SSLError
        why = "it has no certificate" if isinstance(error, ssl.SSLError) else error.strerror
        raise CertificatesError(f"SSL_CERT_FILE {file}: {why}") from None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error and what caused it, for which httpx has no error types."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _is_no_tls(error: Exception) -> bool:
    return any(
        isinstance(cause, ssl.SSLError) and getattr(cause, "reason", None) in _NO_TLS
        for cause in _causes(error)
    )


def _is_lasting(error: Exception) -> bool:
    """Whether the cause is an unknown name or a certificate."""
    return any(isinstance(cause, (socket.gaierror, ssl.SSLError)) for cause in _causes(error))
