"""The words of the configuration, written a second time: accepted values and keys."""

import pytest

from synapse_bgthrottle.core.config.parser import parse
from synapse_bgthrottle.core.config.problems import InvalidConfigError

DURATION = "such as 250ms, 30s, 10m, 5d, or a whole number of ms"
ACCEPTED = {
    "target_duration": f"a duration from 1ms to 1h, {DURATION}",
    "duty_cycle": "a share from 0.1% to 100%, such as 10% or 0.1, or adaptive",
    "sleep": f"a duration up to 1d, {DURATION}; 0 means no rest",
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
    "max_hold": f"a duration from 1m to 1y, {DURATION}",
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
LEVEL_KEYS = (
    "target_duration, duty_cycle, sleep, profile, min_duty_cycle, max_duty_cycle,"
    " max_items_per_second, default_batch_size, min_batch_size, max_batch_size, time_zone,"
    " max_hold, approval, windows"
)
TOP_KEYS = f"{LEVEL_KEYS}, api_path, restart_aborted, signals, rules"
RULE_KEYS = f"update, database, one_shot, {LEVEL_KEYS}"


def problems_of(raw: object) -> list[str]:
    """What is wrong with it, each as it is told."""
    with pytest.raises(InvalidConfigError) as caught:
        parse(raw)
    assert "\n".join(map(str, caught.value.problems)) == str(caught.value)
    return [str(problem) for problem in caught.value.problems]
