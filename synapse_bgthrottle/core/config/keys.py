"""The keys of a level of the configuration: what each sets and accepts, and how it is read."""

import math
import re
from collections.abc import Callable
from typing import Any
from zoneinfo import ZoneInfo

import attrs

from synapse_bgthrottle.core.config.limits import Adaptive, DutyCycle, FixedSleep
from synapse_bgthrottle.core.config.problems import LONGEST_NAME
from synapse_bgthrottle.core.config.profiles import PROFILES
from synapse_bgthrottle.core.config.windows import parse_days
from synapse_bgthrottle.core.units import (
    MINUTES_PER_DAY,
    format_time_of_day,
    is_number,
    is_whole,
    parse_duration_ms,
    parse_ratio,
    parse_time_of_day_minutes,
)

_PATH = re.compile(r"(/[A-Za-z0-9._~-]*[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+/?")
# Synapse's own paths in any version from 1.60. A module's resource would take everything below.
_SYNAPSES_OWN = (
    "/_matrix/",
    "/_synapse/admin/",
    "/_synapse/client/",
    "/_synapse/jwks/",
    "/_synapse/mas/",
    "/_synapse/metrics/",
    "/_synapse/replication/",
    "/.well-known/",
    "/health/",
)
_LONGEST_MS = 365 * 86_400_000
# A larger number without a unit is not meant as seconds, which would be more than a day.
_MOST_BARE_MS = 86_400
_LEAST_BARE_BYTES = 2**20
_MOST_ITEMS = 2**31 - 1  # a batch size ends up in an SQL LIMIT


@attrs.frozen
class Key:
    """A key of the configuration."""

    setting: str  # its name in `Settings`
    accepted: str  # accepted values, for people
    parse: Callable[[Any], Any]  # reads it; raises ValueError if it is not accepted
    doubt: Callable[[Any], str] = lambda value: ""  # a warning about a probable mistake
    shown: Callable[[Any], Any] = lambda value: value  # what a refusal shows: no secret


def bare_ms(value: Any) -> str:
    """A warning about a duration without a unit that may be meant as seconds; empty: none."""
    number = _bare_number(value)
    if not 0 < number <= _MOST_BARE_MS:
        return ""
    return f"{number} is {number} ms; write {number}s if you mean seconds, otherwise {number}ms"


def bare_bytes(value: Any) -> str:
    """A warning about a size without a unit that is probably not meant as bytes; empty: none."""
    number = _bare_number(value)
    if not 0 < number < _LEAST_BARE_BYTES:
        return ""
    return f"{number} is {number} bytes; write {number}GiB if you mean that, otherwise {number}B"


def _bare_number(value: Any) -> int:
    if isinstance(value, str) and re.fullmatch("[0-9]{1,15}", value.strip(), re.ASCII):
        return int(value)
    return value if is_whole(value) else 0


def _bare_one(value: Any) -> str:
    if not is_number(value) or value != 1:
        return ""
    return f"{value} is 100%; write 1% if you mean one percent, otherwise 100%"


def _bare_hour(value: Any) -> str:
    # YAML reads an unquoted 22:00 as 1320, and 1:00 as 60. Less was written as a number.
    if not is_whole(value) or not 0 < value < 60:
        return ""
    clock, hour = format_time_of_day(value), format_time_of_day(min(value, 24) * 60)
    return f'{value} is {clock}; write "{hour}" if you mean the hour, else "{clock}"'


def within(value: Any, low: float, high: float) -> Any:
    """The value, if it is a number between these two. Raises ValueError if it is not."""
    return _if(is_number(value) and low <= value <= high, value)


def _if(is_accepted: bool, value: Any) -> Any:
    if not is_accepted:
        raise ValueError("not accepted")
    return value


def _count(value: Any) -> Any:
    return _if(is_whole(value) and 1 <= value <= _MOST_ITEMS, value)


def _or_off(parse: Callable[[Any], Any], off: float | None) -> Callable[[Any], Any]:
    return lambda value: off if is_off(value) else parse(value)


def _zone(value: Any) -> ZoneInfo:
    if not isinstance(value, str) or not 0 < len(value) <= LONGEST_NAME:
        raise ValueError("not a name")
    try:
        return ZoneInfo(value)
    # ZoneInfoNotFoundError is a KeyError; a directory gives an OSError
    except (KeyError, OSError) as error:
        raise ValueError("not known") from error


def _duty_ratio(value: Any) -> float:
    return float(within(parse_ratio(value), 0.001, 1))


def _duty_cycle(value: Any) -> Adaptive | DutyCycle:
    return Adaptive() if value == "adaptive" else DutyCycle(_duty_ratio(value))


