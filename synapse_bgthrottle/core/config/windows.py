"""Weekly windows in a time zone: their parser, and whether and when they are open. Pure.

A window is compared with local time. Where a clock change repeats an hour, a window within that
hour opens twice. Where it skips an hour, such a window does not open that day; `skipped_days` finds
those days for a warning.
"""

from collections.abc import Iterator, Mapping
from datetime import date, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from typing import Any

import attrs

from synapse_bgthrottle.core.units import (
    MINUTES_PER_DAY,
    format_time_of_day,
    parse_time_of_day_minutes,
)
from synapse_bgthrottle.schema import DAYS

# If a clock change skips a weekly window, it opens one week later.
_HORIZON_DAYS = 15


@attrs.frozen
class Window:
    """A weekly time in which updates may run.

    Attributes:
        days: days on which it starts; 0 is Monday.
        start_minutes: since midnight, 0 to 1439.
        end_minutes: since midnight, 1 to 1440. If it is before the start, the window crosses
            midnight and ends on the next day.
    """

    days: tuple[int, ...]
    start_minutes: int
    end_minutes: int

    def is_open(self, local: datetime) -> bool:
        minute = local.hour * 60 + local.minute
        today = local.weekday() in self.days
        if self.start_minutes < self.end_minutes:
            return today and self.start_minutes <= minute < self.end_minutes
        started_yesterday = (local.weekday() - 1) % 7 in self.days
        return (today and minute >= self.start_minutes) or (
            started_yesterday and minute < self.end_minutes
        )

    def __str__(self) -> str:
        days = ",".join(DAYS[day] for day in self.days) if len(self.days) < 7 else "daily"
        return (
            f"{days} {format_time_of_day(self.start_minutes)}"
            f" to {format_time_of_day(self.end_minutes)}"
        )


def is_open(windows: tuple[Window, ...], zone: tzinfo, wall_s: float) -> bool:
    """Whether updates may run at `wall_s` (seconds since the epoch). No windows: always."""
    if not windows:
        return True
    local = datetime.fromtimestamp(wall_s, zone)
    return any(window.is_open(local) for window in windows)


def next_opening_s(windows: tuple[Window, ...], zone: tzinfo, wall_s: float) -> float | None:
    """When closed windows open, in seconds since the epoch; None: not within two weeks."""
    return _next_change_s(windows, zone, int(wall_s) // 60, True)


def next_closing_s(windows: tuple[Window, ...], zone: tzinfo, wall_s: float) -> float | None:
    """When open windows close, in seconds since the epoch; None: not within two weeks."""
    return _next_change_s(windows, zone, int(wall_s) // 60, False)


@lru_cache(maxsize=128)  # each slice of a wait asks again; the answer changes once a minute
def _next_change_s(
    windows: tuple[Window, ...], zone: tzinfo, minute: int, opens: bool
) -> float | None:
    """The next moment from which the windows are open, or closed.

    They can only change where one starts or ends, or where local time jumps.
    """
    now_s = minute * 60.0
    today = datetime.fromtimestamp(now_s, zone).date()
    moments = set(_clock_changes_s(zone, today, _HORIZON_DAYS))
    for day in (today + timedelta(days=n) for n in range(-1, _HORIZON_DAYS + 1)):
        for window in windows:
            if day.weekday() in window.days:
                # One that crosses midnight, or ends at midnight, ends on the next day.
                ends_later = not window.start_minutes < window.end_minutes < MINUTES_PER_DAY
                end_day = day + timedelta(days=int(ends_later))
                moments.update(_moments_s(day, window.start_minutes, zone))
                moments.update(_moments_s(end_day, window.end_minutes % MINUTES_PER_DAY, zone))
    later = sorted(moment for moment in moments if moment > now_s)
    return next((moment for moment in later if is_open(windows, zone, moment) == opens), None)


def skipped_days(window: Window, zone: tzinfo, wall_s: float) -> Iterator[date]:
    """Days of the coming year on which a clock change skips the whole window."""
    if window.start_minutes >= window.end_minutes:
        return  # it has a part on both days
    today = datetime.fromtimestamp(wall_s, zone).date()
    for change_s in _clock_changes_s(zone, today, 366):
        before, after = (datetime.fromtimestamp(change_s - n, zone).date() for n in (1, 0))
        for day in {before, after}:  # two days, if clocks change at midnight
            if day < today or day.weekday() not in window.days:
                continue
            minutes = range(window.start_minutes, window.end_minutes)
            if not any(_exists(day, minute, zone) for minute in minutes):
                yield day


def _moments_s(day: date, minutes: int, zone: tzinfo) -> Iterator[float]:
    """The moments, one or two, at which local time is this."""
    local = datetime(day.year, day.month, day.day, minutes // 60, minutes % 60, tzinfo=zone)
    yield local.timestamp()
    yield local.replace(fold=1).timestamp()


def _exists(day: date, minutes: int, zone: tzinfo) -> bool:
    local = datetime(day.year, day.month, day.day, minutes // 60, minutes % 60, tzinfo=zone)
    back = local.astimezone(timezone.utc).astimezone(zone)
    return back.replace(tzinfo=None) == local.replace(tzinfo=None)


def _clock_changes_s(zone: tzinfo, first_day: date, days: int) -> Iterator[float]:
    """Moments in these days at which the offset from UTC changes, by bisection."""
    midnight = datetime(first_day.year, first_day.month, first_day.day, tzinfo=timezone.utc)
    for n in range(-1, days + 1):
        low_s = (midnight + timedelta(days=n)).timestamp()
        high_s = low_s + MINUTES_PER_DAY * 60
        before, after = _offset(zone, low_s), _offset(zone, high_s)
        if before == after:
            continue
        while high_s - low_s > 1:
            middle_s = float((low_s + high_s) // 2)
            if _offset(zone, middle_s) == before:
                low_s = middle_s
            else:
                high_s = middle_s
        yield high_s


def _offset(zone: tzinfo, wall_s: float) -> timedelta | None:
    return datetime.fromtimestamp(wall_s, zone).utcoffset()


DAYS_ACCEPTED = 'days (such as mon-fri), start and end (such as "22:00")'

_NOT_EMPTY = (
    'a time that differs from start\'s, or this window is empty (a whole day is "00:00" to "24:00")'
)
_FULL_NAMES = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def parse_window(raw: Mapping[str, Any]) -> tuple[Window | None, list[tuple[str, str]]]:
    """The window; or None and its problems, each a key and what is accepted there.

    The defaults are every day, from midnight to the next midnight.
    """
    days = _days(raw.get("days", "mon-sun"))
    start = _time(raw.get("start", 0), MINUTES_PER_DAY - 1)
    end = _time(raw.get("end", MINUTES_PER_DAY), MINUTES_PER_DAY)
    problems: list[tuple[str, str]] = []
    if days is None:
        problems.append(("days", "days such as mon-fri, sun, or [sat, sun]"))
    if start is None:
        problems.append(("start", 'a time from "00:00" to "23:59", in quotes'))
    if end is None:
        problems.append(("end", 'a time from "00:00" to "24:00", in quotes'))
    if start is not None and start == end:
        problems.append(("end", _NOT_EMPTY))
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
    return next((names.index(name) for names in (DAYS, _FULL_NAMES) if name in names), None)
