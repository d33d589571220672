"""Explanations: their shape, and all limits as one would write them."""

import json
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synapse_bgthrottle.codec import decode, to_json
from synapse_bgthrottle.core.config.limits import DutyCycle, Limits, Settings, merge
from synapse_bgthrottle.core.config.parser import Config, parse
from synapse_bgthrottle.core.levers.lever import Levers
from synapse_bgthrottle.core.reports.explain import explanation, limit_values, settings_of
from synapse_bgthrottle.core.scheduling.decision import Conditions
from synapse_bgthrottle.core.scheduling.throttle import Throttle
from synapse_bgthrottle.schema import LimitValues, WindowValues
from testbed.strategies.examples import NOON_S, lever, override, release
from testbed.strategies.strategies import UPDATES, configs

_DB = "master"


def _explained(
    throttle: Throttle, name: str = "a", one_shot: bool = False, after_s: float = 0.0
) -> Any:
    at = Conditions(after_s, NOON_S + after_s)
    return to_json(explanation(throttle, _DB, name, one_shot, at))


def _throttle(raw: dict[str, Any]) -> Throttle:
    return Throttle(parse(raw), Settings())


def test_whole_explanation() -> None:
    """Every key, of an update with a rule, that a pause and a window hold."""
    rule = {
        "update": "event_*",
        "sleep": "1s",
        "target_duration": "50ms",
        "max_items_per_second": 2.5,
        "max_batch_size": 500,
        "windows": [{"days": "sun"}],
        "time_zone": "Europe/Berlin",
        "max_hold": "3d",
    }
    throttle = _throttle({"min_batch_size": 3, "rules": [rule]})
    pause = lever(reason="party")
    throttle.levers = Levers((pause, lever(update="other"), lever(ends_s=NOON_S)))
    told = _explained(throttle, "event_search")
    holding = told.pop("held_by")
    assert {
        "update": "event_search",
        "database": _DB,
        "one_shot": False,
        "rule": "rule 0 (event_*)",
        "description": "sleep 1s, target duration 50ms, at most 2.5 items/s,"
        " at most 500 items a batch, windows sun 00:00 to 24:00 Europe/Berlin; rule 0 (event_*)",
        "limits": {
            "target_duration": "50ms",
            "sleep": "1s",
            "profile": "balanced",
            "min_duty_cycle": "1%",
            "max_duty_cycle": "100%",
            "max_items_per_second": "2.5",
            "default_batch_size": "100",
            "min_batch_size": "100",
            "max_batch_size": "500",
            "windows": "sun 00:00 to 24:00",
            "time_zone": "Europe/Berlin",
            "max_hold": "3d",
            "approval": "off",
        },
        "limit_values": {
            "pace": "sleep",
            "duty_cycle_ratio": None,
            "sleep_ms": 1000,
            "profile": "balanced",
            "min_duty_cycle_ratio": 0.01,
            "max_duty_cycle_ratio": 1.0,
            "target_duration_ms": 50,
            "max_items_per_second": 2.5,
            "default_batch_items": 100,
            "min_batch_items": 100,
            "max_batch_items": 500,
            "windows": [{"days": ["sun"], "start_minutes": 0, "end_minutes": 1440}],
            "time_zone": "Europe/Berlin",
            "max_hold_ms": 259_200_000,
            "needs_approval": False,
        },
        "details": [
            "batch size: first 100, at least 100, at most 500",
            "its batches never have fewer than 100 items",
        ],
        "levers": [to_json(pause.stated())],
    } == told
    assert ["paused", "window"] == [hold["cause"] for hold in holding]
    assert all(["cause", "reason"] == list(hold) for hold in holding)
    assert (
        "paused by @admin:example.org until 2026-06-01 13:00:00 UTC: party"
        == (holding[0]["reason"])
    )


def test_nothing_configured() -> None:
    """The adaptive pace is explained with its numbers, and what is unlimited is off."""
    told = _explained(_throttle({}))
    assert (None, [], []) == (told["rule"], told["held_by"], told["levers"])
    assert ("adaptive", "off", "off", "always") == (
        told["limits"]["duty_cycle"],
        told["limits"]["max_items_per_second"],
        told["limits"]["max_batch_size"],
        told["limits"]["windows"],
    )
    assert [
        "profile balanced: clients' requests may become 3% slower, or as much as with stock"
        " Synapse; while clients are here, updates may use 1% to 100% of the time",
        "no client for 500ms: updates may use 100% of the time",
        "batch size: first 1, at least 1, no upper limit",
    ] == told["details"]


