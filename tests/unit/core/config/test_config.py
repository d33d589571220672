"""The configuration: what is accepted; anything else is refused."""

import math
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from synapse_bgthrottle.core.config.keys import KEYS, MATCH_KEYS, SETTING_KEYS
from synapse_bgthrottle.core.config.limits import Adaptive, DutyCycle, FixedSleep, Rule, Settings
from synapse_bgthrottle.core.config.parser import Config, parse
from synapse_bgthrottle.core.config.problems import InvalidConfigError, Problem
from synapse_bgthrottle.core.config.windows import Window
from testbed.strategies.junk import ANYTHING, JUNK_LEVEL
from testbed.strategies.strategies import raw_configs
from tests.unit.core.config.accepted_values import ACCEPTED, TOP_KEYS, problems_of


def test_empty_configuration_sets_nothing() -> None:
    """Every key may be left out."""
    assert Config() == parse({})
    assert Settings() == parse({}).settings


@pytest.mark.parametrize(
    ("expected", "key", "value"),
    [
        (Settings(target_duration_ms=250), "target_duration", "250ms"),
        (Settings(target_duration_ms=250), "target_duration", 250),
        (Settings(target_duration_ms=1), "target_duration", "1"),
        (Settings(target_duration_ms=3_600_000), "target_duration", "1h"),
        (Settings(pace=DutyCycle(0.1)), "duty_cycle", "10%"),
        (Settings(pace=DutyCycle(0.1)), "duty_cycle", 0.1),
        (Settings(pace=DutyCycle(0.001)), "duty_cycle", "0.1%"),
        (Settings(pace=DutyCycle(0.001)), "duty_cycle", 0.001),
        (Settings(pace=DutyCycle(1.0)), "duty_cycle", "100%"),
        (Settings(pace=DutyCycle(1.0)), "duty_cycle", 1),
        (Settings(pace=FixedSleep(0)), "sleep", 0),
        (Settings(pace=FixedSleep(0)), "sleep", "0s"),
        (Settings(pace=FixedSleep(1500)), "sleep", "1500ms"),
        (Settings(pace=FixedSleep(86_400_000)), "sleep", "1d"),
        (Settings(profile="gentle", pace=Adaptive()), "profile", "gentle"),
        (Settings(profile="finish", pace=Adaptive()), "profile", "finish"),
        (Settings(min_duty_ratio=0.001, pace=Adaptive()), "min_duty_cycle", "0.1%"),
        (Settings(min_duty_ratio=1.0, pace=Adaptive()), "min_duty_cycle", 1),
        (Settings(max_duty_ratio=0.5, pace=Adaptive()), "max_duty_cycle", 0.5),
        (Settings(max_duty_ratio=1.0, pace=Adaptive()), "max_duty_cycle", "100%"),
        (Settings(max_items_per_second=200.0), "max_items_per_second", 200),
        (Settings(max_items_per_second=0.001), "max_items_per_second", 0.001),
        (Settings(max_items_per_second=2.0**31 - 1), "max_items_per_second", 2**31 - 1),
        (Settings(max_items_per_second=math.inf), "max_items_per_second", "off"),
        (Settings(max_items_per_second=math.inf), "max_items_per_second", False),
        (Settings(default_batch_items=1), "default_batch_size", 1),
        (Settings(default_batch_items=2**31 - 1), "default_batch_size", 2**31 - 1),
        (Settings(min_batch_items=10), "min_batch_size", 10),
        (Settings(max_batch_items=1000), "max_batch_size", 1000),
        (Settings(max_batch_items=math.inf), "max_batch_size", "off"),
        (Settings(max_batch_items=math.inf), "max_batch_size", False),
        (Settings(time_zone=ZoneInfo("Europe/Berlin")), "time_zone", "Europe/Berlin"),
        (Settings(time_zone=ZoneInfo("UTC")), "time_zone", "UTC"),
        (Settings(max_hold_ms=60_000), "max_hold", "1m"),
        (Settings(max_hold_ms=31_536_000_000), "max_hold", "1y"),
        (Settings(needs_approval=True), "approval", "required"),
        (Settings(needs_approval=False), "approval", "off"),
        (Settings(needs_approval=False), "approval", False),
        (Settings(windows=()), "windows", "always"),
        (
            Settings(windows=(Window((0, 1, 2, 3, 4), 1320, 360),)),
            "windows",
            [{"days": "mon-fri", "start": "22:00", "end": "06:00"}],
        ),
        (
            Settings(windows=(Window((6,), 0, 1440), Window(tuple(range(7)), 60, 120))),
            "windows",
            [{"days": "sun"}, {"start": 60, "end": "2:00"}],
        ),
    ],
)
def test_key_sets_its_setting_on_both_levels(expected: Settings, key: str, value: object) -> None:
    """Each accepted form makes its value, at the top level and in a rule alike."""
    assert Config(expected) == parse({key: value})
    in_rule = parse({"rules": [{"update": "x", key: value}]})
    assert Config(rules=(Rule(0, ("x",), settings=expected),)) == in_rule


