"""The HTTP API below a real Twisted site without sockets: bytes in, bytes out."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import attrs
from synapse.module_api.errors import SynapseError
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import Request, Site

from synapse_bgthrottle.api.resource import ThrottleResource
from testbed.virtual.fake_service import FakeService

BASE = "/_synapse/bgthrottle/v1"
GETS = ["status", "history", "uses", "load", "explain?update=x", "openapi.json"]


def _untyped(thing: Any) -> Any:
    """The same, without the types that Twisted lacks or that a stand-in has not."""
    return thing


LOST = _untyped(Failure)(_untyped(ConnectionDone)())
POSTS = ["pause", "resume", "release", "override", "reset"]


@attrs.define
class Requester:
    """A user, as Synapse describes the sender of a request."""

    user: str
    is_guest: bool = False
    scope: frozenset[str] = frozenset()
    app_service_id: str | None = None
    authenticated_entity: str | None = None


REQUESTERS = {
    "admin": Requester("@admin:test"),
    "user": Requester("@user:test"),
    "guest": Requester("@guest:test", is_guest=True),
    "bridge": Requester("@admin:test", app_service_id="bridge"),
    "scoped": Requester("@x:test", scope=frozenset({"urn:synapse:admin:*", "other"})),
    "narrow": Requester("@admin:test", scope=frozenset({"other"})),
    "puppet": Requester("@admin:test", authenticated_entity="@boss:test"),
}


class FakeApi:
    """The part of the module API that decides on permissions."""

    async def get_user_by_req(self, request: Request) -> Requester:
        (header,) = request.requestHeaders.getRawHeaders("Authorization") or []
        name = header.removeprefix("Bearer ")
        if name == "fail":
            raise RuntimeError("told to fail")
        if name == "lost":
            raise sqlite3.OperationalError("the connection is closed")
        if name not in REQUESTERS:
            raise SynapseError(401, "Invalid access token passed.", "M_UNKNOWN_TOKEN")
        return REQUESTERS[name]

    async def is_user_admin(self, user_id: str) -> bool:
        return user_id == "@admin:test"


class ProcessedRequest(Request):
    """The part of Synapse's request that the resource uses."""

    ended = 0

    @contextmanager
    def processing(self) -> Iterator[None]:
        yield
        ProcessedRequest.ended += 1


@attrs.define
class Answered:
    """An answer as received."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class SlowSteering(FakeService):
    """A service whose answers come when the test says so, one wait each."""

    def __init__(self, tell: Any) -> None:
        super().__init__(tell)
        self.waits: list[Deferred[None]] = []

    async def status(self) -> Any:
        wait: Deferred[None] = Deferred()
        self.waits.append(wait)
        await wait
        return await super().status()

    async def uses(self, limit: int) -> Any:
        wait: Deferred[None] = Deferred()
        self.waits.append(wait)
        await wait
        return await super().uses(limit)


class World:
    """A site with the resource, and a record of its calls.

    Attributes:
        seen: calls of the service.
        errors: reported errors of the module itself.
    """

    def __init__(self, is_main: bool = True) -> None:
        self.seen: list[str] = []
        self.errors: list[tuple[str, Exception]] = []
        self.service = SlowSteering(self.seen.append)
        self.resource = ThrottleResource(
            _untyped(FakeApi()),
            self.service if is_main else None,
            lambda where, error: self.errors.append((where, error)),
        )
        self.site = site(self.resource)

    def connect(self, raw: bytes) -> tuple[Any, Any]:
        """A connection on which these bytes were sent."""
        return connected(self.site, raw)

    def ask(
        self,
        method: str,
        path: str,
        token: str | None = "admin",
        body: bytes | str | dict[str, Any] = b"",
        *headers: str,
    ) -> Answered:
        return answered(self.connect(request(method, path, token, body, *headers))[1].value())


def site(resource: Any, **options: Any) -> Any:
    """A Twisted site that serves the resource at the path of the module's API."""
    root, synapse = _untyped(Resource)(), _untyped(Resource)()
    root.putChild(b"_synapse", synapse)
    synapse.putChild(b"bgthrottle", resource)
    return _untyped(Site)(root, requestFactory=ProcessedRequest, **options)


def connected(site: Any, raw: bytes) -> tuple[Any, Any]:
    """A channel and transport of the site, on which these bytes were sent."""
    channel, transport = site.buildProtocol(None), _untyped(StringTransport)()
    channel.makeConnection(transport)
    channel.dataReceived(raw)
    return channel, transport


def request(
    method: str,
    path: str,
    token: str | None = "admin",
    body: bytes | str | dict[str, Any] = b"",
    *headers: str,
) -> bytes:
    """The request's bytes; paths without a leading slash are those of the API."""
    content = json.dumps(body) if isinstance(body, dict) else body
    raw = content.encode() if isinstance(content, str) else content
    target = path if path.startswith("/") else f"{BASE}/{path}"
    lines = [f"{method} {target} HTTP/1.1", "Host: test", *headers]
    if token is not None:
        lines.append(f"Authorization: Bearer {token}")
    if raw and not any(header.lower().startswith("transfer") for header in headers):
        lines.append(f"Content-Length: {len(raw)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + raw


def answered(raw: bytes) -> Answered:
    head, _, body = raw.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    return Answered(int(first.split()[1]), headers, body)
