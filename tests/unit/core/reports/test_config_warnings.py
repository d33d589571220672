"""Warnings about a valid configuration on this server."""

from collections.abc import Iterator
from typing import Any

import pytest

from synapse_bgthrottle.core.config.limits import DutyCycle, FixedSleep, Settings
from synapse_bgthrottle.core.config.parser import Config, parse
from synapse_bgthrottle.core.config.problems import Problem
from synapse_bgthrottle.core.reports import config_warnings
from synapse_bgthrottle.core.scheduling.effective_limits import LEAST_BATCH_ITEMS
from synapse_bgthrottle.core.scheduling.throttle import Throttle
from testbed.strategies.strategies import utc_s

_KNOWN = frozenset({"event_search", "event_search_order", "populate_stats_process_rooms"})
_DATABASES = frozenset({"master", "state"})
_UPDATE = "rules.<item 0>.update: this server knows no update called"
_DATABASE = "rules.<item 0>.database: this server has no database"
_NAMES = ", but master, state"
_NEW_YEAR_S = utc_s("2026-01-01 00:00")


def _unmatched(*rules: dict[str, Any]) -> list[str]:
    return list(map(str, _told(parse({"rules": list(rules)}), _KNOWN, _DATABASES)))


def _told(config: Config, known: frozenset[str], databases: frozenset[str]) -> Iterator[Problem]:
    yield from config_warnings.unknown_names(config, known)
    yield from config_warnings.unknown_databases(config, databases)


@pytest.mark.parametrize(
    "rule",
    [
        {"update": "event_search"},
        {"update": "event_*"},
        {"update": "*"},
        {"update": ["event_search", "*_rooms"]},
        {"update": "event_search", "database": "state"},
        {"update": "event_search", "one_shot": True},
        {"database": "master"},
        {"one_shot": False},
        {"sleep": 0},
    ],
    ids=str,
)
def test_rule_that_this_server_can_use_is_not_remarked(rule: dict[str, Any]) -> None:
    """A rule whose names and database exist is fine, whether or not the update is pending."""
    assert [] == _unmatched(rule)


@pytest.mark.parametrize(
    ("expected", "rule"),
    [
        (
            [f"{_UPDATE} event_serach; did you mean event_search?"],
            {"update": "event_serach"},
        ),
        ([f"{_UPDATE} zzz"], {"update": "zzz"}),
        ([f"{_UPDATE} zzz_*"], {"update": "zzz_*"}),
        ([f"{_UPDATE} zzz"], {"update": ["event_search", "zzz"]}),
        ([f"{_DATABASE} stat{_NAMES}; did you mean state?"], {"database": "stat"}),
        (
            [f"{_UPDATE} zzz", f"{_DATABASE} qqq{_NAMES}"],
            {"update": "zzz", "database": "qqq"},
        ),
    ],
)
def test_name_that_this_server_does_not_have_is_remarked(
    expected: list[str], rule: dict[str, Any]
) -> None:
    """Every unknown name and database is told, with a near name where there is one."""
    assert expected == _unmatched(rule)


def test_every_rule_is_looked_at() -> None:
    """Remarks name the rule that they are of."""
    found = _unmatched({"update": "zzz"}, {"update": "event_search"}, {"update": "yyy"})
    assert ["rules.<item 0>.update", "rules.<item 2>.update"] == [
        remark.split(":")[0] for remark in found
    ]


def test_nothing_is_remarked_where_nothing_is_known() -> None:
    """Where the server does not tell its updates or databases, every name may exist."""
    config = parse({"rules": [{"update": "zzz", "database": "mian"}]})
    assert [] == list(_told(config, frozenset(), frozenset()))


# --- batches that are too small ---


def _too_small(raw: dict[str, Any], server: Settings | None = None) -> list[str]:
    config = parse(raw)
    throttle = Throttle(config, server or Settings())
    return list(config_warnings.too_small(config, throttle.limits.of, "master"))


@pytest.mark.parametrize(
    "raw",
    [
        {},
        {"max_batch_size": 100, "default_batch_size": 100},
        {"max_batch_size": "off"},
        {"min_batch_size": 1},
        {"rules": [{"update": "populate_*", "max_batch_size": 1}]},
        {"rules": [{"one_shot": True, "max_batch_size": 1}]},
        {"rules": [{"database": "state", "max_batch_size": 1}]},
        {
            "default_batch_size": 50,
            "rules": [{"update": "*", "default_batch_size": 200}],
        },
    ],
    ids=str,
)
def test_sizes_that_are_kept_are_not_remarked(raw: dict[str, Any]) -> None:
    """Large enough batches, and small ones of other updates, are fine."""
    assert [] == _too_small(raw)


_NOT_KEPT = (
    "is too small for these updates, which could skip rows or never end. Their batches have at"
    " least the number in brackets"
)


@pytest.mark.parametrize("key", ["max_batch_size", "default_batch_size"])
def test_size_that_is_not_kept_is_remarked(key: str) -> None:
    """A size below what is safe is told, by key, value, update and what is safe."""
    assert [f"{key} 50 {_NOT_KEPT}: event_search (100)"] == _too_small(
        {"rules": [{"update": "event_search", key: 50}]}
    )


