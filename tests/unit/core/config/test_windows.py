"""Weekly windows: open or closed, one or several, and as text."""

from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given

from synapse_bgthrottle.core.config.windows import Window, is_open
from testbed.strategies.strategies import moments_s, utc_s, windows, zones
from tests.unit.core.config.weekly_windows import (
    DAILY,
    FRI,
    MON,
    SAT,
    SUN,
    UTC,
    WEEKDAYS,
    stretches,
    weekly,
)


@pytest.mark.parametrize(
    ("expected", "window", "moment"),  # 2026-06-01 is a Monday
    [
        (False, weekly(WEEKDAYS, "01:00", "05:00"), "2026-06-01 00:59:59.999"),
        (True, weekly(WEEKDAYS, "01:00", "05:00"), "2026-06-01 01:00"),
        (True, weekly(WEEKDAYS, "01:00", "05:00"), "2026-06-05 04:59:59.999"),
        (False, weekly(WEEKDAYS, "01:00", "05:00"), "2026-06-05 05:00"),
        (False, weekly(WEEKDAYS, "01:00", "05:00"), "2026-06-06 03:00"),
        (False, weekly(WEEKDAYS, "01:00", "05:00"), "2026-06-07 03:00"),
        (True, weekly(DAILY, "00:00", "24:00"), "2026-06-01 00:00"),
        (True, weekly(DAILY, "00:00", "24:00"), "2026-06-01 23:59:59"),
        (True, weekly(SAT, "00:00", "24:00"), "2026-06-06 23:59:59"),
        (False, weekly(SAT, "00:00", "24:00"), "2026-06-07 00:00"),
        (False, weekly(SAT, "00:00", "24:00"), "2026-06-05 23:59:59"),
        (True, weekly(MON, "23:59", "24:00"), "2026-06-01 23:59:30"),
        (True, weekly(MON, "00:00", "00:01"), "2026-06-01 00:00:59"),
        (False, weekly(MON, "00:00", "00:01"), "2026-06-01 00:01"),
    ],
)
def test_window_is_open_from_its_start_up_to_its_end(
    expected: bool, window: Window, moment: str
) -> None:
    """The start belongs to the window and the end does not, on its days only."""
    assert expected is is_open((window,), UTC, utc_s(moment))


@pytest.mark.parametrize(
    ("expected", "moment"),
    [
        (False, "2026-06-05 04:00"),  # Friday morning belongs to Thursday
        (False, "2026-06-05 21:59"),
        (True, "2026-06-05 22:00"),
        (True, "2026-06-05 23:59"),
        (True, "2026-06-06 00:00"),
        (True, "2026-06-06 05:59"),
        (False, "2026-06-06 06:00"),
        (False, "2026-06-06 22:00"),  # Saturday evening is not Friday's
    ],
)
def test_window_across_midnight_belongs_to_the_day_it_starts(expected: bool, moment: str) -> None:
    """Friday's 22:00 to 06:00 goes on to Saturday morning, and Friday morning has none of it."""
    assert expected is is_open((weekly(FRI, "22:00", "06:00"),), UTC, utc_s(moment))


def test_sunday_night_ends_on_monday() -> None:
    """The week has no edge: Sunday's window ends on Monday morning."""
    window = weekly(SUN, "22:00", "06:00")
    expected = ["2026-05-31 22:00", "2026-06-01 06:00", "2026-06-07 22:00", "2026-06-08 06:00"]
    assert expected == stretches(window, UTC, "2026-05-31 12:00", "2026-06-08 12:00")


def test_daily_window_across_midnight_is_open_on_both_sides() -> None:
    """Every night has one stretch, from evening to morning."""
    window = weekly(DAILY, "23:00", "01:00")
    expected = ["2026-06-01 23:00", "2026-06-02 01:00", "2026-06-02 23:00", "2026-06-03 01:00"]
    assert expected == stretches(window, UTC, "2026-06-01 12:00", "2026-06-03 12:00")


def test_window_that_ends_at_midnight_is_the_same_by_both_names_of_it() -> None:
    """22:00 to 00:00 and 22:00 to 24:00 open and close together."""
    assert [
        stretches(weekly(SUN, "22:00", end), UTC, "2026-05-30 00:00", "2026-06-02 00:00")
        for end in ("24:00", "00:00")
    ] == [["2026-05-31 22:00", "2026-06-01 00:00"]] * 2


def test_leap_day_is_a_day_of_its_weekday() -> None:
    """29 February 2028 is a Tuesday, and Monday's night ends on it."""
    window = weekly(MON, "22:00", "02:00")
    expected = ["2028-02-28 22:00", "2028-02-29 02:00"]
    assert expected == stretches(window, UTC, "2028-02-28 00:00", "2028-03-02 00:00")


def test_window_is_read_in_its_zone() -> None:
    """In Kolkata, five and a half hours ahead, midnight comes at 18:30 UTC all the year."""
    kolkata = ZoneInfo("Asia/Kolkata")
    window = weekly(SUN, "00:00", "01:00")
    for first, last in (("2026-03-28", "2026-03-29"), ("2026-10-24", "2026-10-25")):
        expected = [f"{first} 18:30", f"{first} 19:30"]
        assert expected == stretches(window, kolkata, f"{first} 00:00", f"{last} 23:59")


def test_no_window_at_all_is_open() -> None:
    """Without windows updates may always run."""
    assert is_open((), UTC, utc_s("2026-06-01 12:00")) is True


def test_one_open_window_is_enough() -> None:
    """Several windows are open together where any of them is."""
    several = (weekly(MON, "01:00", "02:00"), weekly(MON, "03:00", "04:00"))
    opened = [is_open(several, UTC, utc_s(f"2026-06-01 0{hour}:30")) for hour in range(5)]
    assert [False, True, False, True, False] == opened


@example(weekly(FRI, "01:00", "00:01"), ZoneInfo("Europe/Berlin"), 1798761599.9999998)
@given(windows(), zones(), moments_s())
def test_window_is_open_alike_within_a_minute_for_any_window(
    window: Window, zone: ZoneInfo, wall_s: float
) -> None:
    """Windows open and close at whole minutes only."""
    minute_s = wall_s // 60 * 60
    expected = is_open((window,), zone, minute_s)
    assert expected is is_open((window,), zone, wall_s)
    assert expected is is_open((window,), zone, minute_s + 59.999)


@pytest.mark.parametrize(
    ("expected", "window"),
    [
        ("daily 22:00 to 06:00", weekly(DAILY, "22:00", "06:00")),
        ("mon,tue,wed,thu,fri 01:00 to 05:30", weekly(WEEKDAYS, "01:00", "05:30")),
        ("sun 00:00 to 24:00", weekly(SUN, "00:00", "24:00")),
    ],
)
def test_window_is_printed_with_days_and_times(expected: str, window: Window) -> None:
    """A window is told as one would write it."""
    assert expected == str(window)
