"""Requests for levers: defaults, refusals and messages."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synapse_bgthrottle.core.config.limits import DutyCycle, Settings
from synapse_bgthrottle.core.config.problems import InvalidConfigError
from synapse_bgthrottle.core.levers.request import (
    DEFAULT_MS,
    OVERRIDE_KEYS,
    Action,
    LeverRequest,
    accepted_keys,
    is_printable,
    parse_lever_request,
)
from testbed.strategies.requests import JSON, KEYS, SETTINGS
from testbed.strategies.strategies import raw_lever_requests

BAD_TEXTS = ["a\nb", "a\0", "\x1b[2J", "\x85", "\u202eevil", "\u200b", "\ufeff"]
BAD_TEXTS += ["\u2028", "\u2029", "\ud800"]


def problems(action: Action, raw: object) -> dict[str, str]:
    """The messages by path."""
    with pytest.raises(InvalidConfigError) as caught:
        parse_lever_request(action, raw)
    return {".".join(problem.path): problem.message for problem in caught.value.problems}


def test_defaults() -> None:
    """An empty pause is one of everything for a day; what ends levers has no duration."""
    pause = LeverRequest(Action.PAUSE, "*", None, DEFAULT_MS, "", Settings(), {})
    assert pause == parse_lever_request(Action.PAUSE, {})
    assert LeverRequest(Action.RESUME, "*") == parse_lever_request(Action.RESUME, {})
    assert LeverRequest(Action.RESET, "*") == parse_lever_request(Action.RESET, {})


def test_everything_given() -> None:
    """What is given is kept as given, and read."""
    settings = {"duty_cycle": "5%"}
    raw = {
        "update": "event_*",
        "database": "state",
        "settings": settings,
        "for": "7d",
        "reason": "Überlast ☃",
    }
    request = parse_lever_request(Action.OVERRIDE, raw)
    assert "event_*" == request.update
    assert "state" == request.database
    assert 7 * 86_400_000 == request.duration_ms
    assert "Überlast ☃" == request.reason
    assert settings == request.written
    assert DutyCycle(0.05) == request.settings.pace


@pytest.mark.parametrize("action", [Action.RELEASE, Action.OVERRIDE])
def test_update_is_required(action: Action) -> None:
    """Who lets updates go faster says which."""
    assert "missing" in problems(action, {"settings": {"sleep": 0}})["update"]


@pytest.mark.parametrize("update", [*BAD_TEXTS, "", "x" * 201, None, 5, ["a"], True])
def test_bad_update(update: object) -> None:
    """No name is empty, endless, no text, or other than it looks."""
    assert {"update"} == set(problems(Action.PAUSE, {"update": update}))
    assert {"database"} == set(
        problems(Action.PAUSE, {"database": 5 if update is None else update})
    )


@pytest.mark.parametrize("duration", ["999ms", "31d", 0, -1, 1e9, 3600.5, None, True, "", "x", []])
def test_bad_duration(duration: object) -> None:
    """A lever holds from a second to thirty days."""
    assert {"for"} == set(problems(Action.PAUSE, {"for": duration}))


@pytest.mark.parametrize(("duration", "duration_ms"), [("1s", 1000), ("30d", 2_592e6), (5000, 5e3)])
def test_duration(duration: object, duration_ms: float) -> None:
    """The bounds are allowed; a bare number is ms."""
    assert duration_ms == parse_lever_request(Action.PAUSE, {"for": duration}).duration_ms


@pytest.mark.parametrize("reason", ["x" * 501, None, 5, "two\nlines", "\u202ereason"])
def test_bad_reason(reason: object) -> None:
    """A reason is one line that people can read."""
    assert {"reason"} == set(problems(Action.PAUSE, {"reason": reason}))


@pytest.mark.parametrize("raw", [None, [], "pause", 5, True])
def test_not_an_object(raw: object) -> None:
    """Only an object can be a request."""
    assert "accepted is an object" in problems(Action.PAUSE, raw)[""]


def test_all_problems_at_once() -> None:
    """Everything that is wrong is told, with the key that was probably meant."""
    raw = {"updat": "x", "database": "", "settings": {"duty_cycl": 1, "sleep": "x"}, "for": "1y"}
    found = problems(Action.OVERRIDE, raw)
    assert {
        "updat",
        "update",
        "database",
        "for",
        "settings.duty_cycl",
        "settings.sleep",
    } == set(found)
    assert "did you mean update?" in found["updat"]
    assert "did you mean duty_cycle?" in found["settings.duty_cycl"]
    assert "found 'x'; accepted is a duration up to 1d" in found["settings.sleep"]


@pytest.mark.parametrize(
    "settings",
    [None, [], {}, "x", {"rules": []}, {"signals": {}}, {"update": "x"}, {"approval": 1}],
)
def test_bad_settings(settings: object) -> None:
    """An override sets at least one thing, of those that a rule may set, approval aside."""
    assert problems(Action.OVERRIDE, {"update": "*", "settings": settings})


def test_settings_are_required_and_only_an_override_s() -> None:
    """No other request has settings."""
    assert {"settings"} == set(problems(Action.OVERRIDE, {"update": "*"}))
    for action in set(Action) - {Action.OVERRIDE}:
        assert {"settings"} == set(problems(action, {"update": "*", "settings": {"sleep": 0}}))


def test_contradictions_are_refused() -> None:
    """What the configuration refuses together is refused here together."""
    settings = {"duty_cycle": "5%", "sleep": "1s"}
    assert {"settings.sleep"} == set(
        problems(Action.OVERRIDE, {"update": "*", "settings": settings})
    )


def test_unprintable_settings() -> None:
    """Not even around a number, where the configuration reads over it."""
    for settings in ({"duty_cycle": "5%\n"}, {"windows": [{"start": "22:00", "end": "6:00\x1b"}]}):
        assert problems(Action.OVERRIDE, {"update": "*", "settings": settings})


def test_too_much() -> None:
    """A flood of keys or windows is refused as such, in one line."""
    flood = {f"key{number}": 1 for number in range(10_000)}
    assert 1 == len(problems(Action.PAUSE, flood))
    assert 1 == len(problems(Action.OVERRIDE, {"update": "*", "settings": flood}))
    floods: list[object] = [[{}] * 10_000, [flood]]
    for windows in floods:
        settings = {"windows": windows}
        assert 1 == len(problems(Action.OVERRIDE, {"update": "*", "settings": settings}))


def test_accepted_keys() -> None:
    """Approval is lifted by a release, and by nothing aside."""
    assert "approval" not in OVERRIDE_KEYS
    assert ("update", "database", "settings", "for", "reason") == accepted_keys(Action.OVERRIDE)
    assert ("update", "database", "reason") == accepted_keys(Action.RESET)


@given(st.sampled_from(Action), JSON | st.dictionaries(KEYS, JSON | SETTINGS))
def test_any_json(action: Action, raw: Any) -> None:
    """Whatever JSON comes, it is a request or has problems, nothing else."""
    try:
        request = parse_lever_request(action, raw)
    except InvalidConfigError as error:
        assert error.problems  # noqa: PT017 - either is right
    else:
        assert is_printable(request.update + request.reason + (request.database or ""))


@given(raw_lever_requests())
def test_any_valid_request(drawn: tuple[Action, dict[str, Any]]) -> None:
    """What a person could ask for is read, and what was asked is kept as it was written."""
    action, raw = drawn
    request = parse_lever_request(action, raw)
    assert action is request.action
    assert raw.get("settings", {}) == request.written
    assert (request.duration_ms > 0) is (action not in (Action.RESUME, Action.RESET))


def test_settings_of_some_kilobytes_at_most() -> None:
    """Every status states them, so that 4096 bytes of JSON are the most."""
    window = {"start": "00:00", "end": "06:00", "days": ["mon", "tue", "wed", "thu", "fri"]}
    few, many = ({"windows": [window] * count} for count in (40, 60))
    parse_lever_request(Action.OVERRIDE, {"update": "*", "settings": few})
    with pytest.raises(InvalidConfigError, match="bytes of JSON; accepted are 4096"):
        parse_lever_request(Action.OVERRIDE, {"update": "*", "settings": many})