def test_size_that_is_not_kept_is_one_remark_for_all_updates() -> None:
    """Each of the two keys is told once, with every update that small batches harm."""
    names = ", ".join(f"{name} ({least})" for name, least in LEAST_BATCH_ITEMS.items())
    assert [
        f"max_batch_size 99 {_NOT_KEPT}: {names}",
        f"default_batch_size 10 {_NOT_KEPT}: {names}",
    ] == _too_small({"max_batch_size": 99, "default_batch_size": 10})


def test_size_is_remarked_by_the_level_that_sets_it() -> None:
    """A rule that does not say the size leaves the top level's, and one that does goes first."""
    top = {"max_batch_size": 50}
    without, low, high = (
        _too_small({**top, "rules": [{"update": "event_search", **rule}]})
        for rule in ({"sleep": 0}, {"max_batch_size": 60}, {"max_batch_size": 200})
    )
    assert 1 == len(without)
    assert "event_search (100)" in without[0]
    assert ["max_batch_size 60", "max_batch_size 50"] == [remark.split(" is")[0] for remark in low]
    assert 1 == len(high)
    assert "event_search (100)" not in high[0]


def test_size_of_the_servers_own_section_is_not_remarked() -> None:
    """What the module's configuration does not ask for is not held against it."""
    assert [] == _too_small({}, Settings(default_batch_items=1))


# --- windows that clock changes swallow ---


def _skipped(raw: dict[str, Any]) -> list[str]:
    return list(config_warnings.skipped(parse(raw), _NEW_YEAR_S))


_BERLIN = "Europe/Berlin"
_AT_NIGHT = [{"days": "sun", "start": "02:00", "end": "03:00"}]
_SWALLOWED = (
    "the window sun 02:00 to 03:00 Europe/Berlin does not open on 2026-03-29, when clocks change"
)


@pytest.mark.parametrize(
    "raw",
    [
        {"time_zone": _BERLIN, "windows": _AT_NIGHT},
        {"time_zone": _BERLIN, "rules": [{"windows": _AT_NIGHT}]},
        {"rules": [{"windows": _AT_NIGHT, "time_zone": _BERLIN}]},
        {"windows": _AT_NIGHT, "rules": [{"update": "a", "time_zone": _BERLIN}]},
        {"time_zone": "UTC", "rules": [{"windows": _AT_NIGHT, "time_zone": _BERLIN}]},
    ],
    ids=[
        "top level",
        "rule, in the top level's zone",
        "rule, in its own zone",
        "top level, in a rule's zone",
        "rule, in its own zone and not the top level's",
    ],
)
def test_window_that_a_clock_change_swallows_is_remarked(raw: dict[str, Any]) -> None:
    """A window is told once for each day on which it does not open, in the zone that applies."""
    assert [_SWALLOWED] == _skipped(raw)


@pytest.mark.parametrize(
    "raw",
    [
        {},
        {"windows": _AT_NIGHT},
        {"time_zone": _BERLIN},
        {"time_zone": _BERLIN, "windows": "always"},
        {"time_zone": _BERLIN, "windows": [{"days": "sun", "start": "02:00", "end": "03:30"}]},
        {"time_zone": "Asia/Kolkata", "windows": _AT_NIGHT},
        {"time_zone": _BERLIN, "rules": [{"windows": _AT_NIGHT, "time_zone": "UTC"}]},
    ],
    ids=str,
)
def test_window_that_always_opens_is_not_remarked(raw: dict[str, Any]) -> None:
    """Without clock changes, or with something left of the window, there is nothing to tell."""
    assert [] == _skipped(raw)


# --- what is kept of the server's own section ---


@pytest.mark.parametrize(
    ("expected", "tuned"),
    [
        ([], Settings()),
        (["target duration 50ms"], Settings(target_duration_ms=50)),
        (["sleep 0ms"], Settings(pace=FixedSleep(0))),
        (["duty cycle 5%"], Settings(pace=DutyCycle(0.05))),
        (["default batch size 10"], Settings(default_batch_items=10)),
        (["min batch size 5"], Settings(min_batch_items=5)),
        (
            ["target duration 50ms", "sleep 2s", "default batch size 10", "min batch size 5"],
            Settings(
                target_duration_ms=50,
                pace=FixedSleep(2000),
                default_batch_items=10,
                min_batch_items=5,
            ),
        ),
    ],
)
def test_what_is_taken_over_is_told(expected: list[str], tuned: Settings) -> None:
    """Each value that the server's own section sets is told."""
    assert expected == list(config_warnings.taken_over(tuned))


def test_empty_configuration_has_no_remarks() -> None:
    """Whoever configures nothing is told nothing."""
    config = Config()
    assert [] == list(_told(config, _KNOWN, _DATABASES))
    assert [] == list(config_warnings.skipped(config, _NEW_YEAR_S))
