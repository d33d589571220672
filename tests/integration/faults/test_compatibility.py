"""The module works without Synapse's private attributes, one at a time and all at once."""

import json
import logging
from collections.abc import Callable
from importlib import resources
from typing import Any
from unittest.mock import patch

import jsonschema
import pytest
from synapse.storage.background_updates import BackgroundUpdater
from twisted.internet.defer import ensureDeferred

from synapse_bgthrottle.codec import to_json
from synapse_bgthrottle.core.levers.request import (
    Action,
    StoreUnavailableError,
    parse_lever_request,
)
from synapse_bgthrottle.homeserver.internals import compatibility
from synapse_bgthrottle.homeserver.internals.server import Database, Homeserver
from synapse_bgthrottle.homeserver.service import ThrottleService
from testbed.virtual.server import VirtualServer, Work
from tests.integration.faults.missing_attributes import (
    EVERYTHING,
    HIDDEN,
    UPDATER,
    lacking,
    without,
)

MakeServer = Callable[..., VirtualServer]

# The share of the time that is work with the adaptive pace. Among clients it is a third until
# experiments say otherwise, and here none does, because nobody times the requests. A moment of
# work is 1.5 s, so that 40 s have one more of them or one less. Stock's own share is 0.09.
AMONG_CLIENTS = (0.22, 0.45)

# What the list tells of it, on SQLite, without clients (False) and with them. Where requests in
# flight cannot be seen, somebody may always be there.
UNLIKE = {
    ("request_metrics._in_flight_requests", False): AMONG_CLIENTS,
    ("ModuleApi.delayed_background_call", True): (0.08, 0.1),
}


def answer(server: VirtualServer, question: Any) -> Any:
    """What the service answers, within whatever time."""
    answers: list[Any] = []
    ensureDeferred(question).addBoth(answers.append)
    while not answers:
        server.advance(0.1)
    if isinstance(getattr(answers[0], "value", None), BaseException):
        raise answers[0].value
    return to_json(answers[0])


def check_all(server: VirtualServer, caplog: pytest.LogCaptureFixture) -> Any:
    """Runs an update to its end, and pulls what levers there are; the last status."""
    caplog.set_level(logging.INFO)
    config = {"duty_cycle": "50%", "rules": [{"update": "wo*", "max_batch_size": 50}]}
    work = Work(server, 20_000, cost_ms=1)
    server.pools["master"].queue("work", work)
    server.load(config)
    server.start()
    server.advance(20)
    assert 50 == max(work.sizes)
    assert 10 == pytest.approx(sum(work.took_s), abs=0.5)
    service: ThrottleService = server.resources["/_synapse/bgthrottle"]._endpoints._service
    status = answer(server, service.status())
    schema = json.loads(
        resources.files("synapse_bgthrottle.api").joinpath("openapi.json").read_text()
    )
    schema["$ref"] = "#/components/schemas/Status"
    jsonschema.validate(status, schema, jsonschema.Draft202012Validator)
    (database,) = status["databases"]
    assert ["master", "work"] == [database["name"], database["current"]["name"]]
    pause = parse_lever_request(Action.PAUSE, {"update": "work"})
    try:
        answer(server, service.change_levers(pause, "@admin:test"))
        has_levers = True
    except StoreUnavailableError:
        has_levers = False
    before = len(work.sizes)
    server.advance(60)
    assert has_levers == (before == len(work.sizes))
    if has_levers:
        assert "held" == answer(server, service.status())["databases"][0]["state"]
        resume = parse_lever_request(Action.RESUME, {"update": "work"})
        answer(server, service.change_levers(resume, "@admin:test"))
    server.advance(600)
    assert 0 == work.left_items
    if has_levers:
        history = answer(server, service.history(100, None, None))
        assert [("work", "done")] == [(entry["update"], entry["outcome"]) for entry in history]
    explained = answer(server, service.explain("work", "master", False))
    assert "rule 0" in json.dumps(explained)
    assert [] == server.failures
    assert not [record for record in caplog.records if record.exc_info]
    return answer(server, service.status())


