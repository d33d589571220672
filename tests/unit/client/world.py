"""A server that answers the client without a network."""

import json
from typing import Any

import httpx

from synapse_bgthrottle.client import Client

URL = "https://matrix.example.org"
TOKEN = "syt_secret"


class Server:
    """Answers every request alike, and keeps what was sent."""

    def __init__(self, status: int = 200, body: Any = None, **headers: str) -> None:
        self.requests: list[httpx.Request] = []
        self._content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self._status, self._headers = status, headers

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return httpx.Response(self._status, content=self._content, headers=self._headers)

    def client(self, **arguments: Any) -> Client:
        """A client that talks to it."""
        return Client(URL, TOKEN, transport=httpx.MockTransport(self), **arguments)

    @property
    def sent(self) -> tuple[str, str, Any]:
        """Method, path with query, and body of the only request."""
        (request,) = self.requests
        path = request.url.raw_path.decode()
        return request.method, path, json.loads(request.content) if request.content else None
