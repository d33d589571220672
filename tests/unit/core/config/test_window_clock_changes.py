"""Weekly windows and clock changes: skipped hours, and repeated hours."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings

from synapse_bgthrottle.core.config.windows import Window, next_change_s, skipped_days
from testbed.strategies.strategies import utc_s, utc_text, windows, zones
from tests.unit.core.config.weekly_windows import DAILY, MON, SAT, SUN, stretches, weekly


@pytest.mark.parametrize(
    ("expected", "zone", "window", "day"),
    [
        pytest.param(
            [],
            "Europe/Berlin",
            weekly(SUN, "02:00", "03:00"),
            "2026-03-29",
            id="Berlin, spring: within the skipped hour",
        ),
        pytest.param(
            ["2026-03-29 01:00", "2026-03-29 02:00"],
            "Europe/Berlin",
            weekly(SUN, "02:30", "04:00"),
            "2026-03-29",
            id="Berlin, spring: starts in the skipped hour",
        ),
        pytest.param(
            ["2026-03-29 00:30", "2026-03-29 01:00"],
            "Europe/Berlin",
            weekly(SUN, "01:30", "02:30"),
            "2026-03-29",
            id="Berlin, spring: ends in the skipped hour",
        ),
        pytest.param(
            ["2026-03-29 00:00", "2026-03-29 03:00"],
            "Europe/Berlin",
            weekly(SUN, "01:00", "05:00"),
            "2026-03-29",
            id="Berlin, spring: around the skipped hour",
        ),
        pytest.param(
            ["2026-10-25 00:00", "2026-10-25 02:00"],
            "Europe/Berlin",
            weekly(SUN, "02:00", "03:00"),
            "2026-10-25",
            id="Berlin, autumn: the repeated hour",
        ),
        pytest.param(
            ["2026-10-25 00:15", "2026-10-25 00:45", "2026-10-25 01:15", "2026-10-25 01:45"],
            "Europe/Berlin",
            weekly(SUN, "02:15", "02:45"),
            "2026-10-25",
            id="Berlin, autumn: within the repeated hour, twice",
        ),
        pytest.param(
            ["2026-10-24 23:00", "2026-10-25 00:30", "2026-10-25 01:00", "2026-10-25 01:30"],
            "Europe/Berlin",
            weekly(SUN, "01:00", "02:30"),
            "2026-10-25",
            id="Berlin, autumn: ends in the repeated hour",
        ),
        pytest.param(
            [],
            "America/New_York",
            weekly(SUN, "02:10", "02:50"),
            "2026-03-08",
            id="New York, spring: within the skipped hour",
        ),
        pytest.param(
            ["2026-03-08 07:00", "2026-03-08 08:00"],
            "America/New_York",
            weekly(SUN, "02:10", "04:00"),
            "2026-03-08",
            id="New York, spring: starts in the skipped hour",
        ),
        pytest.param(
            ["2026-11-01 05:30", "2026-11-01 06:00", "2026-11-01 06:30", "2026-11-01 07:00"],
            "America/New_York",
            weekly(SUN, "01:30", "02:00"),
            "2026-11-01",
            id="New York, autumn: within the repeated hour, twice",
        ),
        pytest.param(
            [],
            "Australia/Lord_Howe",
            weekly(SUN, "02:00", "02:30"),
            "2026-10-04",
            id="Lord Howe, spring: the skipped half hour",
        ),
        pytest.param(
            ["2026-10-03 15:30", "2026-10-03 15:45"],
            "Australia/Lord_Howe",
            weekly(SUN, "02:15", "02:45"),
            "2026-10-04",
            id="Lord Howe, spring: starts in the skipped half hour",
        ),
        pytest.param(
            ["2026-04-04 14:30", "2026-04-04 15:30"],
            "Australia/Lord_Howe",
            weekly(SUN, "01:30", "02:00"),
            "2026-04-05",
            id="Lord Howe, autumn: the repeated half hour",
        ),
        pytest.param(
            [],
            "America/Nuuk",
            weekly(SAT, "23:00", "24:00"),
            "2026-03-28",
            id="Nuuk, spring: the skipped hour before midnight",
        ),
        pytest.param(
            ["2026-03-29 01:00", "2026-03-29 02:00"],
            "America/Nuuk",
            weekly(SAT, "23:30", "01:00"),
            "2026-03-28",
            id="Nuuk, spring: starts in the skipped hour, on Saturday, and ends on Sunday",
        ),
    ],
)
def test_window_is_compared_with_the_clock_on_the_wall(
    expected: list[str], zone: str, window: Window, day: str
) -> None:
    """A skipped hour is never open, and a repeated hour is open twice."""
    first = utc_text(utc_s(f"{day} 00:00") - 86_400) or ""
    last = utc_text(utc_s(f"{day} 00:00") + 2 * 86_400) or ""
    found = stretches(window, ZoneInfo(zone), first, last)
    assert expected == found
    if expected:
        assert expected[0] == utc_text(next_change_s((window,), ZoneInfo(zone), utc_s(first)))


@pytest.mark.parametrize(
    ("expected", "zone", "window"),
    [
        (["2026-03-29"], "Europe/Berlin", weekly(SUN, "02:00", "03:00")),
        (["2026-03-29"], "Europe/Berlin", weekly(DAILY, "02:15", "02:45")),
        ([], "Europe/Berlin", weekly(MON, "02:00", "03:00")),
        ([], "Europe/Berlin", weekly(SUN, "02:00", "03:01")),
        ([], "Europe/Berlin", weekly(SUN, "01:59", "03:00")),
        ([], "Europe/Berlin", weekly(SUN, "22:00", "06:00")),
        ([], "Europe/Berlin", weekly(SUN, "03:00", "02:30")),
        (["2026-03-08"], "America/New_York", weekly(SUN, "02:00", "03:00")),
        (["2026-10-04"], "Australia/Lord_Howe", weekly(SUN, "02:00", "02:30")),
        ([], "Australia/Lord_Howe", weekly(SUN, "02:00", "03:00")),
        (["2026-09-06"], "America/Santiago", weekly(SUN, "00:00", "01:00")),
        ([], "America/Santiago", weekly(SAT, "00:00", "01:00")),
        ([], "Asia/Kolkata", weekly(DAILY, "02:00", "03:00")),
        ([], "UTC", weekly(DAILY, "02:00", "03:00")),
        (["2026-03-28"], "America/Nuuk", weekly(SAT, "23:00", "24:00")),
        ([], "America/Nuuk", weekly(SUN, "23:00", "24:00")),
    ],
    ids=str,
)
def test_skipped_days_are_those_with_nothing_left_of_the_window(
    expected: list[str], zone: str, window: Window
) -> None:
    """Only a window that lies wholly in skipped time is told, by the day of its start."""
    days = skipped_days(window, ZoneInfo(zone), utc_s("2026-01-01 00:00"))
    assert expected == [str(day) for day in days]


@pytest.mark.parametrize(
    ("expected", "now"),
    [
        (["2026-03-29"], "2026-03-20 12:00"),
        (["2026-03-29", "2027-03-28"], "2026-03-29 00:30"),
        (["2027-03-28"], "2026-03-30 12:00"),
        (["2027-03-28"], "2026-04-10 12:00"),
        (["2027-03-28"], "2026-12-31 23:59"),
    ],
)
def test_skipped_days_are_of_the_coming_year(expected: list[str], now: str) -> None:
    """What has passed is not told, and what comes within a year is."""
    window = weekly(SUN, "02:00", "03:00")
    days = skipped_days(window, ZoneInfo("Europe/Berlin"), utc_s(now))
    assert expected == [str(day) for day in days]


@settings(max_examples=30)
@given(windows(), zones())
def test_skipped_day_has_no_open_minute_for_any_window(window: Window, zone: ZoneInfo) -> None:
    """On a day that is told as skipped the window is not open at any minute."""
    for day in skipped_days(window, zone, utc_s("2026-01-01 00:00")):
        noon = datetime(day.year, day.month, day.day, 12, tzinfo=zone)
        first, last = noon - timedelta(hours=14), noon + timedelta(hours=14)
        for minute in range(int(first.timestamp()) // 60, int(last.timestamp()) // 60):
            local = datetime.fromtimestamp(minute * 60, zone)
            assert local.date() != day or not window.is_open(local)
