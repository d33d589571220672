"""The configuration: what is accepted, what is refused and in which words."""

import math
from collections.abc import Callable
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from synapse_bgthrottle.config import Config, InvalidConfigError, Problem, parse
from synapse_bgthrottle.config_keys import KEYS, MATCH_KEYS, SETTING_KEYS
from synapse_bgthrottle.limits import DutyCycle, FixedSleep, Rule, Settings
from synapse_bgthrottle.windows import Window
from tests.unit.strategies import raw_configs

_DURATION = "such as 250ms, 30s, 10m, 5d, or a whole number of ms"
_ACCEPTED = {
    "target_duration": f"a duration from 1ms to 1h, {_DURATION}",
    "duty_cycle": "a share from 0.1% to 100%, such as 10% or 0.1, or adaptive",
    "sleep": f"a duration up to 1d, {_DURATION}; 0 never waits",
    "profile": "one of gentle, balanced, fast, finish",
    "min_duty_cycle": "a share from 0.1% to 100%, such as 1% or 0.01",
    "max_duty_cycle": "a share from 0.1% to 100%, such as 50% or 0.5",
    "max_items_per_second": "a number from 0.001, such as 200, or off",
    "default_batch_size": "a whole number of items from 1, such as 100",
    "min_batch_size": "a whole number of items from 1, such as 10",
    "max_batch_size": "a whole number of items from 1, such as 1000, or off",
    "time_zone": (
        "the name of a time zone that this system knows (package tzdata), such as Europe/Berlin"
    ),
    "max_hold": f"a duration from 1m to 1y, {_DURATION}",
    "approval": "required or off",
    "windows": (
        "always, or a list of windows, each with any of days (such as mon-fri), start and end"
        ' (such as "22:00")'
    ),
    "rules": "a list of rules",
    "update": "an update's name, a glob such as 'event_*', or a list of them",
    "database": "the name of a database, such as master",
    "one_shot": "true or false",
}
_LEVEL_KEYS = (
    "target_duration, duty_cycle, sleep, profile, min_duty_cycle, max_duty_cycle,"
    " max_items_per_second, default_batch_size, min_batch_size, max_batch_size, time_zone,"
    " max_hold, approval, windows"
)
_TOP_KEYS = f"{_LEVEL_KEYS}, api_path, signals, rules"
_RULE_KEYS = f"update, database, one_shot, {_LEVEL_KEYS}"


def _problems(raw: object) -> list[str]:
    """What is wrong with it, each as it is told."""
    with pytest.raises(InvalidConfigError) as caught:
        parse(raw)
    assert "\n".join(map(str, caught.value.problems)) == str(caught.value)
    return [str(problem) for problem in caught.value.problems]


# --- what is accepted ---


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
        (Settings(profile="gentle"), "profile", "gentle"),
        (Settings(profile="finish"), "profile", "finish"),
        (Settings(min_duty_ratio=0.001), "min_duty_cycle", "0.1%"),
        (Settings(min_duty_ratio=1.0), "min_duty_cycle", 1),
        (Settings(max_duty_ratio=0.5), "max_duty_cycle", 0.5),
        (Settings(max_duty_ratio=1.0), "max_duty_cycle", "100%"),
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
        *("/a b", "/a?b", "/a#b", "/a%2f", "/\n", "https://example.org/a"),
        *(5, None, True, [], {}),
    ],
)
def test_wrong_api_path(value: object) -> None:
    """What is no path, or is Synapse's, is refused."""
    (problem,) = _problems({"api_path": value})
    assert problem.startswith("api_path: found ")
    assert "accepted is a path such as /_synapse/bgthrottle" in problem


def test_every_key_is_among_those_whose_words_are_tested() -> None:
    """The tables of this file know every key."""
    assert set(_ACCEPTED) == {*SETTING_KEYS, *MATCH_KEYS, "rules"}
    assert _TOP_KEYS == ", ".join((*SETTING_KEYS, "api_path", "signals", "rules"))
    assert {name: _ACCEPTED[name] for name in KEYS} == {n: key.accepted for n, key in KEYS.items()}


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


