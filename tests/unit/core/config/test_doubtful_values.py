"""Accepted values that are probably mistakes: empty sections, numbers without a unit."""

import time
from contextlib import suppress
from typing import Any

import pytest
import yaml

from synapse_bgthrottle.core.config.parser import Config, parse
from synapse_bgthrottle.core.config.problems import InvalidConfigError
from tests.unit.core.config.accepted_values import RULE_KEYS, problems_of


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        ({}, "rules:\nsignals:\nwindows:\n"),
        ({"signals": {"pool_wait": "5ms"}}, "signals:\n  pool_wait: 5ms\n  disk_free:\n  sql:\n"),
        (
            {"rules": [{"update": "event_search"}]},
            "rules:\n- update: event_search\n  windows:\n  # - days: sun\n",
        ),
    ],
)
def test_section_with_every_line_commented_out(expected: dict[str, Any], text: str) -> None:
    """A section that is there and empty is as if it were left out."""
    assert parse(expected) == parse(yaml.safe_load(text))


def test_what_is_no_section_must_not_be_empty() -> None:
    """An empty `update:` would match everything; an empty rule says nothing at all."""
    assert [
        "rules.<item 0>.update: found None; accepted is an update's name, a glob such as"
        " 'event_*', or a list of them",
        f"rules.<item 1>: found {{'windows': None}}; accepted is at least one of {RULE_KEYS}",
    ] == problems_of({"rules": [{"update": None, "sleep": 0}, {"windows": None}]})


def _doubts(raw: dict[str, Any]) -> list[str]:
    return [str(doubt) for doubt in parse(raw).doubts]


@pytest.mark.parametrize(
    ("expected", "raw"),
    [
        ("sleep: 1 is 1 ms; write 1s if you mean seconds, otherwise 1ms", {"sleep": 1}),
        ("sleep: 5 is 5 ms; write 5s if you mean seconds, otherwise 5ms", {"sleep": " 5"}),
        (
            "target_duration: 100 is 100 ms; write 100s if you mean seconds, otherwise 100ms",
            {"target_duration": 100},
        ),
        (
            "max_hold: 86400 is 86400 ms; write 86400s if you mean seconds, otherwise 86400ms",
            {"max_hold": 86_400},
        ),
        (
            "signals.replica_lag: 10 is 10 ms; write 10s if you mean seconds, otherwise 10ms",
            {"signals": {"replica_lag": 10}},
        ),
        (
            "signals.retained_wal: 20 is 20 bytes; write 20GiB if you mean that, otherwise 20B",
            {"signals": {"retained_wal": 20}},
        ),
        (
            "signals.disk_free.threshold: 5 is 5 bytes; write 5GiB if you mean that, otherwise 5B",
            {"signals": {"disk_free": {"threshold": 5}}},
        ),
        (
            "duty_cycle: 1 is 100%; write 1% if you mean one percent, otherwise 100%",
            {"duty_cycle": 1},
        ),
        (
            "max_duty_cycle: 1 is 100%; write 1% if you mean one percent, otherwise 100%",
            {"max_duty_cycle": 1},
        ),
        (
            'windows.<item 0>.start: 22 is 00:22; write "22:00" if you mean the hour, else "00:22"',
            {"windows": [{"days": "mon", "start": 22}]},
        ),
    ],
)
def test_bare_number_that_is_hardly_meant(expected: str, raw: dict[str, Any]) -> None:
    """A number without its unit is told of where people may mean another unit, also in a rule."""
    assert [expected] == _doubts(raw)
    if "signals" not in raw:
        assert [f"rules.<item 0>.{expected}"] == _doubts({"rules": [raw]})


@pytest.mark.parametrize(
    "raw",
    [
        {"sleep": 0},
        {"sleep": "1s"},
        {"sleep": "1ms"},
        {"sleep": 86_401},
        {"max_hold": 3_600_000},
        {"duty_cycle": 0.5},
        {"duty_cycle": "100%"},
        {"duty_cycle": "adaptive"},
        {"signals": {"replica_lag": "off", "disk_free": 1_073_741_824, "foreground_backends": 1}},
        {"windows": [{"start": 1320, "end": 300}]},
        {"windows": [{"start": 0, "end": "05:00"}]},
    ],
    ids=str,
)
def test_number_that_is_meant(raw: dict[str, Any]) -> None:
    """What has a unit, needs none, or is too large for another one is told nothing of."""
    assert [] == _doubts(raw)


def test_doubts_are_no_part_of_what_is_configured() -> None:
    """They say how it was written, not what it is."""
    assert parse({"sleep": "1ms"}) == parse({"sleep": 1}) != Config()


@pytest.mark.parametrize(
    "rules",
    [
        [{"update": f"update_{number}", "sleep": 0} for number in range(10_000)],
        [{"update": f"event_*_{number}", "sleep": 0} for number in range(10_000)],
        [{"database": f"db{number}", "max_batch_size": 5} for number in range(10_000)],
        [{"nosuch": number} for number in range(10_000)],
    ],
    ids=["names", "globs", "databases", "unknown keys"],
)
def test_many_rules_take_no_longer_each_than_few(rules: list[dict[str, Any]]) -> None:
    """Ten times the rules take about ten times as long, and not a hundred times."""

    def cpu_s(count: int) -> float:
        start_s = time.process_time()
        with suppress(InvalidConfigError):  # it takes its time to say what is wrong, too
            parse({"rules": rules[:count]})
        return time.process_time() - start_s

    cpu_s(1000)
    few_s = min(cpu_s(1000) for _ in range(3))
    assert min(cpu_s(10_000) for _ in range(2)) < 40 * few_s


def test_deeply_nested_value_is_told_in_short() -> None:
    """Values that aliases multiply on many levels do not multiply the words."""
    nested: list[object] = ["x" * 50]
    for _ in range(30):
        nested = [nested] * 9
    (problem,) = problems_of({"sleep": nested})
    assert len(problem) < 500
