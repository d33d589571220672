"""A module on the virtual server and its service, across restarts."""

from collections.abc import Coroutine
from typing import Any

from twisted.internet.defer import ensureDeferred
from twisted.python.failure import Failure

from synapse_bgthrottle.codec import to_json
from synapse_bgthrottle.core.levers.lever import Lever
from synapse_bgthrottle.core.levers.request import Action, parse_lever_request
from synapse_bgthrottle.homeserver.internals.server import Homeserver
from synapse_bgthrottle.homeserver.service import ThrottleService
from synapse_bgthrottle.homeserver.storage.store import Store
from synapse_bgthrottle.module import BackgroundUpdateThrottle
from testbed.virtual.server import VirtualServer, Work

ADMIN = "@admin:virtual.test"


def store_of(server: VirtualServer) -> Store:
    """The store alone, without a module."""
    return Store(Homeserver(server.api))


def service_of(server: VirtualServer) -> ThrottleService:
    """What the module loaded last serves."""
    service: ThrottleService = server.resources["/_synapse/bgthrottle"]._endpoints._service
    return service


def answer(server: VirtualServer, question: Coroutine[Any, Any, Any], within_s: float = 0) -> Any:
    """What it answers, or raises, within this time."""
    answers: list[Any] = []
    ensureDeferred(question).addBoth(answers.append)
    server.advance(within_s)
    assert answers, "no answer yet"
    if isinstance(answers[0], Failure):
        answers[0].raiseException()
    return answers[0]


def stated(server: VirtualServer, question: Coroutine[Any, Any, Any], within_s: float = 0) -> Any:
    """The same of what the API answers, as JSON."""
    return to_json(answer(server, question, within_s))


def change_levers(server: VirtualServer, action: str, **request: Any) -> Any:
    """An administrator pulls a lever; `duration` is `for`."""
    if "duration" in request:
        request["for"] = request.pop("duration")
    parsed = parse_lever_request(Action(action), request)
    return stated(server, service_of(server).change_levers(parsed, ADMIN))


def run(server: VirtualServer, config: Any, work: Work, seconds: float) -> None:
    """The work is all that is pending, and goes on for this long under the configuration."""
    server.load(config)
    server.pools["master"].queue("work", work)
    server.start()
    server.advance(seconds)


def levers_of(module: BackgroundUpdateThrottle) -> tuple[Lever, ...]:
    """Those that the module goes by now."""
    levers = module._parts.throttle.levers
    assert levers is not None
    return levers.all


def restarted(old: VirtualServer, new: VirtualServer) -> VirtualServer:
    """The new server has the old one's databases, and goes on at its time."""
    new.clock.reactor.rightNow = old.clock.reactor.rightNow
    for name, pool in old.pools.items():
        new.pools[name].connection = pool.connection
    return new


def rows(server: VirtualServer, sql: str) -> list[Any]:
    """What the main database has."""
    return next(iter(server.pools.values())).connection.execute(sql).fetchall()


def queued(server: VirtualServer, name: str, items: int = 10**9) -> Work:
    """An update at the end of the main database's queue, of which an item costs a ms."""
    work = Work(server, items, cost_ms=1)
    server.pools["master"].queue(name, work)
    return work