@pytest.mark.parametrize(
    ("expected", "value"),
    [
        ("/_synapse/bgthrottle", "/_synapse/bgthrottle"),
        ("/_synapse/bgthrottle", "/_synapse/bgthrottle/"),
        ("/a", "/a"),
        ("/_synapse/admins", "/_synapse/admins"),
        ("/_synapse/bgthrottle/admin", "/_synapse/bgthrottle/admin"),
        ("/updates/health", "/updates/health"),
        (None, "off"),
        (None, False),
    ],
)
def test_api_path(expected: str | None, value: object) -> None:
    """The HTTP API may be anywhere, or nowhere."""
    assert expected == parse({"api_path": value}).api_path


@pytest.mark.parametrize(
    "value",
    [
        *("", "/", "//", "a", "/a//b", "/..", "/a/../b", "/_matrix/x", "/_synapse/admin/x"),
        *("/_matrix", "/_synapse", "/_synapse/", "/_synapse/admin/", "/_synapse/client"),
        *("/_synapse/client/x", "/_synapse/jwks", "/_synapse/mas/x", "/_synapse/metrics"),
        *("/_synapse/replication", "/health", "/health/x", "/.well-known", "/.well-known/matrix/x"),
        *("/a b", "/a?b", "/a#b", "/a%2f", "/\n", "https://example.org/a"),
        *(5, None, True, [], {}),
    ],
)
def test_wrong_api_path(value: object) -> None:
    """What is no path, is Synapse's, or would take away from that what is below, is refused."""
    (problem,) = problems_of({"api_path": value})
    assert problem.startswith("api_path: found ")
    assert "accepted is a path such as /_synapse/bgthrottle" in problem


def test_every_key_is_among_those_whose_words_are_tested() -> None:
    """The tables of this file know every key."""
    assert set(ACCEPTED) == {*SETTING_KEYS, *MATCH_KEYS, "rules"}
    assert TOP_KEYS == ", ".join((*SETTING_KEYS, "api_path", "restart_aborted", "signals", "rules"))
    assert {name: ACCEPTED[name] for name in KEYS} == {n: key.accepted for n, key in KEYS.items()}


@pytest.mark.parametrize(
    ("expected", "raw"),
    [
        (Rule(0), {"sleep": 0}),
        (Rule(0, ("a",)), {"update": "a", "sleep": 0}),
        (Rule(0, ("a", "b_*")), {"update": ["a", "b_*"], "sleep": 0}),
        (Rule(0, database="master"), {"database": "master", "sleep": 0}),
        (Rule(0, one_shot=True), {"one_shot": True, "sleep": 0}),
        (Rule(0, one_shot=False), {"one_shot": False, "sleep": 0}),
        (
            Rule(0, ("x" * 200,), "state", True),
            {"update": "x" * 200, "database": "state", "one_shot": True, "sleep": 0},
        ),
    ],
    ids=str,
)
def test_rule_matches_by_its_match_keys(expected: Rule, raw: dict[str, object]) -> None:
    """What a rule leaves out matches everything."""
    (rule,) = parse({"rules": [raw]}).rules
    assert (expected.patterns, expected.database, expected.one_shot) == (
        rule.patterns,
        rule.database,
        rule.one_shot,
    )
    assert Settings(pace=FixedSleep(0)) == rule.settings


def test_rule_may_set_nothing() -> None:
    """A rule with match keys only keeps its updates from later rules."""
    config = parse({"rules": [{"update": "a"}, {"sleep": 0}]})
    assert [Settings(), Settings(pace=FixedSleep(0))] == [rule.settings for rule in config.rules]
    assert [0, 1] == [rule.number for rule in config.rules]


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(
    ANYTHING
    | st.builds(
        lambda level, rules: {**level, "rules": rules},
        JUNK_LEVEL,
        st.lists(JUNK_LEVEL | ANYTHING, max_size=3),
    )
    | st.builds(
        lambda items: {"windows": items},
        st.lists(
            st.dictionaries(st.sampled_from(("days", "start", "end")), ANYTHING, min_size=1),
            max_size=3,
        ),
    )
)
def test_configuration_is_parsed_or_refused_for_any_value(raw: object) -> None:
    """Whatever is written, the answer is a configuration or its problems, and no other error."""
    problems: tuple[Problem, ...] = ()
    config = None
    try:
        config = parse(raw)
    except InvalidConfigError as error:
        problems = error.problems
    assert (config is None) is bool(problems)
    assert all(problem.message for problem in problems)


@given(raw_configs())
def test_configuration_is_accepted_for_any_valid_one(raw: dict[str, Any]) -> None:
    """Every combination of accepted values is accepted, and no rule is lost."""
    config = parse(raw)
    assert len(config.rules) == len(raw.get("rules", ()))
    for level, read in (
        (raw, config.settings),
        *zip(raw.get("rules", ()), (rule.settings for rule in config.rules), strict=True),
    ):
        for name, key in KEYS.items():
            if name in level:
                assert getattr(read, key.setting) is not None
        assert ("windows" in level) is (read.windows is not None)


@given(raw_configs())
def test_reading_changes_nothing_for_any_configuration(raw: dict[str, Any]) -> None:
    """The same configuration reads the same twice, and what was read stays as it was."""
    before = repr(raw)
    assert parse(raw) == parse(raw)
    assert before == repr(raw)
