"""On a Synapse that lacks what we look at, one detail at a time and all at once: all works on."""

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from importlib import resources
from typing import Any
from unittest.mock import patch

import jsonschema
import pytest
import synapse.app.homeserver  # noqa: F401 - with all metrics that a server has
from prometheus_client import REGISTRY
from synapse.http.site import SynapseRequest
from synapse.logging import context
from synapse.storage.database import LoggingTransaction
from twisted.internet.defer import ensureDeferred

from harness.virtual import VirtualServer, Work
from synapse_bgthrottle import guarded, homeserver, private_side
from synapse_bgthrottle.homeserver import Database, Homeserver
from synapse_bgthrottle.lever_requests import (
    Action,
    StoreUnavailableError,
    parse_lever_request,
)
from synapse_bgthrottle.steering import ModuleSteering

MakeServer = Callable[..., VirtualServer]

_METRICS = (
    "synapse_storage_schedule_time",
    "python_twisted_reactor_tick_time",
    "synapse_http_server_response_time_seconds",
    "synapse_http_server_response_count",
)
_UPDATER = "_hs.get_datastores.databases.updates"

# Each with what hides it: an attribute below the API, or a place to patch.
HIDDEN = {
    "ModuleApi._hs": "_hs",
    "HomeServer.get_datastores().databases": "_hs.get_datastores",
    "DatabasePool.engine": "_hs.get_datastores.databases.engine",
    "DatabasePool.runInteraction": "_hs.get_datastores.databases.runInteraction",
    "DatabasePool._db_pool": "_hs.get_datastores.databases._db_pool",
    "DatabasePool.updates": _UPDATER,
    "BackgroundUpdater.enabled": f"{_UPDATER}.enabled",
    "BackgroundUpdater.get_current_update": f"{_UPDATER}.get_current_update",
    "BackgroundUpdater._background_update_handlers": f"{_UPDATER}._background_update_handlers",
    "BackgroundUpdater._on_update_callback": f"{_UPDATER}._on_update_callback",
    "BackgroundUpdater._running": f"{_UPDATER}._running",
    "BackgroundUpdater._current_background_update": f"{_UPDATER}._current_background_update",
    "HomeServer.config.background_updates": "_hs.config.background_updates",
    "HomeServer.config.redis.redis_enabled": "_hs.config.redis",
    "ModuleApi.delayed_background_call": "delayed_background_call",
    "synapse.http.request_metrics._in_flight_requests": homeserver,
    "LoggingTransaction.database_engine": LoggingTransaction,
    "synapse.logging.context.PreserveLoggingContext": guarded,
    "synapse.logging.context.current_context": context,
    "SynapseRequest.processing": SynapseRequest,
    **{f"metric {name}": REGISTRY for name in _METRICS},
}


class Lacking:
    """Something without some of its attributes, as far as what is reached through it goes.

    Args:
        thing: what it stands for.
        hidden: paths from here, with dots; calls, and each of several, are passed through.
    """

    def __init__(self, thing: Any, hidden: frozenset[str]) -> None:
        self._thing = thing
        self._hidden = hidden

    def __getattr__(self, name: str) -> Any:
        if name in self._hidden:
            raise AttributeError(name)
        start = f"{name}."
        below = frozenset(path[len(start) :] for path in self._hidden if path.startswith(start))
        return _lacking(getattr(self._thing, name), below)


def _lacking(thing: Any, hidden: frozenset[str]) -> Any:
    if not hidden:
        return thing
    if isinstance(thing, list):
        return [_lacking(each, hidden) for each in thing]
    if callable(thing):
        return lambda *arguments: _lacking(thing(*arguments), hidden)
    return Lacking(thing, hidden)


@contextmanager
def without(server: VirtualServer, *names: str) -> Iterator[None]:
    """The server lacks these."""
    hidden = {name: HIDDEN[name] for name in names}
    paths = frozenset(path for path in hidden.values() if isinstance(path, str))
    server.api = _lacking(server.api, paths)
    gone = {name.removeprefix("metric ") for name in names if name.startswith("metric ")}
    with ExitStack() as stack:
        collectors = REGISTRY._names_to_collectors
        left = {
            name: collector
            for name, collector in collectors.items()
            if name.removesuffix("_total").removesuffix("_sum") not in gone
        }
        stack.enter_context(patch.object(REGISTRY, "_names_to_collectors", left))
        if homeserver in hidden.values():
            stack.enter_context(patch.object(homeserver, "_requests", None))
        if LoggingTransaction in hidden.values():
            stack.enter_context(patch.object(LoggingTransaction, "database_engine", None))
            stack.enter_context(patch("harness.virtual_pool._Transaction.database_engine", None))
        if guarded in hidden.values():
            for module in ("guarded", "homeserver", "web.crowd", "web.shared"):
                place = f"synapse_bgthrottle.{module}.PreserveLoggingContext"
                stack.enter_context(patch(place, nullcontext))
        if context in hidden.values():
            stack.enter_context(patch.object(guarded, "current_context", None))
        if SynapseRequest in hidden.values():
            stack.enter_context(patch.object(SynapseRequest, "processing", None))
        yield


