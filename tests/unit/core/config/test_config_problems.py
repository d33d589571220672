"""What the configuration refuses, and the messages."""

import math
from collections.abc import Callable
from datetime import date

import pytest

from synapse_bgthrottle.core.config.keys import MATCH_KEYS
from synapse_bgthrottle.core.config.problems import Problem
from tests.unit.core.config.accepted_values import ACCEPTED, RULE_KEYS, TOP_KEYS, problems_of

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
    if key in ("rules", "windows") and value is None:
        return False  # a section of which every line is commented out
    return key != "one_shot" or not isinstance(value, bool)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        pytest.param(key, value, id=f"{key}: {ascii(value)[:30]}")
        for key in ACCEPTED
        for value in (*_NASTY, *_MORE_BY_KEY[key])
        if _is_wrong(key, value)
    ],
)
def test_wrong_value_is_told_with_path_found_and_accepted(key: str, value: object) -> None:
    """Every key refuses nasty values in its own words, and tells nothing else."""
    raw = {"rules": [{key: value, "sleep": 0}]} if key in MATCH_KEYS else {key: value}
    path = f"rules.<item 0>.{key}" if key in MATCH_KEYS else key
    (problem,) = problems_of(raw)
    assert problem.startswith(f"{path}: found ")
    assert problem.endswith(f"; accepted is {ACCEPTED[key]}")
    assert len(problem) < 500


@pytest.mark.parametrize(("key", "value"), [("sleep", "5 s"), ("windows", "x"), ("max_hold", 1)])
def test_wrong_value_in_a_rule_has_the_rule_in_its_path(key: str, value: object) -> None:
    """A rule is named by its place in the list."""
    expected = f"rules.<item 1>.{key}: found {value!r}; accepted is {ACCEPTED[key]}"
    assert [expected] == problems_of({"rules": [{"update": "a"}, {"update": "b", key: value}]})


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
    expected = f"sleep: found {expected_found}; accepted is {ACCEPTED['sleep']}"
    assert [expected] == problems_of({"sleep": value})


@pytest.mark.parametrize(
    "wrap",
    [lambda n: n, lambda n: [n], lambda n: {"a": n}],
    ids=["bare", "in a list", "in a mapping"],
)
def test_found_value_that_python_refuses_to_print_is_told(wrap: Callable[[int], object]) -> None:
    """An integer of thousands of digits, as YAML reads from hexadecimal, is one more problem."""
    (problem,) = problems_of({"sleep": wrap(16**5000)})
    assert problem.startswith("sleep: found ")
    assert problem.endswith(f"; accepted is {ACCEPTED['sleep']}")
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
        (problem,) = problems_of({"sleep": value})
        assert len(problem) < 1000


@pytest.mark.parametrize("raw", [None, [], "x", 1, True, (), [{}], math.nan], ids=repr)
def test_configuration_is_a_mapping(raw: object) -> None:
    """Anything but a mapping is refused with the keys that it may have."""
    expected = f"found {raw!r}; accepted is a mapping with any of the keys {TOP_KEYS}"
    assert [expected] == problems_of(raw)


@pytest.mark.parametrize("item", [None, [], "x", 1, True], ids=repr)
def test_rule_is_a_mapping(item: object) -> None:
    """A rule that is no mapping is refused with the keys that it may have."""
    expected = f"found {item!r}; accepted is a mapping with any of the keys {RULE_KEYS}"
    assert [f"rules.<item 0>: {expected}"] == problems_of({"rules": [item]})


def test_rule_that_says_nothing_is_refused() -> None:
    """An empty rule is a mistake: it would match everything and change nothing."""
    expected = f"rules.<item 1>: found {{}}; accepted is at least one of {RULE_KEYS}"
    assert [expected] == problems_of({"rules": [{"update": "a"}, {}]})


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
    expected = f"unknown key; {expected_hint}accepted are {TOP_KEYS}"
    path = f"{expected_key}: " if expected_key else ""
    assert [path + expected] == problems_of({key: 1})


def test_unknown_key_that_python_refuses_to_print_is_told() -> None:
    """A hexadecimal integer of thousands of digits as a key is an unknown key like any other."""
    (problem,) = problems_of({16**5000: 1})
    assert "unknown key; " in problem


def test_unknown_keys_are_told_on_every_level() -> None:
    """Rules and windows refuse unknown keys too, each with the keys of its level."""
    assert [
        "windows.<item 0>.day: unknown key; did you mean days? accepted are days, start, end",
        f"rules.<item 0>.updates: unknown key; did you mean update? accepted are {RULE_KEYS}",
        f"rules.<item 0>.rules: unknown key; accepted are {RULE_KEYS}",
    ] == problems_of(
        {
            "windows": [{"day": "mon", "start": "22:00"}],
            "rules": [{"updates": "a", "rules": []}],
        }
    )


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
            f"{at}.end: found '22:00'; accepted is a time that differs from start's, {whole}",
            {"start": "22:00", "end": "22:00"},
        ),
        (f"{at}: found {{}}; accepted is {least}", {}),
        (f"{at}: found 'mon'; accepted is {mapping}", "mon"),
        (f"{at}: found None; accepted is {mapping}", None),
    ):
        assert [expected] == problems_of({"windows": [item]})
    second = "rules.<item 0>.windows.<item 1>: found 5; accepted is " + mapping
    assert [second] == problems_of({"rules": [{"windows": [{"days": "mon"}, 5]}]})


def test_names_of_updates_are_told_by_their_place_in_a_list() -> None:
    """In a list of names each wrong one is told."""
    assert [
        f"rules.<item 0>.update.<item {number}>: found {found}; accepted is {ACCEPTED['update']}"
        for number, found in ((1, "5"), (2, "''"))
    ] == problems_of({"rules": [{"update": ["fine", 5, ""]}]})


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
        "min_batch_size",
        "windows.<item 0>.days",
        "windows.<item 1>",
        "rules.<item 0>.update",
        "rules.<item 0>.database",
        "rules.<item 0>.one_shot",
        "rules.<item 0>.max_hold",
        "rules.<item 1>",
        "rules.<item 2>",
        "rules.<item 3>.sleep",
    ] == [problem.split(": ")[0] for problem in problems_of(raw)]


def test_problem_without_a_path_is_its_message() -> None:
    """What is wrong with the whole has no place to name."""
    assert "wrong" == str(Problem((), "wrong"))
    assert "a.b: wrong" == str(Problem(("a", "b"), "wrong"))
