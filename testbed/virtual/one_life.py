"""The life of a server in virtual time, with all of the module's functions, and one fault."""

import gc
import logging
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, nullcontext, suppress
from pathlib import Path
from typing import Any
from unittest.mock import patch

import attrs
from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher

from synapse_bgthrottle.core.scheduling.decision import Cause
from synapse_bgthrottle.homeserver.sampling.http_check import HttpCheck
from testbed.virtual.instrument import SITES, InjectedError
from testbed.virtual.postgres_like import make_postgres_like
from testbed.virtual.server import VirtualServer, Work
from testbed.virtual.virtual_life import KINDS, Clients, Kind, Walk
from testbed.virtual.web_world import FakeApi, connected, request, site

# An error is logged once for each place. An error in what everything needs (the time, the state)
# shows in several places, such as an iteration's start, wait and end, or the recorder. In an outage
# there is the wait after a batch, too. Answers to administrators: once for each route.
MOST_TRACEBACKS = 5
# Stock Synapse's time for the three updates here: at most 9 batches with a rest of a second each.
_STOCK_S = 9 * 1.1


# One value of each kind.
_MANY_SETTINGS = {
    "profile": "gentle",
    "duty_cycle": "adaptive",
    "max_duty_cycle": "50%",
    "target_duration": "50ms",
    "default_batch_size": 50,
    "max_batch_size": "off",
    "max_items_per_second": 1000,
    "max_hold": "2h30m",
    "approval": "off",
    "time_zone": "Europe/Berlin",
    "windows": [{"days": "mon-fri", "start": "22:00", "end": "05:00"}, {"days": ["sat", "sun"]}],
}


class _Errors(logging.Handler):
    """Counts log records with a traceback."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.tracebacks: list[str] = []
        self.failed_iterations = 0

    def emit(self, record: logging.LogRecord) -> None:
        if "Error doing update" in str(record.msg):
            self.failed_iterations += 1
        elif record.exc_info:
            self.tracebacks.append(record.getMessage())

    def unhandled(self, event: Any) -> None:
        """Twisted calls this for a Deferred with an unhandled error."""
        if "log_failure" in event:
            self.tracebacks.append(str(event["log_failure"].value))


@attrs.frozen
class Lived:
    """The outcome.

    Attributes:
        held: what came too late, or not at all, a line each.
        told: what was logged too often.
        failed: failures of iterations, of Synapse's loop, or of the life itself.
        done_s: when the last update was done.
        tracebacks: how many were logged.
        is_closed: whether updates are held at the end by an unreadable budget, by the database, or
            by an approval that nobody could give without the queue.
    """

    held: list[str]
    told: list[str]
    failed: list[str]
    done_s: float
    tracebacks: int
    is_closed: bool

    @property
    def wrong(self) -> list[str]:
        """All that is wrong."""
        return [*self.failed, *self.held, *self.told]


@attrs.frozen
class _Seen:
    """A server at its end: the updates left, and how Synapse's loop ended."""

    left: list[str]
    done_s: float
    ended: str
    is_closed: bool


def run(
    kind: Kind, failing: int | None, times: int, faultless_s: float | None, skip: int = 0
) -> Lived:
    """One life of a server. Without a fault it took `faultless_s`; None: this is that run.

    The call `failing` succeeds `skip` times, and then fails `times` times.
    """
    errors = _Errors()
    logging.getLogger().addHandler(errors)
    observer: Any = errors.unhandled  # Twisted's type is an interface
    globalLogPublisher.addObserver(observer)
    SITES.hits.clear()
    SITES.failing, SITES.skip, SITES.times, SITES.active = failing, skip, times, False
    try:
        seen = _live(kind)
        gc.collect()  # unhandled errors are only reported now
    finally:
        SITES.active = False
        logging.getLogger().removeHandler(errors)
        globalLogPublisher.removeObserver(observer)
    held = [f"left: {seen.left}"] if seen.left else []
    if faultless_s is not None and seen.done_s > faultless_s + _STOCK_S + kind.latest_s:
        held.append(f"done after {seen.done_s:.0f} s, {faultless_s:.0f} s without the error")
    failed = [f"ended by {seen.ended}"] if seen.ended else []
    if errors.failed_iterations > kind.most_failed(times):
        failed.append(f"{errors.failed_iterations} iterations failed")
    again = {text for text in errors.tracebacks if errors.tracebacks.count(text) > 1}
    of_updates = [text for text in errors.tracebacks if "internal error answering" not in text]
    told = []
    if again or len(of_updates) > MOST_TRACEBACKS + bool(kind.outages):
        told.append(f"{len(errors.tracebacks)} tracebacks, more than once: {sorted(again)}")
    return Lived(held, told, failed, seen.done_s, len(errors.tracebacks), seen.is_closed)


