"""openapi.json and docs/http-api.md agree with the code."""

import json
import re
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from synapse_bgthrottle.api.request_parsing import parse_query
from synapse_bgthrottle.api.responses import Answer, RefusedError, invalid
from synapse_bgthrottle.api.routes import ROUTES, Route
from synapse_bgthrottle.codec import decode, to_json
from synapse_bgthrottle.core.config.limits import FixedSleep
from synapse_bgthrottle.core.config.problems import InvalidConfigError
from synapse_bgthrottle.core.config.profiles import PROFILES
from synapse_bgthrottle.core.levers.request import (
    OVERRIDE_KEYS,
    Action,
    accepted_keys,
    parse_lever_request,
)
from synapse_bgthrottle.core.reports.explain import settings_of
from synapse_bgthrottle.schema import LimitValues
from testbed.openapi import describe
from testbed.virtual.fake_service import OPENAPI

DOCUMENTATION = (Path(__file__).parents[3] / "docs" / "http-api.md").read_text("utf-8")
SCHEMAS = OPENAPI["components"]["schemas"]
JSON = "application/json"


def operations() -> list[tuple[Route, Any]]:
    """Each route, and its description."""
    return [
        (route, OPENAPI["paths"][f"/{route.path}"][route.methods[0].lower()])
        for route in ROUTES.values()
    ]


def resolved(schema: Any) -> Any:
    """The schema itself, where there is a reference to it."""
    return SCHEMAS[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema


def test_up_to_date() -> None:
    """The file is what the records say: `make openapi` writes it."""
    path = resources.files("synapse_bgthrottle.api").joinpath("openapi.json")
    assert describe.text() == path.read_text("utf-8")


def test_paths() -> None:
    """What is routed is described and documented, and nothing else is."""
    described = [
        (path, method.upper()) for path, item in OPENAPI["paths"].items() for method in item
    ]
    assert sorted((f"/{r.path}", r.methods[0]) for r in ROUTES.values()) == sorted(described)
    for path, method in described:
        assert f"`{method} {path}" in DOCUMENTATION


@pytest.mark.parametrize("route", ROUTES.values(), ids=lambda route: route.path)
def test_statuses(route: Route) -> None:
    """Each operation has the statuses that it may answer; the documentation has all of them."""
    responses = OPENAPI["paths"][f"/{route.path}"][route.methods[0].lower()]["responses"]
    own = {"413"} if route.action else set()
    assert {"200", "400", "401", "403", "404", "429", "500", "503"} | own == set(responses)
    for status in responses:
        assert f"| {status} |" in DOCUMENTATION


def test_a_change_that_may_still_be_done() -> None:
    """A database that does not answer may have changed something, which is not hidden."""
    (documented,) = re.findall(r"\| 503 \|.*", DOCUMENTATION)
    described = OPENAPI["components"]["responses"]["Unavailable"]["description"]
    for told in (documented, described):
        assert (
            "nothing has changed, or a change may still be done: then `may_be_done`" in told.lower()
        )


def test_parameters() -> None:
    """The parameters of the paths, their defaults, and whether they are required."""
    for route, operation in operations():
        described = {parameter["name"]: parameter for parameter in operation.get("parameters", ())}
        parameters = route.parameters
        assert set(parameters) == set(described)
        for name, parameter in parameters.items():
            assert parameter.is_required == described[name]["required"]
            assert parameter.default == described[name]["schema"].get("default")


@pytest.mark.parametrize("action", Action)
def test_requests(action: Action) -> None:
    """The keys of a request; and its example is one."""
    operation = OPENAPI["paths"][f"/v1/{action.value}"]["post"]
    content = operation["requestBody"]["content"][JSON]
    schema = resolved(content["schema"])
    assert set(accepted_keys(action)) == set(schema["properties"])
    assert not schema["additionalProperties"]
    parse_lever_request(action, content["example"])
    for key in schema["required"]:
        with pytest.raises(InvalidConfigError):
            parse_lever_request(action, {k: v for k, v in content["example"].items() if k != key})
    assert operation["requestBody"]["required"] == bool(schema["required"])


def test_settings() -> None:
    """An override's settings are those of a rule, approval aside."""
    settings = SCHEMAS["Settings"]["properties"]
    assert set(OVERRIDE_KEYS) == set(settings)
    assert set(PROFILES) == set(settings["profile"]["enum"])


def test_settings_of_the_page() -> None:
    """Its form for an override offers each of them, and each profile."""
    script = resources.files("synapse_bgthrottle.api.page").joinpath("forms.js").read_text()
    found = re.search(r"SETTINGS = \{\n(.*?)^\};", script, re.S | re.M)
    assert found is not None
    offered = dict(re.findall(r"^  (\w+): (.*),$", found[1], re.M))
    assert set(OVERRIDE_KEYS) == set(offered)
    assert list(PROFILES) == json.loads(offered["profile"])


def test_examples() -> None:
    """Each example is as described."""
    jsonschema = pytest.importorskip("jsonschema")
    described = [
        response["content"][JSON] for response in OPENAPI["components"]["responses"].values()
    ]
    for _, operation in operations():
        described.append(operation["responses"]["200"]["content"][JSON])
        if "requestBody" in operation:
            described.append(operation["requestBody"]["content"][JSON])
    for content in described:
        schema = {**content["schema"], "components": OPENAPI["components"]}
        jsonschema.Draft202012Validator(schema).validate(content["example"])


def test_documented_requests() -> None:
    """The bodies in the documentation are valid."""
    bodies = re.findall(r"/v1/(\w+) .*?-d '(\{.*?\})'", DOCUMENTATION, re.S)
    assert {"pause", "resume", "release", "override", "reset"} == {name for name, _ in bodies}
    for name, body in bodies:
        parse_lever_request(Action(name), json.loads(body))


def test_documented_queries() -> None:
    """The queries in the documentation are valid."""
    queries = re.findall(r"/(v1/\w+)\?([\w=&%*.-]+)", DOCUMENTATION)
    assert queries
    for path, query in queries:
        parse_query(ROUTES[path.encode()].parameters, query.encode())


def test_refusal() -> None:
    """A refusal is an answer in Matrix's shape."""
    with pytest.raises(InvalidConfigError) as caught:
        parse_lever_request(Action.PAUSE, {"for": "1y"})
    refused: RefusedError = invalid(caught.value.problems)
    assert isinstance(refused.answer, Answer)
    assert refused.answer.body.startswith(b'{"errcode":"M_INVALID_PARAM","error":"for: found')


def test_documented_values() -> None:
    """The limits in the documentation have all keys, in their order, and are understood."""
    (text,) = re.findall(r"^\{\"limit_values\": (.*?)\}\n```", DOCUMENTATION, re.S | re.M)
    values = json.loads(text)
    decoded = decode(LimitValues, values)
    assert list(values) == list(to_json(decoded))
    assert FixedSleep(1000) == settings_of(decoded).pace