# --- what is refused ---

_NASTY: tuple[object, ...] = (
    None,
    [],
    {},
    True,
    -1,
    math.nan,
    math.inf,
    -math.inf,
    10**40,
    -(10**40),
    1e308,
    "",
    "x" * 1000,
    "\0",
    "\ud800",
    b"1",
    [[[["deep"] * 3] * 3] * 3],
    {"a": {"b": 1}},
    date(2026, 1, 1),
    {1, 2},
)
_MORE_BY_KEY: dict[str, tuple[object, ...]] = {
    "target_duration": (False, 0, "0s", "61m", 3_600_001, 1.5, "1.5h", "off"),
    "duty_cycle": (False, 0, "0%", 0.0009, "0.09%", 1.001, "101%", 2, "10"),
    "sleep": (False, "1d1s", 86_400_001, "2d", 0.5, "off"),
    "profile": (False, 0, "Gentle", "gentl", "off", ["gentle"]),
    "min_duty_cycle": (False, 0, "0%", 0.0009, "101%", "off", "adaptive"),
    "max_duty_cycle": (False, 0, "0%", 0.0009, "101%", "off", "adaptive"),
    "max_items_per_second": (0, 0.0009, 2**31, "200", "OFF", "10%"),
    "default_batch_size": (False, 0, 2**31, 1.0, "100", "off"),
    "min_batch_size": (False, 0, 2**31, 1.0, "100", "off"),
    "max_batch_size": (0, 2**31, 1.0, "100", "no"),
    "time_zone": (
        False,
        "Europe/Atlantis",
        "Europe",
        "europe/berlin",
        "+01:00",
        "../etc/passwd",
        "/etc/localtime",
        ".",
        "tzdata.zi",
        "__init__.py",
    ),
    "max_hold": (False, 0, "59s", 59_999, "2y", "366d", "off"),
    "approval": (True, 0, "", "yes", "Required", None, ["required"]),
    "windows": (False, 0, "never", "ALWAYS", "mon-fri", ["always"], ("always",)),
    "rules": (False, 0, "x", (1,)),
    "update": (False, 0, "x" * 201, ["a", ""], [["a"]], ["a", 1]),
    "database": (False, 0, ["master"]),
    "one_shot": (0, 1, "true", "yes", [True]),
}


def _is_wrong(key: str, value: object) -> bool:
    """Of the nasty values some are right after all, and in a list each item is told by itself."""
    if isinstance(value, list) and key in ("rules", "windows", "update"):
        return value == [] and key != "rules"
    if key == "update":
        return not (isinstance(value, str) and 0 < len(value) <= 200)
    if key == "database":
        return not (isinstance(value, str) and value)
    if key == "approval" and value is False:
        return False  # YAML 1.1 reads an unquoted `off` so
    return key != "one_shot" or not isinstance(value, bool)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        pytest.param(key, value, id=f"{key}: {ascii(value)[:30]}")
        for key in _ACCEPTED
        for value in (*_NASTY, *_MORE_BY_KEY[key])
        if _is_wrong(key, value)
    ],
)
def test_wrong_value_is_told_with_path_found_and_accepted(key: str, value: object) -> None:
    """Every key refuses nasty values in its own words, and tells nothing else."""
    raw = {"rules": [{key: value, "sleep": 0}]} if key in MATCH_KEYS else {key: value}
    path = f"rules.<item 0>.{key}" if key in MATCH_KEYS else key
    (problem,) = _problems(raw)
    assert problem.startswith(f"{path}: found ")
    assert problem.endswith(f"; accepted is {_ACCEPTED[key]}")
    assert len(problem) < 500