def _live(kind: Kind) -> _Seen:
    server = VirtualServer()
    names = ("event_resign", "built", "more")
    done_s: dict[str, float] = {}
    ended: list[Any] = []
    works: list[Work] = []
    with ExitStack() as stack:
        stack.enter_context(server.in_charge())
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        server.pools["master"].use_file(Path(folder) / "homeserver.db")
        works = [Walk(server, kind.items), Work(server, 1, cost_ms=5), Work(server, 200, cost_ms=1)]
        line = patch.object(HttpCheck, "_connected", lambda *_: nullcontext(_Line()))
        stack.enter_context(line)
        clients = stack.enter_context(Clients(server).there())
        module: Any = _loaded(server, kind)
        for name, work in zip(names, works, strict=True):
            server.pools["master"].queue(name, work, one_shot=name == "built")
        works[0].fail = kind.failures
        SITES.active = not kind.from_s
        server.start().addBoth(ended.append)
        for at_s, (method, path, who, body) in enumerate(_requests()):
            kind.meanwhile(server, at_s)
            SITES.active = at_s >= kind.from_s
            _ask(server, request(method, path, who, body if body else b""))
            clients.are_there = at_s < kind.clients_s
            _advance(server, clients, 1, names, works, done_s)
        clients.are_there = False
        with suppress(InjectedError):  # nothing depends on it
            repr(module)
        for _ in range(80 if kind.aborts else 40):
            if not ended or (kind.aborts and any(work.left_items for work in works)):
                _advance(server, clients, 5, names, works, done_s)
    SITES.active = False
    left = [name for name, work in zip(names, works, strict=True) if work.left_items]
    why = repr(ended[0]) if ended and ended[0] is not None else ""
    if kind.aborts and "back-to-back" in why:
        why = ""  # this abort is intended
    return _Seen(left, max(done_s.values(), default=0.0), why, _is_closed(module))


def _is_closed(module: Any) -> bool:
    throttle = module._parts.throttle
    decisions = [
        throttle.updates[name, database.update_name].decision
        for name, database in throttle.databases.items()
    ]
    return any(
        decision.cause in (Cause.DATABASE, Cause.APPROVAL)
        or (decision.cause is Cause.BUDGET and "is configured and" in decision.reason)
        for decision in decisions
        if decision is not None
    )


class _Line:
    """A connection to an endpoint that lets updates run."""

    def __init__(self) -> None:
        self._answer = [b"HTTP/1.1 204 No Content\r\n\r\n", b""]

    def settimeout(self, timeout_s: float) -> None:
        """It answers at once."""

    def sendall(self, request: bytes) -> None:
        """Whatever is asked."""

    def recv(self, _: int) -> bytes:
        return self._answer.pop(0)


def _loaded(server: VirtualServer, kind: Kind) -> Any:
    who = FakeApi()
    server.api.get_user_by_req = who.get_user_by_req
    server.api.is_user_admin = who.is_user_admin
    if kind.postgres:
        make_postgres_like(server.pools["master"])
    return server.load(kind.config)


def _advance(
    server: VirtualServer,
    clients: Clients,
    seconds: float,
    names: tuple[str, ...],
    works: list[Work],
    done_s: dict[str, float],
) -> None:
    for _ in range(round(seconds * 2)):
        clients.answered()
        server.advance(0.5)
        for name, work in zip(names, works, strict=True):
            if not work.left_items:
                done_s.setdefault(name, server.clock.monotonic())


def _ask(server: VirtualServer, raw: bytes) -> None:
    for resource in server.resources.values():
        # The real reactor's timers would keep each of thousands of lives in memory.
        connected(site(resource, reactor=Clock()), raw)


def _requests() -> Iterator[tuple[str, str, str, dict[str, Any]]]:
    """Requests of administrators and others, one a second."""
    window = [{"start": "00:00", "end": "23:00"}]
    for action, body in (
        ("pause", {"update": "*", "for": "3s", "reason": "r"}),
        ("override", {"update": "more", "settings": {"sleep": "5ms"}, "for": "5s"}),
        ("override", {"update": "e*", "settings": {"windows": window}, "for": "5s"}),
        ("resume", {}),
        ("release", {"update": "built"}),
        ("reset", {}),
        ("pause", {"update": "", "for": "soon", "settings": {}}),
        ("override", {"update": "nothing_*", "settings": _MANY_SETTINGS, "for": "2s"}),
    ):
        yield "GET", "status", "admin", {}
        yield "POST", action, "admin", body
        yield "GET", "history?limit=10", "admin", {}
        yield "GET", "explain?update=more", "admin", {}
    for path in ("uses", "load", "openapi.json", "history?limit=no", "explain", "nothing"):
        yield "GET", path, "admin", {}
    for who in ("user", "guest", "narrow", "nobody"):
        yield "GET", "status", who, {}
    yield "GET", "/_synapse/bgthrottle/", "admin", {}
    yield "GET", "/_synapse/bgthrottle/page/page.js", "admin", {}


__all__ = ["KINDS", "MOST_TRACEBACKS", "Lived", "run"]