# Before Synapse 1.86 there was no such mark.
HAS_MARK = "_aborted" in BackgroundUpdater.__init__.__code__.co_names
LACKED = () if HAS_MARK else ("BackgroundUpdater._aborted",)


def test_nothing_is_missing(virtual_server: MakeServer, caplog: pytest.LogCaptureFixture) -> None:
    """On the Synapse that the tests run with, all is there, and nothing is told."""
    server = virtual_server()
    with without(server):
        status = check_all(server, caplog)
    assert list(LACKED) == [told["name"] for told in status["missing"]]
    assert len(LACKED) == caplog.text.count("this Synapse has no")


@pytest.mark.parametrize("name", EVERYTHING)
def test_one_is_missing(
    virtual_server: MakeServer, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    """It is told in the log and in the status, with its cost, and nothing else suffers."""
    server = virtual_server()
    with without(server, name):
        status = check_all(server, caplog)
    costs = {told["name"]: told["cost"] for told in status["missing"]}
    lacked = () if UPDATER.startswith(HIDDEN.get(name, " ")) else LACKED
    assert {name, *lacked} == costs.keys()
    assert len(costs) == caplog.text.count("this Synapse has no")
    assert f"this Synapse has no {name}: {costs[name]}\n" in caplog.text


@pytest.mark.parametrize("name", EVERYTHING)
def test_the_pace_without_one(
    virtual_server: MakeServer, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    """Each pace is as configured, with clients and without; none is the server's own."""
    for config, with_clients, wanted in (
        ({}, False, UNLIKE.get((name, False), (0.9, 1.1))),
        ({}, True, UNLIKE.get((name, True), AMONG_CLIENTS)),
        ({"duty_cycle": "50%"}, True, (0.45, 0.55)),
    ):
        server = virtual_server()
        work = Work(server, 10**9, cost_ms=1)
        with without(server, name) as requests:
            server.pools["master"].queue("work", work)
            server.load(config)
            requests.are_there = with_clients
            server.start()
            least_ratio, most_ratio = wanted
            # Of a pace at which batches are rare, a longer time tells.
            counted_s = 40 if least_ratio < 0.4 else 8
            server.advance(counted_s / 2)
            before_s = sum(work.took_s)
            server.advance(counted_s)
        assert least_ratio < (sum(work.took_s) - before_s) / counted_s < most_ratio
    assert not [record for record in caplog.records if record.exc_info]


def test_all_are_missing(virtual_server: MakeServer, caplog: pytest.LogCaptureFixture) -> None:
    """Even then; what is only reached through something that is missing is not told as well."""
    server = virtual_server()
    with without(server, *EVERYTHING):
        status = check_all(server, caplog)
    reached = {name for name, path in HIDDEN.items() if path.startswith("_hs.")}
    reached.add("metric synapse_http_server_response_time_seconds")  # of no use without the count
    assert set(EVERYTHING) - reached == {told["name"] for told in status["missing"]}


def test_all_of_the_updater_is_missing(
    virtual_server: MakeServer, caplog: pytest.LogCaptureFixture
) -> None:
    """Each detail of it is told."""
    server = virtual_server()
    names = [name for name in HIDDEN if name.startswith("BackgroundUpdater.")]
    with without(server, *names):
        status = check_all(server, caplog)
    assert sorted(names) == sorted(told["name"] for told in status["missing"])


def test_the_details_are_those_that_are_hidden_here() -> None:
    """Each detail of the list is hidden by these tests, and nothing else is."""
    assert sorted(HIDDEN) == sorted(compatibility.COSTS)


def test_something_that_raises(
    virtual_server: MakeServer, caplog: pytest.LogCaptureFixture
) -> None:
    """An error in looking is told, and the module starts."""
    server = virtual_server()
    with patch.object(compatibility, "_is_there", side_effect=ZeroDivisionError):
        server.load({})
    assert "looking for what this Synapse lacks" in caplog.text


def test_a_stop_without_a_mark(virtual_server: MakeServer) -> None:
    """Before Synapse 1.86 nothing says that it gave up: it has stopped amidst an update."""
    server = virtual_server()
    server.api = lacking(server.api, frozenset({f"{UPDATER}._aborted"}))
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