@pytest.mark.parametrize(("key", "value"), [("sleep", "5 s"), ("windows", "x"), ("max_hold", 1)])
def test_wrong_value_in_a_rule_has_the_rule_in_its_path(key: str, value: object) -> None:
    """A rule is named by its place in the list."""
    expected = f"rules.<item 1>.{key}: found {value!r}; accepted is {_ACCEPTED[key]}"
    assert [expected] == _problems({"rules": [{"update": "a"}, {"update": "b", key: value}]})


@pytest.mark.parametrize(
    ("expected_found", "value"),
    [
        ("None", None),
        ("'x'", "x"),
        (repr("x" * 50), "x" * 50),
        ("['a', 'b']", ["a", "b"]),
        ("{'a': 1}", {"a": 1}),
        ("datetime.date(2026, 1, 1)", date(2026, 1, 1)),
    ],
)
def test_found_value_is_told_as_python_writes_it(expected_found: str, value: object) -> None:
    """What was found is told as it was read."""
    expected = f"sleep: found {expected_found}; accepted is {_ACCEPTED['sleep']}"
    assert [expected] == _problems({"sleep": value})


@pytest.mark.parametrize(
    "wrap",
    [lambda n: n, lambda n: [n], lambda n: {"a": n}],
    ids=["bare", "in a list", "in a mapping"],
)
def test_found_value_that_python_refuses_to_print_is_told(wrap: Callable[[int], object]) -> None:
    """An integer of thousands of digits, as YAML reads from hexadecimal, is one more problem."""
    (problem,) = _problems({"sleep": wrap(16**5000)})
    assert problem.startswith("sleep: found ")
    assert problem.endswith(f"; accepted is {_ACCEPTED['sleep']}")
    assert len(problem) < 500


def test_found_value_is_cut_where_it_is_huge() -> None:
    """A value that aliases multiplied, or one that contains itself, is told in short."""
    doubled: list[object] = ["x"]
    for _ in range(40):
        doubled = [doubled, doubled]
    endless: list[object] = []
    endless.append(endless)
    mapping = {str(number): number for number in range(10_000)}
    for value in (doubled, endless, mapping, "x" * 10**6, 10**4000):
        (problem,) = _problems({"sleep": value})
        assert len(problem) < 1000


@pytest.mark.parametrize("raw", [None, [], "x", 1, True, (), [{}], math.nan], ids=repr)
def test_configuration_is_a_mapping(raw: object) -> None:
    """Anything but a mapping is refused with the keys that it may have."""
    expected = f"found {raw!r}; accepted is a mapping with any of the keys {_TOP_KEYS}"
    assert [expected] == _problems(raw)


@pytest.mark.parametrize("item", [None, [], "x", 1, True], ids=repr)
def test_rule_is_a_mapping(item: object) -> None:
    """A rule that is no mapping is refused with the keys that it may have."""
    expected = f"found {item!r}; accepted is a mapping with any of the keys {_RULE_KEYS}"
    assert [f"rules.<item 0>: {expected}"] == _problems({"rules": [item]})


def test_rule_that_says_nothing_is_refused() -> None:
    """An empty rule is a mistake: it would match everything and change nothing."""
    expected = f"rules.<item 1>: found {{}}; accepted is at least one of {_RULE_KEYS}"
    assert [expected] == _problems({"rules": [{"update": "a"}, {}]})


