"""The HTTP API with delegated authentication (MSC3861)."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from testbed.servers.matrix import MatrixClient
from testbed.servers.server import SynapseServer
from testbed.servers.versions import SYNAPSE, has_module
from tests.end_to_end.api.web_server import SERVICE_TOKEN, WebServer, configuration

_CLIENT = "urn:matrix:client:api:*"
_ADMIN = "urn:synapse:admin:*"

# What the service says of tokens.
_TOKENS: dict[str, dict[str, Any]] = {
    "admin-with-scope": {"active": True, "username": "admin", "scope": f"{_CLIENT} {_ADMIN}"},
    "admin-without": {"active": True, "username": "admin", "scope": _CLIENT},
    "admin-similar": {"active": True, "username": "admin", "scope": f"{_CLIENT} {_ADMIN}x"},
    "user-with-scope": {"active": True, "username": "user", "scope": f"{_CLIENT} {_ADMIN}"},
    "only-admin-scope": {"active": True, "username": "admin", "scope": _ADMIN},
    "ended": {"active": False},
}


class _Introspection(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        (token,) = parse_qs(self.rfile.read(length).decode())["token"]
        known = token != "service-fails"
        answer = json.dumps(_TOKENS.get(token, {"active": False})).encode()
        self.send_response(200 if known else 500)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
        pass


@contextmanager
def authentication_service() -> Iterator[str]:
    """Its URL."""
    service = ThreadingHTTPServer(("127.0.0.1", 0), _Introspection)
    threading.Thread(target=service.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{service.server_port}/"
    finally:
        service.shutdown()
        service.server_close()


@pytest.mark.skipif(
    not has_module("synapse.api.auth.mas"),
    reason=f"Synapse {SYNAPSE} has no matrix_authentication_service",
)
def test_scope_decides(tmp_path: Path) -> None:
    """A token's scope decides, not whether the account is an administrator's."""
    folder = tmp_path / "server"
    with SynapseServer(folder, None, configuration(folder)) as before:
        for name in ("admin", "user"):
            MatrixClient.register(before.url, name, admin=name == "admin")
    with authentication_service() as url:
        service = {"enabled": True, "endpoint": url, "secret": "a-secret"}
        delegated = {
            **configuration(folder),
            "matrix_authentication_service": service,
            "password_config": {"enabled": False},
        }
        with SynapseServer(folder, None, delegated) as synapse:
            server = WebServer(synapse, {}, folder / "calls")
            expected = {
                "admin-without": 403,
                "admin-similar": 403,
                "only-admin-scope": 401,
                "ended": 401,
                "unknown": 401,
                "a-secret": 401,
                SERVICE_TOKEN: 403,
                "service-fails": 503,
            }
            for token, status in expected.items():
                assert (token, status) == (token, server.ask("POST", "pause", token, b"{}")[0])
            assert [] == server.seen()
            for token in ("admin-with-scope", "user-with-scope"):
                assert 200 == server.ask("POST", "pause", token, b"{}")[0]
            authors = [f"pause * by @{name}:bgthrottle.test" for name in ("admin", "user")]
            assert authors == server.seen()
            assert "An error of our own" not in synapse.log()
