"""Where to connect, and calls as httpx takes them; shared by both clients."""

import re
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar
from urllib.parse import urlsplit

import attrs
import httpx

from synapse_bgthrottle._version import __version__
from synapse_bgthrottle.client import responses
from synapse_bgthrottle.client.errors import TimedOutError, UnreachableError
from synapse_bgthrottle.client.requests import MODULE_PREFIX, OFFICIAL_PREFIX, Call

T = TypeVar("T")

TIMEOUT_S = 30.0
_TOKEN = re.compile(r"[!-~]+", re.ASCII)
_PREFIX = re.compile(r"(/[A-Za-z0-9._~-]+)+", re.ASCII)


@attrs.frozen
class Connection:
    """A server and who one is there.

    Attributes:
        url: the server's address, perhaps with a path before `/_synapse`.
        token: of a server administrator; in no message and no representation.
        prefix: of the module's API, as it is configured there.
        timeout_s: for connecting, and for each part of an answer.
    """

    url: str = attrs.field()
    token: str = attrs.field(repr=False)
    prefix: str = attrs.field(default=MODULE_PREFIX)
    timeout_s: float = attrs.field(default=TIMEOUT_S)

    @url.validator
    def _check_url(self, _: Any, value: str) -> None:
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("the URL has to be like https://matrix.example.org")
        if "@" in parts.netloc or parts.query or parts.fragment:
            raise ValueError("the URL must have no user, no password, no ? and no #")

    @token.validator
    def _check_token(self, _: Any, value: str) -> None:
        if not _TOKEN.fullmatch(value):
            raise ValueError("the token is empty or has characters that no token has")

    @prefix.validator
    def _check_prefix(self, _: Any, value: str) -> None:
        if not _PREFIX.fullmatch(value):
            raise ValueError("the path prefix has to be like /_synapse/bgthrottle")

    @timeout_s.validator
    def _check_timeout(self, _: Any, value: float) -> None:
        if not 0 < value < float("inf"):
            raise ValueError("the time-out has to be above 0 s")

    @property
    def options(self) -> dict[str, Any]:
        """What httpx's clients are made with. Redirects are not followed: the token would be."""
        headers = {
            "Authorization": f"Bearer {self.token}",
            "Accept": "application/json",
            "User-Agent": f"bgthrottle/{__version__}",
        }
        return {"headers": headers, "timeout": self.timeout_s, "follow_redirects": False}

    def request(self, call: Call[T]) -> dict[str, Any]:
        """The arguments of httpx's `request`."""
        prefix = self.prefix if call.of_module else OFFICIAL_PREFIX
        arguments: dict[str, Any] = {
            "method": call.method,
            "url": f"{self.url.rstrip('/')}{prefix}{call.path}",
        }
        if call.query:
            arguments["params"] = dict(call.query)
        if call.body is not None:
            arguments["json"] = dict(call.body)
        return arguments

    def result(self, call: Call[T], response: httpx.Response) -> T:
        """What the call was made for."""
        location = response.headers.get("Location", "")
        return responses.result(call, response.status_code, response.content, location)

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Makes httpx's errors those of this package."""
        try:
            yield
        except httpx.TimeoutException as error:
            was_sent = not isinstance(error, (httpx.ConnectTimeout, httpx.PoolTimeout))
            message = f"{self.url}: no answer within {self.timeout_s:g} s"
            raise TimedOutError(message, may_be_done=was_sent) from None
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
            what = str(error) or type(error).__name__
            was_sent = not isinstance(error, (*_UNUSABLE, httpx.ConnectError))
            may_pass = not isinstance(error, _UNUSABLE) and not _is_lasting(error)
            raise UnreachableError(
                f"{self.url}: {what}", may_be_done=was_sent, may_pass=may_pass
            ) from None


_UNUSABLE = (httpx.InvalidURL, httpx.UnsupportedProtocol)


def _is_lasting(error: BaseException | None) -> bool:
    """Whether an unknown name or a certificate is behind it, which httpx has no errors for."""
    while error is not None:
        if isinstance(error, (socket.gaierror, ssl.SSLError)):
            return True
        error = error.__cause__ or error.__context__
    return False