@pytest.mark.parametrize(
    ("expected_key", "expected_hint", "key"),
    [
        ("duty_cicle", "did you mean duty_cycle? ", "duty_cicle"),
        ("target_duration_ms", "did you mean target_duration? ", "target_duration_ms"),
        ("timezone", "did you mean time_zone? ", "timezone"),
        ("rule", "did you mean rules? ", "rule"),
        ("enabled", "", "enabled"),
        ("", "", ""),
        ("5", "", 5),
        ("None", "", None),
        ("False", "", False),
        ("nan", "", math.nan),
        ("(1, 2)", "", (1, 2)),
        ("q" * 200, "", "q" * 10_000),
        ("1" + "0" * 199, "", 10**4000),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_unknown_key_is_told_with_a_near_one(
    expected_key: str, expected_hint: str, key: object
) -> None:
    """A key that is not known is refused, and where one is near, that is proposed."""
    expected = f"unknown key; {expected_hint}accepted are {_TOP_KEYS}"
    path = f"{expected_key}: " if expected_key else ""
    assert [path + expected] == _problems({key: 1})


def test_unknown_key_that_python_refuses_to_print_is_told() -> None:
    """A hexadecimal integer of thousands of digits as a key is an unknown key like any other."""
    (problem,) = _problems({16**5000: 1})
    assert "unknown key; " in problem


def test_unknown_keys_are_told_on_every_level() -> None:
    """Rules and windows refuse unknown keys too, each with the keys of its level."""
    assert [
        "windows.<item 0>.day: unknown key; did you mean days? accepted are days, start, end",
        f"rules.<item 0>.updates: unknown key; did you mean update? accepted are {_RULE_KEYS}",
        f"rules.<item 0>.rules: unknown key; accepted are {_RULE_KEYS}",
    ] == _problems(
        {
            "windows": [{"day": "mon", "start": "22:00"}],
            "rules": [{"updates": "a", "rules": []}],
        }
    )


def test_sleep_beside_duty_cycle_is_refused_on_either_level() -> None:
    """The two paces exclude each other within a level, and not between levels."""
    both = {"duty_cycle": "10%", "sleep": "5s"}
    expected = "sleep: found '5s' beside duty_cycle '10%'; accepted is one of the two"
    assert [expected] == _problems(both)
    assert [f"rules.<item 0>.{expected}"] == _problems({"rules": [{"update": "a", **both}]})
    config = parse({"duty_cycle": "10%", "rules": [{"update": "a", "sleep": "5s"}]})
    assert DutyCycle(0.1) == config.settings.pace
    assert FixedSleep(5000) == config.rules[0].settings.pace


@pytest.mark.parametrize(
    ("expected", "level"),
    [
        (
            ["min_batch_size: found 10; accepted is at most max_batch_size, which is 5"],
            {"min_batch_size": 10, "max_batch_size": 5},
        ),
        (
            ["default_batch_size: found 10; accepted is at most max_batch_size, which is 5"],
            {"default_batch_size": 10, "max_batch_size": 5},
        ),
        (
            ["min_batch_size: found 10; accepted is at most default_batch_size, which is 5"],
            {"min_batch_size": 10, "default_batch_size": 5},
        ),
        (
            [
                "min_batch_size: found 3; accepted is at most max_batch_size, which is 1",
                "default_batch_size: found 2; accepted is at most max_batch_size, which is 1",
                "min_batch_size: found 3; accepted is at most default_batch_size, which is 2",
            ],
            {"min_batch_size": 3, "default_batch_size": 2, "max_batch_size": 1},
        ),
    ],
)
def test_bounds_of_a_batch_must_be_in_order(expected: list[str], level: dict[str, int]) -> None:
    """Within one level min, default and max must not contradict each other."""
    assert expected == _problems(level)
    assert [f"rules.<item 0>.{problem}" for problem in expected] == _problems({"rules": [level]})


@pytest.mark.parametrize(
    ("expected", "top", "rule"),
    [
        (
            "min_batch_size: found 10; accepted is at most max_batch_size, which is 5",
            {"max_batch_size": 5},
            {"min_batch_size": 10},
        ),
        (
            "max_batch_size: found 5; accepted is at least min_batch_size, which is 10",
            {"min_batch_size": 10},
            {"max_batch_size": 5},
        ),
        (
            "default_batch_size: found 10; accepted is at most max_batch_size, which is 5",
            {"max_batch_size": 5},
            {"default_batch_size": 10},
        ),
        (
            "max_batch_size: found 5; accepted is at least default_batch_size, which is 10",
            {"default_batch_size": 10},
            {"max_batch_size": 5},
        ),
        (
            "min_batch_size: found 10; accepted is at most default_batch_size, which is 5",
            {"default_batch_size": 5},
            {"min_batch_size": 10},
        ),
        (
            "default_batch_size: found 5; accepted is at least min_batch_size, which is 10",
            {"min_batch_size": 10},
            {"default_batch_size": 5},
        ),
    ],
)
def test_bounds_of_a_rule_must_fit_those_of_the_top_level(
    expected: str, top: dict[str, int], rule: dict[str, int]
) -> None:
    """What a rule leaves out comes from the top level and counts against what it says."""
    assert [f"rules.<item 0>.{expected} from the top level"] == _problems({**top, "rules": [rule]})


@pytest.mark.parametrize(
    "raw",
    [
        {"min_batch_size": 5, "default_batch_size": 5, "max_batch_size": 5},
        {"min_batch_size": 10, "max_batch_size": "off"},
        {"max_batch_size": 5, "rules": [{"min_batch_size": 10, "max_batch_size": 20}]},
        {"max_batch_size": 5, "rules": [{"min_batch_size": 10, "max_batch_size": "off"}]},
        {"max_batch_size": 5},  # the built-in default of 100 gives way
        {"min_batch_size": 500},
    ],
    ids=str,
)
def test_bounds_in_order_are_accepted(raw: dict[str, object]) -> None:
    """Equal bounds are in order, a rule's own go first, and what nobody set gives way."""
    parse(raw)


def test_problems_of_windows_are_told_at_their_place() -> None:
    """Each window is named by its place, and a key that is left out is never the place."""
    at = "windows.<item 0>"
    days = "days such as mon-fri, sun, or [sat, sun]"
    mapping = "a mapping with any of the keys days, start, end"
    least = 'at least one of days (such as mon-fri), start and end (such as "22:00")'
    whole = 'or this window is empty (a whole day is "00:00" to "24:00")'
    for expected, item in (
        (f"{at}.days: found 'moon'; accepted is {days}", {"days": "moon"}),
        (
            f'{at}.start: found \'24:00\'; accepted is a time from "00:00" to "23:59", in quotes',
            {"start": "24:00"},
        ),
        (
            f'{at}.end: found 79200; accepted is a time from "00:00" to "24:00", in quotes',
            {"end": 79200},
        ),
        (
            f"{at}.end: found '22:00'; accepted is a time other than start's, {whole}",
            {"start": "22:00", "end": "22:00"},
        ),
        (f"{at}: found {{}}; accepted is {least}", {}),
        (f"{at}: found 'mon'; accepted is {mapping}", "mon"),
        (f"{at}: found None; accepted is {mapping}", None),
    ):
        assert [expected] == _problems({"windows": [item]})
    second = "rules.<item 0>.windows.<item 1>: found 5; accepted is " + mapping
    assert [second] == _problems({"rules": [{"windows": [{"days": "mon"}, 5]}]})


def test_names_of_updates_are_told_by_their_place_in_a_list() -> None:
    """In a list of names each wrong one is told."""
    assert [
        f"rules.<item 0>.update.<item {number}>: found {found}; accepted is {_ACCEPTED['update']}"
        for number, found in ((1, "5"), (2, "''"))
    ] == _problems({"rules": [{"update": ["fine", 5, ""]}]})


def test_all_problems_are_told_at_once() -> None:
    """One reading finds everything, on all levels, in the order in which one reads."""
    raw = {
        "sleap": 1,
        "target_duration": "soon",
        "time_zone": "Mars/Olympus",
        "min_batch_size": 10,
        "max_batch_size": 5,
        "windows": [{"days": "moon"}, 7],
        "rules": [
            {"update": "", "database": 5, "one_shot": "yes", "max_hold": 0},
            "x",
            {},
            {"update": "a", "sleep": 0, "duty_cycle": "10%"},
        ],
    }
    assert [
        "sleap",
        "target_duration",
        "time_zone",
        "windows.<item 0>.days",
        "windows.<item 1>",
        "min_batch_size",
        "rules.<item 0>.update",
        "rules.<item 0>.database",
        "rules.<item 0>.one_shot",
        "rules.<item 0>.max_hold",
        "rules.<item 1>",
        "rules.<item 2>",
        "rules.<item 3>.sleep",
    ] == [problem.split(": ")[0] for problem in _problems(raw)]


def test_problem_without_a_path_is_its_message() -> None:
    """What is wrong with the whole has no place to name."""
    assert "wrong" == str(Problem((), "wrong"))
    assert "a.b: wrong" == str(Problem(("a", "b"), "wrong"))


# --- rules that can never match ---


def _rule(**match: object) -> dict[str, object]:
    return {**match, "sleep": 0}


@pytest.mark.parametrize(
    ("expected", "rules"),
    [
        ("rule 1 (a)", [_rule(update="a"), _rule(update="a")]),
        ("rule 1 (event_search)", [_rule(update="event_*"), _rule(update="event_search")]),
        ("rule 1 (event_search)", [_rule(update="event_?earch"), _rule(update="event_search")]),
        ("rule 1 (event_search)", [_rule(update="event_[rst]*"), _rule(update="event_search")]),
        ("rule 1 (event_s*)", [_rule(update="event_*"), _rule(update="event_s*")]),
        ("rule 1 (event_*)", [_rule(update="event_*"), _rule(update="event_*")]),
        ("rule 1 (event_?)", [_rule(update="event_*"), _rule(update="event_?")]),
        ("rule 1 (event_[ab])", [_rule(update="event_*"), _rule(update="event_[ab]")]),
        ("rule 1 (*_index)", [_rule(update="*"), _rule(update="*_index")]),
        ("rule 1 (a)", [_rule(), _rule(update="a")]),
        ("rule 1 (everything)", [_rule(), _rule()]),
        ("rule 1 (everything)", [_rule(update="*"), _rule()]),
        ("rule 1 (a, b)", [_rule(update=["b", "a"]), _rule(update=["a", "b"])]),
        ("rule 2 (a, b)", [_rule(update="a"), _rule(update="b"), _rule(update=["a", "b"])]),
        (
            "rule 2 (a)",
            [_rule(update="a", one_shot=True), _rule(one_shot=False), _rule(update="a")],
        ),
        (
            "rule 2 (everything)",
            [_rule(one_shot=True), _rule(one_shot=False), _rule()],
        ),
        (
            "rule 1 (a; one-shots)",
            [_rule(update="a", one_shot=True), _rule(update="a", one_shot=True)],
        ),
        ("rule 1 (one-shots)", [_rule(), _rule(one_shot=True)]),
        ("rule 1 (no one-shots)", [_rule(), _rule(one_shot=False)]),
        ("rule 1 (database state)", [_rule(), _rule(database="state")]),
        (
            "rule 1 (a; database state)",
            [_rule(database="state"), _rule(update="a", database="state")],
        ),
        (
            "rule 1 (a; database state; no one-shots)",
            [_rule(update="a*"), _rule(update="a", database="state", one_shot=False)],
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_rule_that_earlier_rules_take_all_of_is_refused(
    expected: str, rules: list[dict[str, object]]
) -> None:
    """A rule behind others that match all that it could is told, with what to do."""
    number = len(rules) - 1
    assert [
        f"rules.<item {number}>: {expected} can never match, because earlier rules take all that"
        " it could; accepted is to move it up, or to leave it out"
    ] == _problems({"rules": rules})


@pytest.mark.parametrize(
    "rules",
    [
        [_rule(update="a"), _rule(update="b")],
        [_rule(update="a"), _rule(update="a*")],
        [_rule(update="a"), _rule(update=["a", "b"])],
        [_rule(update="a"), _rule()],
        [_rule(update="event_s*"), _rule(update="event_*")],
        [_rule(update="*_a"), _rule(update="b_*")],
        [_rule(update="event_?"), _rule(update="event_*")],
        [_rule(update="?*"), _rule(update="*")],
        [_rule(update="[ab]"), _rule(update="?")],
        [_rule(update="event_[ab]"), _rule(update="event_[abc]")],
        [_rule(update="A"), _rule(update="a")],
        [_rule(database="state"), _rule(update="a")],
        [_rule(database="state"), _rule(update="a", database="master")],
        [_rule(update="a", database="master"), _rule(update="a")],
        [_rule(one_shot=True), _rule(update="a")],
        [_rule(one_shot=True), _rule(update="a", one_shot=False)],
        [_rule(update="a", one_shot=True), _rule(update="b", one_shot=False), _rule(update="a")],
        [
            _rule(database="state", one_shot=True),
            _rule(database="master", one_shot=False),
            _rule(update="a"),
        ],
        [_rule(update="*a]"), _rule(update="[]a]")],  # the later one means one character, ] or a
    ],
    ids=str,
)
def test_rule_that_could_match_is_accepted(rules: list[dict[str, object]]) -> None:
    """A rule that might still match something is not told."""
    assert len(parse({"rules": rules}).rules) == len(rules)


def test_rule_with_a_problem_is_not_told_as_shadowed_too() -> None:
    """What a rule with problems could match is unknown: only its problems are told."""
    (problem,) = _problems({"rules": [{"sleep": 0}, {"update": 5}]})
    assert problem.startswith("rules.<item 1>.update: ")


def test_rule_behind_a_wrong_one_is_not_told_as_shadowed() -> None:
    """What a rule with wrong match keys would take is unknown: it takes nothing from others."""
    for wrong in ({"update": 5}, {"update": "a", "database": 5}, {"update": "a", "one_shot": 5}):
        problems = _problems({"rules": [wrong, {"update": "a", "database": "state"}]})
        assert not [problem for problem in problems if "can never match" in problem]


# --- anything at all ---

_LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.just(10**4000)
    | st.floats()
    | st.text(max_size=10)
    | st.binary(max_size=3)
    | st.dates()
    | st.sampled_from(("10%", "5s", "mon-fri", "22:00", "always", "off", "UTC", "event_*", 1320))
)
_KEYS = (
    st.sampled_from((*SETTING_KEYS, *MATCH_KEYS, "rules", "days", "start", "end"))
    | st.text(max_size=5)
    | st.integers()
    | st.none()
    | st.tuples(st.booleans())
)
_ANYTHING = st.recursive(
    _LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_KEYS, inner, max_size=4),
    max_leaves=12,
)
_JUNK_LEVEL = st.dictionaries(
    st.sampled_from((*SETTING_KEYS, *MATCH_KEYS)), _LEAVES | _ANYTHING, max_size=6
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    _ANYTHING
    | st.builds(
        lambda level, rules: {**level, "rules": rules},
        _JUNK_LEVEL,
        st.lists(_JUNK_LEVEL | _ANYTHING, max_size=3),
    )
    | st.builds(
        lambda items: {"windows": items},
        st.lists(
            st.dictionaries(st.sampled_from(("days", "start", "end")), _ANYTHING, min_size=1),
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


@settings(deadline=None)
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


@settings(deadline=None)
@given(raw_configs())
def test_reading_changes_nothing_for_any_configuration(raw: dict[str, Any]) -> None:
    """The same configuration reads the same twice, and what was read stays as it was."""
    before = repr(raw)
    assert parse(raw) == parse(raw)
    assert before == repr(raw)
