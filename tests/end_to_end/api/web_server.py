"""A real server with the HTTP API, users of all kinds, and ways to send anything."""

import json
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import attrs
import yaml

from testbed.servers.matrix import MatrixClient
from testbed.servers.server import SynapseServer
from testbed.waiting import HANG_S

BASE = "/_synapse/bgthrottle/v1"
SERVICE_TOKEN = "the-token-of-a-bridge"

# What a log has where something failed, or where a log context was lost or used after its end.
TROUBLES = ("Traceback", " ERROR ", " CRITICAL ", "logcontext", "log context", "logging context")

_MODULE = "tests.end_to_end.api.web_module.WebModule"


@attrs.frozen
class WebServer:
    """A running server.

    Attributes:
        tokens: by who they are of: admin, user, guest, gone (logged out), service.
        calls: what the service was asked for, in lines.
    """

    synapse: SynapseServer
    tokens: Mapping[str, str]
    calls: Path

    def seen(self) -> list[str]:
        """What the service was asked for so far."""
        return self.calls.read_text().splitlines() if self.calls.exists() else []

    def ask(
        self, method: str, path: str, token: str | None, body: bytes | None = None, **headers: str
    ) -> tuple[int, Any, Any]:
        """Status, JSON and headers of the answer."""
        request = urllib.request.Request(
            self.synapse.url + (path if path.startswith("/") else f"{BASE}/{path}"),
            body,
            {name.replace("_", "-"): value for name, value in headers.items()},
            method=method,
        )
        if token is not None:
            request.add_header("Authorization", f"Bearer {token}")
        try:
            with urllib.request.urlopen(request, timeout=HANG_S) as answer:
                return answer.status, json.load(answer), answer.headers
        except urllib.error.HTTPError as answer:
            with answer:
                return answer.code, json.load(answer), answer.headers

    def connect(self) -> socket.socket:
        """To whatever one likes to send."""
        target = urlsplit(self.synapse.url)
        return socket.create_connection((str(target.hostname), target.port or 80), timeout=HANG_S)

    def raw(self, sent: bytes) -> tuple[int, bytes]:
        """Status and body of the answer; a status of 0: the connection was closed."""
        with self.connect() as connection:
            connection.sendall(sent)
            received = b""
            while b"\r\n\r\n" not in received:
                more = connection.recv(65536)
                if not more:
                    return 0, received
                received += more
            head, _, body = received.partition(b"\r\n\r\n")
            return int(head.split()[1]), body


def configuration(folder: Path) -> dict[str, Any]:
    """Of a server with the API, guests and a bridge."""
    folder.mkdir(parents=True, exist_ok=True)
    registration = folder / "bridge.yaml"
    registration.write_text(
        yaml.safe_dump(
            {
                "id": "bridge",
                "url": None,
                "as_token": SERVICE_TOKEN,
                "hs_token": "unused",
                "sender_localpart": "bridge",
                # It may act as the administrator.
                "namespaces": {"users": [{"exclusive": False, "regex": "@.*"}]},
            }
        )
    )
    return {
        "modules": [{"module": _MODULE, "config": {"calls": str(folder / "calls")}}],
        "allow_guest_access": True,
        "app_service_config_files": [str(registration)],
    }


@contextmanager
def running(folder: Path) -> Iterator[WebServer]:
    """Such a server, and its people."""
    with SynapseServer(folder, None, configuration(folder)) as synapse:
        admin = MatrixClient.register(synapse.url, "admin", admin=True)
        gone = MatrixClient.register(synapse.url, "gone", admin=True)
        gone.call("POST", "/_matrix/client/v3/logout", {})
        guests = "/_matrix/client/v3/register?kind=guest"
        tokens = {
            "admin": admin.token,
            "user": MatrixClient.register(synapse.url, "user", admin=False).token,
            "guest": MatrixClient(synapse.url).call("POST", guests, {})["access_token"],
            "gone": gone.token,
            "service": SERVICE_TOKEN,
        }
        yield WebServer(synapse, tokens, folder / "calls")
