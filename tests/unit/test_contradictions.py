"""What a level says against itself: the keys that only the adaptive pace has an ear for."""

from typing import Any

import pytest

from synapse_bgthrottle.config import InvalidConfigError, parse
from synapse_bgthrottle.limits import Adaptive, Settings


def _problems(raw: object) -> list[str]:
    """What is wrong with it, each as it is told."""
    with pytest.raises(InvalidConfigError) as caught:
        parse(raw)
    return [str(problem) for problem in caught.value.problems]


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
    assert [expected] == _problems(level)
    assert [f"rules.<item 0>.{expected}"] == _problems({"rules": [level]})


def test_keys_of_the_adaptive_pace_are_accepted_without_a_fixed_one() -> None:
    """Beside `adaptive`, or alone; what the level above has does not matter."""
    keys = {"profile": "fast", "min_duty_cycle": "5%", "max_duty_cycle": "50%"}
    expected = Settings(profile="fast", min_duty_ratio=0.05, max_duty_ratio=0.5)
    assert expected == parse(keys).settings
    assert Adaptive() == parse({**keys, "duty_cycle": "adaptive"}).settings.pace
    assert expected == parse({"sleep": 0, "rules": [keys]}).rules[0].settings
    assert "fast" == parse({**keys, "rules": [{"duty_cycle": "5%"}]}).settings.profile


def test_wrong_pace_is_not_told_as_one_without_effect_too() -> None:
    """What a pace that cannot be read would do to the others is unknown."""
    (problem,) = _problems({"duty_cycle": "500%", "profile": "fast"})
    assert problem.startswith("duty_cycle: found '500%'; ")


def test_of_two_paces_the_duty_cycle_decides_what_has_no_effect() -> None:
    """Beside `adaptive` it is the sleep that is too much, and beside 10% the profile is, too."""
    adaptive = {"duty_cycle": "adaptive", "sleep": 0, "profile": "fast"}
    assert ["sleep"] == [problem.split(":")[0] for problem in _problems(adaptive)]
    fixed = {"duty_cycle": "10%", "sleep": 0, "profile": "fast"}
    assert ["sleep", "profile"] == [problem.split(":")[0] for problem in _problems(fixed)]


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
    assert [f"rules.<item 0>.{expected} from the top level"] == _problems({**top, "rules": [rule]})


def test_bounds_of_a_duty_cycle_must_be_in_order() -> None:
    """Within a level, too; equal bounds are in order, and so is one beside what is built in."""
    expected = "min_duty_cycle: found 50%; accepted is at most max_duty_cycle, which is 20%"
    assert [expected] == _problems({"min_duty_cycle": "50%", "max_duty_cycle": "20%"})
    parse({"min_duty_cycle": "20%", "max_duty_cycle": "20%"})
    parse({"max_duty_cycle": "0.5%"})
