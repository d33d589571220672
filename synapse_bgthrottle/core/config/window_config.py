"""Reads an item of `windows:` into a `Window`: names and ranges of days, times."""

from collections.abc import Iterator, Mapping
from typing import Any

from synapse_bgthrottle.core.config.windows import Window
from synapse_bgthrottle.core.units import (
    MINUTES_PER_DAY,
    format_time_of_day,
    parse_time_of_day_minutes,
)
from synapse_bgthrottle.schema import DAYS

DAYS_ACCEPTED = 'days (such as mon-fri), start and end (such as "22:00")'

_FULL_NAMES = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def parse_window(raw: Mapping[str, Any]) -> tuple[Window | None, list[tuple[str, str]]]:
    """The window; or None and its problems, each a key and what is accepted there.

    The defaults are every day, from midnight to the next midnight.
    """
    problems: list[tuple[str, str]] = []
    days = _days(raw.get("days", "mon-sun"))
    if days is None:
        problems.append(("days", "days such as mon-fri, sun, or [sat, sun]"))
    start = _time(raw.get("start", 0), MINUTES_PER_DAY - 1)
    if start is None:
        problems.append(("start", 'a time from "00:00" to "23:59", in quotes'))
    end = _time(raw.get("end", MINUTES_PER_DAY), MINUTES_PER_DAY)
    if end is None:
        problems.append(("end", 'a time from "00:00" to "24:00", in quotes'))
    if start is not None and end is not None and start == end:
        problems.append(
            (
                "end",
                "a time other than start's, or this window is empty"
                ' (a whole day is "00:00" to "24:00")',
            )
        )
    if not raw:
        problems.append(("", f"at least one of {DAYS_ACCEPTED}"))
    if problems or days is None or start is None or end is None:
        return None, problems
    return Window(days, start, end or MINUTES_PER_DAY), []


def doubts(raw: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The key and a warning for each time that is probably a mistake.

    YAML reads an unquoted 22:00 as 1320, and 1:00 as 60. A smaller number was written as a number.
    """
    for key in ("start", "end"):
        value = raw.get(key)
        if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 60:
            clock, hour = format_time_of_day(value), format_time_of_day(min(value, 24) * 60)
            yield key, f'{value} is {clock}; write "{hour}" if you mean the hour, else "{clock}"'


def _time(value: object, latest: int) -> int | None:
    try:
        minutes = parse_time_of_day_minutes(value)
    except ValueError:
        return None
    return minutes if minutes <= latest else None


def _days(value: object) -> tuple[int, ...] | None:
    items = value.split(",") if isinstance(value, str) else value
    if not isinstance(items, list) or not items:
        return None
    days: set[int] = set()
    for item in items:
        ends = [_day(end) for end in item.split("-", 1)] if isinstance(item, str) else [None]
        first, last = ends[0], ends[-1]
        if first is None or last is None:
            return None
        days.update((first + n) % 7 for n in range((last - first) % 7 + 1))
    return tuple(sorted(days))


def _day(name: str) -> int | None:
    name = name.strip().lower()
    for names in (DAYS, _FULL_NAMES):
        if name in names:
            return names.index(name)
    return None
