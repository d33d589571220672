"""Weekly windows in a time zone: open or closed, and when next open.

A window is compared with the time on the wall. So where a clock change repeats an hour, a window
within that hour is open twice, and where it skips an hour, such a window does not open that day
(`skipped_days` finds those, so that the administrator can be told).
"""

from collections.abc import Iterator
from datetime import date, datetime, timedelta, timezone, tzinfo
from functools import lru_cache

import attrs

from synapse_bgthrottle.core.units import MINUTES_PER_DAY, format_time_of_day
from synapse_bgthrottle.schema import DAYS

# A weekly window that a clock change swallows opens one week later.
_HORIZON_DAYS = 15


@attrs.frozen
class Window:
    """A weekly time in which updates may run.

    Attributes:
        days: the days on which it starts, 0 is Monday.
        start_minutes: since midnight, 0 to 1439.
        end_minutes: since midnight, 1 to 1440. Before the start: the window crosses midnight and
            ends on the next day.
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
    """Whether updates may run at `wall_s` (seconds since the epoch). No window at all is open."""
    if not windows:
        return True
    local = datetime.fromtimestamp(wall_s, zone)
    return any(window.is_open(local) for window in windows)


def next_opening_s(windows: tuple[Window, ...], zone: tzinfo, wall_s: float) -> float | None:
    """When closed windows open, in seconds since the epoch; None: not within two weeks."""
    return _opening_after_minute(windows, zone, int(wall_s) // 60)


def next_closing_s(windows: tuple[Window, ...], zone: tzinfo, wall_s: float) -> float | None:
    """When open windows close, in seconds since the epoch; None: not within two weeks."""
    return _closing_after_minute(windows, zone, int(wall_s) // 60)


@lru_cache(maxsize=64)  # asked again in every slice of a wait, answered anew once a minute
def _opening_after_minute(windows: tuple[Window, ...], zone: tzinfo, minute: int) -> float | None:
    # What is closed can open only where a window starts or where the clock on the wall jumps.
    starts = [(window, window.start_minutes, 0) for window in windows]
    later = _later_moments_s(starts, zone, minute * 60.0)
    return next((moment for moment in later if is_open(windows, zone, moment)), None)


@lru_cache(maxsize=64)
def _closing_after_minute(windows: tuple[Window, ...], zone: tzinfo, minute: int) -> float | None:
    # The end is on the next day where the window crosses midnight, or ends with the day.
    ends = [
        (
            window,
            window.end_minutes % MINUTES_PER_DAY,
            int(not window.start_minutes < window.end_minutes < MINUTES_PER_DAY),
        )
        for window in windows
    ]
    later = _later_moments_s(ends, zone, minute * 60.0)
    return next((moment for moment in later if not is_open(windows, zone, moment)), None)


def _later_moments_s(
    times: list[tuple[Window, int, int]], zone: tzinfo, now_s: float
) -> list[float]:
    """When it is one of these times, so many days after one of its window's days, or a change."""
    today = datetime.fromtimestamp(now_s, zone).date()
    moments = set(_clock_changes_s(zone, today, _HORIZON_DAYS))
    for day in (today + timedelta(days=n) for n in range(-1, _HORIZON_DAYS + 1)):
        for window, minutes, days_later in times:
            if day.weekday() in window.days:
                moments.update(_moments_s(day + timedelta(days=days_later), minutes, zone))
    return sorted(moment for moment in moments if moment > now_s)


def skipped_days(window: Window, zone: tzinfo, wall_s: float) -> Iterator[date]:
    """The days of the coming year on which a clock change leaves nothing of the window."""
    if window.start_minutes >= window.end_minutes:
        return  # it has a part on either day
    today = datetime.fromtimestamp(wall_s, zone).date()
    for change_s in _clock_changes_s(zone, today, 366):
        before, after = (datetime.fromtimestamp(change_s - n, zone).date() for n in (1, 0))
        for day in {before, after}:  # two where the change is at midnight
            if day < today or day.weekday() not in window.days:
                continue
            minutes = range(window.start_minutes, window.end_minutes)
            if not any(_exists(day, minute, zone) for minute in minutes):
                yield day


def _moments_s(day: date, minutes: int, zone: tzinfo) -> Iterator[float]:
    """The moments, one or two, at which the clock on the wall shows this time."""
    local = datetime(day.year, day.month, day.day, minutes // 60, minutes % 60, tzinfo=zone)
    yield local.timestamp()
    yield local.replace(fold=1).timestamp()


def _exists(day: date, minutes: int, zone: tzinfo) -> bool:
    local = datetime(day.year, day.month, day.day, minutes // 60, minutes % 60, tzinfo=zone)
    back = local.astimezone(timezone.utc).astimezone(zone)
    return back.replace(tzinfo=None) == local.replace(tzinfo=None)


def _clock_changes_s(zone: tzinfo, first_day: date, days: int) -> Iterator[float]:
    """The moments in these days at which the zone's distance from UTC changes, by bisection."""
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
