"""Contradictions within a level, or with the level above."""

from typing import Any

import pytest

from synapse_bgthrottle.core.config.limits import Adaptive, DutyCycle, FixedSleep, Settings
from synapse_bgthrottle.core.config.parser import parse
from tests.unit.core.config.accepted_values import problems_of


@pytest.mark.parametrize(
    ("key", "value"), [("profile", "fast"), ("min_duty_cycle", "5%"), ("max_duty_cycle", 0.5)]
)
@pytest.mark.parametrize(
    ("fixed", "rest"),
    [("duty_cycle", "10%"), ("duty_cycle", 0.1), ("sleep", "5s"), ("sleep", 0)],
)
def test_key_of_the_adaptive_pace_beside_a_fixed_one_is_refused(
    key: str, value: object, fixed: str, rest: object
) -> None:
    """What has no effect is told on either level, with what to do."""
    level = {fixed: rest, key: value}
    expected = (
        f"{key}: found {value!r}, which has no effect beside {fixed} {rest!r};"
        f" accepted is {key} with duty_cycle: adaptive, or {fixed} alone"
    )
    assert [expected] == problems_of(level)
    assert [f"rules.<item 0>.{expected}"] == problems_of({"rules": [level]})


def test_keys_of_the_adaptive_pace_are_accepted_without_a_fixed_one() -> None:
    """Beside `adaptive`, or alone; what the level above has does not matter."""
    keys = {"profile": "fast", "min_duty_cycle": "5%", "max_duty_cycle": "50%"}
    expected = Settings(pace=Adaptive(), profile="fast", min_duty_ratio=0.05, max_duty_ratio=0.5)
    assert expected == parse(keys).settings
    assert Adaptive() == parse({**keys, "duty_cycle": "adaptive"}).settings.pace
    assert expected == parse({"sleep": 0, "rules": [keys]}).rules[0].settings
    assert "fast" == parse({**keys, "rules": [{"duty_cycle": "5%"}]}).settings.profile


def test_wrong_pace_is_not_told_as_one_without_effect_too() -> None:
    """What a pace that cannot be read would do to the others is unknown."""
    (problem,) = problems_of({"duty_cycle": "500%", "profile": "fast"})
    assert problem.startswith("duty_cycle: found '500%'; ")


def test_of_two_paces_the_duty_cycle_decides_what_has_no_effect() -> None:
    """Beside `adaptive` it is the sleep that is too much, and beside 10% the profile is, too."""
    adaptive = {"duty_cycle": "adaptive", "sleep": 0, "profile": "fast"}
    assert ["sleep"] == [problem.split(":")[0] for problem in problems_of(adaptive)]
    fixed = {"duty_cycle": "10%", "sleep": 0, "profile": "fast"}
    assert ["sleep", "profile"] == [problem.split(":")[0] for problem in problems_of(fixed)]


@pytest.mark.parametrize(
    ("expected", "top", "rule"),
    [
        (
            "min_duty_cycle: found 50%; accepted is at most max_duty_cycle, which is 20%",
            {"max_duty_cycle": "20%"},
            {"min_duty_cycle": "50%"},
        ),
        (
            "max_duty_cycle: found 0.5%; accepted is at least min_duty_cycle, which is 5%",
            {"min_duty_cycle": 0.05},
            {"max_duty_cycle": "0.5%"},
        ),
    ],
)
def test_bounds_of_a_rules_duty_cycle_must_fit_the_top_level(
    expected: str, top: dict[str, Any], rule: dict[str, Any]
) -> None:
    """What a rule leaves out comes from the top level and counts against what it says."""
    assert [f"rules.<item 0>.{expected} from the top level"] == problems_of(
        {**top, "rules": [rule]}
    )


def test_bounds_of_a_duty_cycle_must_be_in_order() -> None:
    """Within a level, too; equal bounds are in order, and so is one beside what is built in."""
    expected = "min_duty_cycle: found 50%; accepted is at most max_duty_cycle, which is 20%"
    assert [expected] == problems_of({"min_duty_cycle": "50%", "max_duty_cycle": "20%"})
    parse({"min_duty_cycle": "20%", "max_duty_cycle": "20%"})
    parse({"max_duty_cycle": "0.5%"})


def test_sleep_beside_duty_cycle_is_refused_on_either_level() -> None:
    """The two paces exclude each other within a level, and not between levels."""
    both = {"duty_cycle": "10%", "sleep": "5s"}
    expected = "sleep: found '5s' beside duty_cycle '10%'; accepted is one of the two"
    assert [expected] == problems_of(both)
    assert [f"rules.<item 0>.{expected}"] == problems_of({"rules": [{"update": "a", **both}]})
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
                "min_batch_size: found 3; accepted is at most default_batch_size, which is 2",
                "default_batch_size: found 2; accepted is at most max_batch_size, which is 1",
            ],
            {"min_batch_size": 3, "default_batch_size": 2, "max_batch_size": 1},
        ),
    ],
)
def test_bounds_of_a_batch_must_be_in_order(expected: list[str], level: dict[str, int]) -> None:
    """Within one level min, default and max must not contradict each other."""
    assert expected == problems_of(level)
    assert [f"rules.<item 0>.{problem}" for problem in expected] == problems_of({"rules": [level]})


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
    assert [f"rules.<item 0>.{expected} from the top level"] == problems_of(
        {**top, "rules": [rule]}
    )


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
