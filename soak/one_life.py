"""The life of a server in virtual time, with all that the module does, and one fault in it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from twisted.internet.testing import StringTransport
from twisted.web.resource import Resource
from twisted.web.server import Site

from harness.virtual import VirtualServer, Work
from soak.instrument import SITES, InjectedError
from tests.virtual.web_world import FakeApi, ProcessedRequest, request


class _Errors(logging.Handler):
    """Counts what is logged with a traceback."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.tracebacks = 0
        self.failed_iterations = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.tracebacks += bool(record.exc_info)
        self.failed_iterations += "Error doing update" in str(record.msg)


CONFIGS: list[dict[str, Any]] = [
    {},
    {"duty_cycle": "20%", "max_batch_size": 60, "rules": [{"update": "built", "sleep": "10ms"}]},
    {
        "max_items_per_second": 1000,
        "rules": [{"update": "work", "windows": [{"start": "00:00", "end": "23:00"}]}],
        "signals": {
            "disk_free": {"path": "/", "threshold": "1kB"},
            "pause_file": "/nonexistent",
        },
    },
]


def run(config: dict[str, Any], failing: int | None, times: int) -> list[str]:
    """One life of a server; answers what was wrong with it."""
    server = VirtualServer()
    errors = _Errors()
    logging.getLogger().addHandler(errors)
    SITES.failing, SITES.times, SITES.active = failing, times, False
    works = [Work(server, 300, cost_ms=1), Work(server, 1, cost_ms=5), Work(server, 200, cost_ms=1)]
    try:
        with server.in_charge():
            who = FakeApi()
            server.api.get_user_by_req = who.get_user_by_req
            server.api.is_user_admin = who.is_user_admin
            module: Any = server.load(config)
            SITES.active = True
            names = ("work", "built", "more")
            for name, work in zip(names, works, strict=True):
                server.pools["master"].queue(name, work, one_shot=name == "built")
            ended: list[Any] = []
            server.start().addBoth(ended.append)
            site = _site(server)
            for method, path, body in _requests():
                channel = site.buildProtocol(None)
                transport: Any = StringTransport  # untyped, as all of Twisted
                channel.makeConnection(transport())
                channel.dataReceived(request(method, path, "admin", body if body else b""))
                server.advance(1)
            with suppress(InjectedError):  # on nobody's way
                repr(module)
            for _ in range(40):
                if not ended:
                    server.advance(5)
    finally:
        SITES.active = False
        logging.getLogger().removeHandler(errors)
    left = [name for name, work in zip(names, works, strict=True) if work.left_items]
    wrong = [f"left: {left}"] if left else []
    if errors.failed_iterations:
        wrong.append(f"{errors.failed_iterations} iterations failed")
    if ended and not isinstance(ended[0], type(None)):
        wrong.append(f"ended by {ended[0]!r}")
    if errors.tracebacks > 20:  # one for each kind, and one for each request of an administrator
        wrong.append(f"{errors.tracebacks} tracebacks")
    return wrong


def _site(server: Any) -> Any:
    untyped: Any = Resource
    root, synapse = untyped(), untyped()
    root.putChild(b"_synapse", synapse)
    for resource in server.resources.values():
        synapse.putChild(b"bgthrottle", resource)
    untyped = Site
    return untyped(root, requestFactory=ProcessedRequest)


def _requests() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """What administrators do meanwhile, one a second."""
    for action, body in (
        ("pause", {"update": "*", "for": "3s", "reason": "r"}),
        ("override", {"update": "work", "settings": {"sleep": "5ms"}, "for": "5s"}),
        ("resume", {}),
        ("release", {"update": "built"}),
        ("reset", {}),
    ):
        yield "GET", "status", {}
        yield "POST", action, body
        yield "GET", "history?limit=10", {}
        yield "GET", "explain?update=work", {}
    yield "GET", "uses", {}