def answer(server: VirtualServer, question: Any) -> Any:
    """What the steering answers, within whatever time."""
    answers: list[Any] = []
    ensureDeferred(question).addBoth(answers.append)
    while not answers:
        server.advance(0.1)
    if isinstance(getattr(answers[0], "value", None), BaseException):
        raise answers[0].value
    return answers[0]


def check_all(server: VirtualServer, caplog: pytest.LogCaptureFixture) -> Any:
    """Runs an update to its end, and pulls what levers there are; the last status."""
    caplog.set_level(logging.INFO)
    config = {"duty_cycle": "50%", "rules": [{"update": "wo*", "max_batch_size": 50}]}
    work = Work(server, 20_000, cost_ms=1)
    server.load(config)
    server.pools["master"].queue("work", work)
    server.start()
    server.advance(20)
    assert 50 == max(work.sizes)
    assert 10 == pytest.approx(sum(work.took_s), abs=0.5)
    steering: ModuleSteering = server.resources["/_synapse/bgthrottle"]._endpoints._steering
    status = answer(server, steering.status())
    schema = json.loads(
        resources.files("synapse_bgthrottle.web").joinpath("openapi.json").read_text()
    )
    schema["$ref"] = "#/components/schemas/Status"
    jsonschema.validate(status, schema, jsonschema.Draft202012Validator)
    (database,) = status["databases"]
    assert ["master", "work"] == [database["name"], database["current"]["name"]]
    pause = parse_lever_request(Action.PAUSE, {"update": "work"})
    try:
        answer(server, steering.pull(pause, "@admin:test"))
        has_levers = True
    except StoreUnavailableError:
        has_levers = False
    before = len(work.sizes)
    server.advance(60)
    assert has_levers == (before == len(work.sizes))
    if has_levers:
        assert "held" == answer(server, steering.status())["databases"][0]["state"]
        resume = parse_lever_request(Action.RESUME, {"update": "work"})
        answer(server, steering.pull(resume, "@admin:test"))
    server.advance(600)
    assert 0 == work.left_items
    if has_levers:
        history = answer(server, steering.history(100, None, None))
        assert [("work", "done")] == [(entry["update"], entry["outcome"]) for entry in history]
    explained = answer(server, steering.explain("work", "master", False))
    assert "rule 0" in json.dumps(explained)
    assert [] == server.failures
    assert not [record for record in caplog.records if record.exc_info]
    return answer(server, steering.status())


def test_nothing_is_missing(virtual_server: MakeServer, caplog: pytest.LogCaptureFixture) -> None:
    """On the Synapse that the tests run with, all is there, and nothing is told."""
    assert [] == check_all(virtual_server(), caplog)["missing"]
    assert "this Synapse has no" not in caplog.text


@pytest.mark.parametrize("name", sorted(HIDDEN))
def test_one_is_missing(
    virtual_server: MakeServer, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    """It is told in the log and in the status, with its cost, and nothing else suffers."""
    server = virtual_server()
    with without(server, name):
        status = check_all(server, caplog)
    (told,) = status["missing"]
    assert name == told["name"]
    assert 1 == caplog.text.count("this Synapse has no")
    assert f"this Synapse has no {name}: {told['cost']}\n" in caplog.text


def test_all_are_missing(virtual_server: MakeServer, caplog: pytest.LogCaptureFixture) -> None:
    """Even then; what is only reached through something that is missing is not told as well."""
    server = virtual_server()
    with without(server, *HIDDEN):
        status = check_all(server, caplog)
    reached = {name for name, path in HIDDEN.items() if str(path).startswith("_hs.")}
    reached.add("metric synapse_http_server_response_time_seconds")  # of no use without the count
    assert set(HIDDEN) - reached == {told["name"] for told in status["missing"]}


def test_all_of_the_updater_is_missing(
    virtual_server: MakeServer, caplog: pytest.LogCaptureFixture
) -> None:
    """Each detail of it is told."""
    server = virtual_server()
    names = [name for name in HIDDEN if name.startswith("BackgroundUpdater.")]
    with without(server, *names):
        status = check_all(server, caplog)
    assert sorted(names) == sorted(told["name"] for told in status["missing"])


def test_the_list_is_complete() -> None:
    """Each detail in the list has a test here."""
    assert {detail.name for detail in private_side._DETAILS} <= set(HIDDEN)


def test_something_that_raises(
    virtual_server: MakeServer, caplog: pytest.LogCaptureFixture
) -> None:
    """An error in looking is told, and the module starts."""
    server = virtual_server()
    with patch.object(private_side, "_leads", side_effect=ZeroDivisionError):
        server.load({})
    assert "looking for what this Synapse lacks" in caplog.text


def test_a_stop_without_a_mark(virtual_server: MakeServer) -> None:
    """Before Synapse 1.86 nothing says that it gave up: it has stopped amidst an update."""
    server = virtual_server()
    server.api = _lacking(server.api, frozenset({f"{_UPDATER}._aborted"}))
    updates = server.pools["master"].updates

    def seen() -> bool:
        database: Database = Homeserver(server.api).database("master")
        return database.has_aborted

    assert not seen()
    updates._current_background_update = "work"
    assert seen()
    updates._running = True
    assert not seen()
    updates._running = False
    updates.enabled = False
    assert not seen()
