"""Weekly windows in a time zone: their parser, and whether and when they are open. Pure.

A window is compared with local time. Where a clock change repeats an hour, a window within that
hour opens twice. Where it skips an hour, such a window does not open that day; `skipped_days` finds
those days for a warning.
"""

from collections.abc import Iterator
from datetime import date, datetime, timedelta, timezone, tzinfo
from functools import lru_cache

import attrs

from synapse_bgthrottle.core.units import MINUTES_PER_DAY, format_time_of_day
from synapse_bgthrottle.schema import DAYS

# If a clock change skips a weekly window, it opens one week later.
_HORIZON_DAYS = 15


@attrs.frozen
class Window:
    """A weekly time in which updates may run."""

    days: tuple[int, ...]  # days on which it starts; 0 is Monday
    start_minutes: int  # since midnight, 0 to 1439
    # Since midnight, 1 to 1440. If it is before the start, the window crosses midnight and ends on
    # the next day.
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
    local = datetime.fromtimestamp(int(wall_s), zone)  # or it would round up to the next minute
    return any(window.is_open(local) for window in windows)


def next_change_s(windows: tuple[Window, ...], zone: tzinfo, wall_s: float) -> float | None:
    """When open windows close, or closed ones open, since the epoch; None: not in two weeks."""
    return _next_change_s(windows, zone, int(wall_s) // 60)


@lru_cache(maxsize=128)  # each slice of a wait asks again; the answer changes once a minute
def _next_change_s(windows: tuple[Window, ...], zone: tzinfo, minute: int) -> float | None:
    # They can only change where one starts or ends, or where local time jumps.
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
    now = is_open(windows, zone, now_s)
    return next((moment for moment in later if is_open(windows, zone, moment) != now), None)


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


_FULL_NAMES = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def parse_days(value: object) -> tuple[int, ...]:
    """Days of the week, 0 is Monday: `mon-fri`, `sat, sun`, or a list of such texts.

    Raises ValueError if it is anything else.
    """
    items = value.split(",") if isinstance(value, str) else value
    if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
        raise ValueError("not days")
    days: set[int] = set()
    for item in items:
        ends = [_day(end) for end in item.split("-", 1)]
        days.update((ends[0] + n) % 7 for n in range((ends[-1] - ends[0]) % 7 + 1))
    if not days:
        raise ValueError("no day")
    return tuple(sorted(days))


def _day(name: str) -> int:
    name = name.strip().lower()
    return _FULL_NAMES.index(name) if name in _FULL_NAMES else DAYS.index(name)