@pytest.mark.parametrize(
    ("expected", "raw", "name", "one_shot"),
    [
        (
            ["profile finish: no rest, even if clients become slower"],
            {"profile": "finish"},
            "a",
            True,
        ),
        ([], {"sleep": 0}, "a", True),
        ([], {"sleep": 0}, "user_ips_analyze", False),
        (["windows: open now"], {"sleep": 0, "windows": [{"days": "mon"}]}, "a", True),
        ([], {"sleep": 0, "windows": [{"days": "tue"}]}, "a", True),
    ],
)
def test_details(expected: list[str], raw: dict[str, Any], name: str, one_shot: bool) -> None:
    """What does not show in one line: the pace's numbers, open windows; no sizes of one-shots."""
    told = _explained(_throttle(raw), name, one_shot)
    assert (expected, True) == (told["details"], told["one_shot"])


def test_levers_are_in_it_while_they_are_in_force() -> None:
    """An override shows in the limits, a release in what no longer holds."""
    throttle = _throttle({"sleep": 0, "approval": "required"})
    assert ["approval"] == [hold["cause"] for hold in _explained(throttle)["held_by"]]
    faster = override(Settings(pace=DutyCycle(0.5)), lever_id="b2")
    throttle.levers = Levers((release(), faster))
    told = _explained(throttle)
    assert ("50%", "required", []) == (
        told["limits"]["duty_cycle"],
        told["limits"]["approval"],
        told["held_by"],
    )
    assert ["a1", "b2"] == [lever["id"] for lever in told["levers"]]
    told = _explained(throttle, after_s=3600)
    assert ("0ms", ["approval"], []) == (
        told["limits"]["sleep"],
        [hold["cause"] for hold in told["held_by"]],
        told["levers"],
    )


def test_large_numbers_are_told_in_full() -> None:
    """What is told can be written into a configuration: no exponents."""
    raw = {"max_batch_size": 2_147_483_647, "max_items_per_second": 1_234_567.5}
    told = _explained(_throttle(raw))["limits"]
    assert ("2147483647", "1234567.5") == (told["max_batch_size"], told["max_items_per_second"])


@given(configs(), st.sampled_from(UPDATES), st.booleans())
def test_explanation_is_text_for_any_configuration(
    config: Config, name: str, one_shot: bool
) -> None:
    """Every limit is there as text, one pace of the two, and nothing is remembered."""
    throttle = Throttle(config, Settings())
    told = _explained(throttle, name, one_shot)
    assert 13 == len(told["limits"])
    assert all(isinstance(value, str) and value for value in told["limits"].values())
    assert ("sleep" in told["limits"]) is not ("duty_cycle" in told["limits"])
    assert {} == throttle.updates


@pytest.mark.parametrize(
    ("said", "changes"),
    [
        ("no profile", {"profile": "careful"}),
        ("no time zone", {"time_zone": "Nowhere/At_all"}),
        ("no time zone", {"time_zone": "../etc"}),
        ("no pace", {"pace": "sprint"}),
        ("no pace", {"pace": "sleep", "sleep_ms": None}),
        ("not in tuple", {"windows": (WindowValues(days=("someday",)),)}),
    ],
)
def test_stated_otherwise(said: str, changes: dict[str, Any]) -> None:
    """What another version has and this one does not know is not guessed."""
    with pytest.raises(ValueError, match=said):
        settings_of(attrs.evolve(limit_values(Limits()), **changes))


@given(configs(), st.sampled_from(UPDATES), st.booleans())
def test_values_are_all_that_limits_are(config: Config, name: str, one_shot: bool) -> None:
    """Over JSON and back, any limits are what they were."""
    throttle = Throttle(config, Settings())
    limits = throttle.limits.of(name, "master", one_shot)[1]
    sent = json.loads(json.dumps(to_json(limit_values(limits)), allow_nan=False))
    again = merge([settings_of(decode(LimitValues, sent))])
    assert str(limits.time_zone) == str(again.time_zone)
    assert attrs.evolve(limits, time_zone=again.time_zone) == again