def _path(value: Any) -> str:
    if not isinstance(value, str) or not _PATH.fullmatch(value):
        raise ValueError("no path")
    path = value.rstrip("/")
    if any(own.startswith(f"{path}/") or f"{path}/".startswith(own) for own in _SYNAPSES_OWN):
        raise ValueError("taken")
    return path


def is_off(value: Any) -> bool:
    """Whether it is `off`, which YAML 1.1 reads as False without quotes."""
    return value is False or value == "off"


_DURATION = "such as 250ms, 30s, 10m, 5d, or a whole number of ms"

# The keys of every level, except `windows`, which has its own parser.
KEYS: dict[str, Key] = {
    "target_duration": Key(
        "target_duration_ms",
        f"a duration from 1ms to 1h, {_DURATION}",
        lambda value: within(parse_duration_ms(value), 1, 3_600_000),
        bare_ms,
    ),
    "duty_cycle": Key(
        "pace", "a share from 0.1% to 100%, such as 10% or 0.1, or adaptive", _duty_cycle, _bare_one
    ),
    "sleep": Key(
        "pace",
        f"a duration up to 1d, {_DURATION}; 0 means no rest",
        lambda value: FixedSleep(within(parse_duration_ms(value), 0, 86_400_000)),
        bare_ms,
    ),
    "profile": Key(
        "profile",
        f"one of {', '.join(PROFILES)}",
        lambda value: _if(isinstance(value, str) and value in PROFILES, value),
    ),
    "min_duty_cycle": Key(
        "min_duty_ratio", "a share from 0.1% to 100%, such as 1% or 0.01", _duty_ratio, _bare_one
    ),
    "max_duty_cycle": Key(
        "max_duty_ratio", "a share from 0.1% to 100%, such as 50% or 0.5", _duty_ratio, _bare_one
    ),
    "max_items_per_second": Key(
        "max_items_per_second",
        "a number from 0.001, such as 200, or off",
        _or_off(lambda value: float(within(value, 0.001, _MOST_ITEMS)), math.inf),
    ),
    "default_batch_size": Key(
        "default_batch_items", "a whole number of items from 1, such as 100", _count
    ),
    "min_batch_size": Key("min_batch_items", "a whole number of items from 1, such as 10", _count),
    "max_batch_size": Key(
        "max_batch_items",
        "a whole number of items from 1, such as 1000, or off",
        _or_off(_count, math.inf),
    ),
    "time_zone": Key(
        "time_zone",
        "the name of a time zone that this system knows (package tzdata), such as Europe/Berlin",
        _zone,
    ),
    "max_hold": Key(
        "max_hold_ms",
        f"a duration from 1m to 1y, {_DURATION}",
        lambda value: within(parse_duration_ms(value), 60_000, _LONGEST_MS),
        bare_ms,
    ),
    "approval": Key(
        "needs_approval",
        "required or off",
        lambda value: _if(is_off(value) or value == "required", value == "required"),
    ),
}

# The keys of a window.
WINDOW_KEYS = {
    "days": Key("days", "days such as mon-fri, sun, or [sat, sun]", parse_days),
    "start": Key(
        "start_minutes",
        'a time from "00:00" to "23:59", in quotes',
        lambda value: within(parse_time_of_day_minutes(value), 0, MINUTES_PER_DAY - 1),
        _bare_hour,
    ),
    "end": Key(
        "end_minutes",
        'a time from "00:00" to "24:00", in quotes',
        parse_time_of_day_minutes,
        _bare_hour,
    ),
}

# The keys of the top level alone, except `signals` and `rules`.
TOP_ONLY_KEYS = {
    "api_path": Key(
        "api_path",
        "a path such as /_synapse/bgthrottle, or off; none of Synapse's own, such as"
        " /_synapse/admin or /health, nor above or below one",
        _or_off(_path, None),
    ),
    "restart_aborted": Key(
        "restart_aborted_s",
        f"a duration from 1m to 1d, {_DURATION}, or off",
        _or_off(lambda value: within(parse_duration_ms(value), 60_000, 86_400_000) / 1000, None),
    ),
}
SETTING_KEYS = (*KEYS, "windows")
# The keys of a rule that say which updates it matches, except `update`, a name or a list.
MATCH_ONLY_KEYS = {
    "database": Key(
        "database",
        "the name of a database, such as master",
        lambda value: _if(isinstance(value, str) and value != "", value),
    ),
    "one_shot": Key("one_shot", "true or false", lambda value: _if(isinstance(value, bool), value)),
}
MATCH_KEYS = ("update", *MATCH_ONLY_KEYS)
TOP_KEYS = (*SETTING_KEYS, *TOP_ONLY_KEYS, "signals", "rules")
