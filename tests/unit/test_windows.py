"""Weekly windows: open or closed, when next open, and the days that clock changes swallow."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from synapse_bgthrottle.windows import Window, is_open, next_opening_s, skipped_days
from tests.unit.strategies import moments_s, utc_s, utc_text, windows, zones

_UTC = ZoneInfo("UTC")
_DAILY = tuple(range(7))
_MON, _FRI, _SAT, _SUN = (0,), (4,), (5,), (6,)
_WEEKDAYS = (0, 1, 2, 3, 4)


def _hm(text: str) -> int:
    hours, minutes = text.split(":")
    return int(hours) * 60 + int(minutes)


def _window(days: tuple[int, ...], start: str, end: str) -> Window:
    return Window(days, _hm(start), _hm(end))


def _stretches(window: Window, zone: ZoneInfo, first: str, last: str) -> list[str]:
    """The times, in UTC, between which the window is open, by looking at every minute."""
    edges: list[str] = []
    was_open = False
    for minute in range(int(utc_s(first)) // 60, int(utc_s(last)) // 60):
        now_open = is_open((window,), zone, minute * 60.0)
        if now_open is not was_open:
            edges.append(str(utc_text(minute * 60.0)))
            was_open = now_open
    return edges


@pytest.mark.parametrize(
    ("expected", "window", "moment"),  # 2026-06-01 is a Monday
    [
        (False, _window(_WEEKDAYS, "01:00", "05:00"), "2026-06-01 00:59:59.999"),
        (True, _window(_WEEKDAYS, "01:00", "05:00"), "2026-06-01 01:00"),
        (True, _window(_WEEKDAYS, "01:00", "05:00"), "2026-06-05 04:59:59.999"),
        (False, _window(_WEEKDAYS, "01:00", "05:00"), "2026-06-05 05:00"),
        (False, _window(_WEEKDAYS, "01:00", "05:00"), "2026-06-06 03:00"),
        (False, _window(_WEEKDAYS, "01:00", "05:00"), "2026-06-07 03:00"),
        (True, _window(_DAILY, "00:00", "24:00"), "2026-06-01 00:00"),
        (True, _window(_DAILY, "00:00", "24:00"), "2026-06-01 23:59:59"),
        (True, _window(_SAT, "00:00", "24:00"), "2026-06-06 23:59:59"),
        (False, _window(_SAT, "00:00", "24:00"), "2026-06-07 00:00"),
        (False, _window(_SAT, "00:00", "24:00"), "2026-06-05 23:59:59"),
        (True, _window(_MON, "23:59", "24:00"), "2026-06-01 23:59:30"),
        (True, _window(_MON, "00:00", "00:01"), "2026-06-01 00:00:59"),
        (False, _window(_MON, "00:00", "00:01"), "2026-06-01 00:01"),
    ],
)
def test_window_is_open_from_its_start_up_to_its_end(
    expected: bool, window: Window, moment: str
) -> None:
    """The start belongs to the window and the end does not, on its days only."""
    assert expected is is_open((window,), _UTC, utc_s(moment))


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
    assert expected is is_open((_window(_FRI, "22:00", "06:00"),), _UTC, utc_s(moment))


def test_sunday_night_ends_on_monday() -> None:
    """The week has no edge: Sunday's window ends on Monday morning."""
    window = _window(_SUN, "22:00", "06:00")
    expected = ["2026-05-31 22:00", "2026-06-01 06:00", "2026-06-07 22:00", "2026-06-08 06:00"]
    assert expected == _stretches(window, _UTC, "2026-05-31 12:00", "2026-06-08 12:00")


def test_daily_window_across_midnight_is_open_on_both_sides() -> None:
    """Every night has one stretch, from evening to morning."""
    window = _window(_DAILY, "23:00", "01:00")
    expected = ["2026-06-01 23:00", "2026-06-02 01:00", "2026-06-02 23:00", "2026-06-03 01:00"]
    assert expected == _stretches(window, _UTC, "2026-06-01 12:00", "2026-06-03 12:00")


def test_window_that_ends_at_midnight_is_the_same_by_both_names_of_it() -> None:
    """22:00 to 00:00 and 22:00 to 24:00 open and close together."""
    assert [
        _stretches(_window(_SUN, "22:00", end), _UTC, "2026-05-30 00:00", "2026-06-02 00:00")
        for end in ("24:00", "00:00")
    ] == [["2026-05-31 22:00", "2026-06-01 00:00"]] * 2


def test_leap_day_is_a_day_of_its_weekday() -> None:
    """29 February 2028 is a Tuesday, and Monday's night ends on it."""
    window = _window(_MON, "22:00", "02:00")
    expected = ["2028-02-28 22:00", "2028-02-29 02:00"]
    assert expected == _stretches(window, _UTC, "2028-02-28 00:00", "2028-03-02 00:00")


def test_window_is_read_in_its_zone() -> None:
    """In Kolkata, five and a half hours ahead, midnight comes at 18:30 UTC all the year."""
    kolkata = ZoneInfo("Asia/Kolkata")
    window = _window(_SUN, "00:00", "01:00")
    for first, last in (("2026-03-28", "2026-03-29"), ("2026-10-24", "2026-10-25")):
        expected = [f"{first} 18:30", f"{first} 19:30"]
        assert expected == _stretches(window, kolkata, f"{first} 00:00", f"{last} 23:59")


def test_no_window_at_all_is_open() -> None:
    """Without windows updates may always run."""
    assert is_open((), _UTC, utc_s("2026-06-01 12:00")) is True


def test_one_open_window_is_enough() -> None:
    """Several windows are open together where any of them is."""
    several = (_window(_MON, "01:00", "02:00"), _window(_MON, "03:00", "04:00"))
    opened = [is_open(several, _UTC, utc_s(f"2026-06-01 0{hour}:30")) for hour in range(5)]
    assert [False, True, False, True, False] == opened


@pytest.mark.parametrize(
    ("expected", "zone", "window", "day"),
    [
        pytest.param(
            [],
            "Europe/Berlin",
            _window(_SUN, "02:00", "03:00"),
            "2026-03-29",
            id="Berlin, spring: within the skipped hour",
        ),
        pytest.param(
            ["2026-03-29 01:00", "2026-03-29 02:00"],
            "Europe/Berlin",
            _window(_SUN, "02:30", "04:00"),
            "2026-03-29",
            id="Berlin, spring: starts in the skipped hour",
        ),
        pytest.param(
            ["2026-03-29 00:30", "2026-03-29 01:00"],
            "Europe/Berlin",
            _window(_SUN, "01:30", "02:30"),
            "2026-03-29",
            id="Berlin, spring: ends in the skipped hour",
        ),
        pytest.param(
            ["2026-03-29 00:00", "2026-03-29 03:00"],
            "Europe/Berlin",
            _window(_SUN, "01:00", "05:00"),
            "2026-03-29",
            id="Berlin, spring: around the skipped hour",
        ),
        pytest.param(
            ["2026-10-25 00:00", "2026-10-25 02:00"],
            "Europe/Berlin",
            _window(_SUN, "02:00", "03:00"),
            "2026-10-25",
            id="Berlin, autumn: the repeated hour",
        ),
        pytest.param(
            ["2026-10-25 00:15", "2026-10-25 00:45", "2026-10-25 01:15", "2026-10-25 01:45"],
            "Europe/Berlin",
            _window(_SUN, "02:15", "02:45"),
            "2026-10-25",
            id="Berlin, autumn: within the repeated hour, twice",
        ),
        pytest.param(
            ["2026-10-24 23:00", "2026-10-25 00:30", "2026-10-25 01:00", "2026-10-25 01:30"],
            "Europe/Berlin",
            _window(_SUN, "01:00", "02:30"),
            "2026-10-25",
            id="Berlin, autumn: ends in the repeated hour",
        ),
        pytest.param(
            [],
            "America/New_York",
            _window(_SUN, "02:10", "02:50"),
            "2026-03-08",
            id="New York, spring: within the skipped hour",
        ),
        pytest.param(
            ["2026-03-08 07:00", "2026-03-08 08:00"],
            "America/New_York",
            _window(_SUN, "02:10", "04:00"),
            "2026-03-08",
            id="New York, spring: starts in the skipped hour",
        ),
        pytest.param(
            ["2026-11-01 05:30", "2026-11-01 06:00", "2026-11-01 06:30", "2026-11-01 07:00"],
            "America/New_York",
            _window(_SUN, "01:30", "02:00"),
            "2026-11-01",
            id="New York, autumn: within the repeated hour, twice",
        ),
        pytest.param(
            [],
            "Australia/Lord_Howe",
            _window(_SUN, "02:00", "02:30"),
            "2026-10-04",
            id="Lord Howe, spring: the skipped half hour",
        ),
        pytest.param(
            ["2026-10-03 15:30", "2026-10-03 15:45"],
            "Australia/Lord_Howe",
            _window(_SUN, "02:15", "02:45"),
            "2026-10-04",
            id="Lord Howe, spring: starts in the skipped half hour",
        ),
        pytest.param(
            ["2026-04-04 14:30", "2026-04-04 15:30"],
            "Australia/Lord_Howe",
            _window(_SUN, "01:30", "02:00"),
            "2026-04-05",
            id="Lord Howe, autumn: the repeated half hour",
        ),
        pytest.param(
            [],
            "America/Nuuk",
            _window(_SAT, "23:00", "24:00"),
            "2026-03-28",
            id="Nuuk, spring: the skipped hour before midnight",
        ),
        pytest.param(
            ["2026-03-29 01:00", "2026-03-29 02:00"],
            "America/Nuuk",
            _window(_SAT, "23:30", "01:00"),
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
    found = _stretches(window, ZoneInfo(zone), first, last)
    assert expected == found
    if expected:
        assert expected[0] == utc_text(next_opening_s((window,), ZoneInfo(zone), utc_s(first)))


@pytest.mark.parametrize(
    ("expected", "zone", "window", "moment"),
    [
        pytest.param(
            "2026-06-01 22:00",
            "UTC",
            _window(_DAILY, "22:00", "06:00"),
            "2026-06-01 06:00",
            id="the same day",
        ),
        pytest.param(
            "2026-06-08 01:00",
            "UTC",
            _window(_MON, "01:00", "05:00"),
            "2026-06-01 05:00",
            id="a week later",
        ),
        pytest.param(
            "2026-06-01 00:01",
            "UTC",
            _window(_MON, "00:01", "00:02"),
            "2026-06-01 00:00:59.500",
            id="within a second",
        ),
        pytest.param(
            "2026-04-05 00:00",
            "Europe/Berlin",
            _window(_SUN, "02:00", "03:00"),
            "2026-03-29 00:30",
            id="swallowed this week, so the next",
        ),
        pytest.param(
            "2026-04-05 00:00",
            "Europe/Berlin",
            _window(_SUN, "02:00", "03:00"),
            "2026-03-22 02:00",
            id="swallowed next week, so in two",
        ),
        pytest.param(
            "2026-10-25 01:15",
            "Europe/Berlin",
            _window(_SUN, "02:15", "02:45"),
            "2026-10-25 00:50",
            id="for the second time in the repeated hour",
        ),
        pytest.param(
            "2026-10-25 01:00",
            "Europe/Berlin",
            _window(_SUN, "01:00", "02:30"),
            "2026-10-25 00:45",
            id="where the clock jumps back into it",
        ),
        pytest.param(
            "2026-06-06 18:30",
            "Asia/Kolkata",
            _window(_SUN, "00:00", "01:00"),
            "2026-06-01 00:00",
            id="by the zone's own midnight",
        ),
        pytest.param(
            "2028-02-29 00:00",
            "UTC",
            _window((1,), "00:00", "24:00"),
            "2028-02-28 12:00",
            id="on a leap day",
        ),
    ],
)
def test_next_opening_is_found(expected: str, zone: str, window: Window, moment: str) -> None:
    """A closed window tells the moment at which it opens."""
    assert not is_open((window,), ZoneInfo(zone), utc_s(moment))
    assert expected == utc_text(next_opening_s((window,), ZoneInfo(zone), utc_s(moment)))


def test_next_opening_of_several_is_the_first() -> None:
    """Of several windows the one that opens first counts, whatever their order."""
    late, soon = _window(_FRI, "01:00", "02:00"), _window(_MON, "22:00", "23:00")
    for several in ((late, soon), (soon, late)):
        opens_s = next_opening_s(several, _UTC, utc_s("2026-06-01 12:00"))
        assert "2026-06-01 22:00" == utc_text(opens_s)


def test_window_without_days_never_opens() -> None:
    """What does not open within two weeks has no next opening."""
    assert next_opening_s((Window((), 60, 120),), _UTC, utc_s("2026-06-01 12:00")) is None


@settings(deadline=None, max_examples=80)
@given(st.lists(windows(), min_size=1, max_size=2).map(tuple), zones(), moments_s())
def test_next_opening_is_the_first_open_minute_for_any_windows(
    drawn: tuple[Window, ...], zone: ZoneInfo, wall_s: float
) -> None:
    """The next opening is what a scan of every minute of the next 15 days finds."""
    assume(not is_open(drawn, zone, wall_s))
    first_minute = int(wall_s) // 60 + 1
    scanned = (minute * 60.0 for minute in range(first_minute, first_minute + 15 * 1440))
    expected = next((moment for moment in scanned if is_open(drawn, zone, moment)), None)
    assert utc_text(next_opening_s(drawn, zone, wall_s)) == utc_text(expected)
    assert expected == next_opening_s(drawn, zone, wall_s)


@settings(deadline=None)
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
    ("expected", "zone", "window"),
    [
        (["2026-03-29"], "Europe/Berlin", _window(_SUN, "02:00", "03:00")),
        (["2026-03-29"], "Europe/Berlin", _window(_DAILY, "02:15", "02:45")),
        ([], "Europe/Berlin", _window(_MON, "02:00", "03:00")),
        ([], "Europe/Berlin", _window(_SUN, "02:00", "03:01")),
        ([], "Europe/Berlin", _window(_SUN, "01:59", "03:00")),
        ([], "Europe/Berlin", _window(_SUN, "22:00", "06:00")),
        ([], "Europe/Berlin", _window(_SUN, "03:00", "02:30")),
        (["2026-03-08"], "America/New_York", _window(_SUN, "02:00", "03:00")),
        (["2026-10-04"], "Australia/Lord_Howe", _window(_SUN, "02:00", "02:30")),
        ([], "Australia/Lord_Howe", _window(_SUN, "02:00", "03:00")),
        (["2026-09-06"], "America/Santiago", _window(_SUN, "00:00", "01:00")),
        ([], "America/Santiago", _window(_SAT, "00:00", "01:00")),
        ([], "Asia/Kolkata", _window(_DAILY, "02:00", "03:00")),
        ([], "UTC", _window(_DAILY, "02:00", "03:00")),
        (["2026-03-28"], "America/Nuuk", _window(_SAT, "23:00", "24:00")),
        ([], "America/Nuuk", _window(_SUN, "23:00", "24:00")),
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
    window = _window(_SUN, "02:00", "03:00")
    days = skipped_days(window, ZoneInfo("Europe/Berlin"), utc_s(now))
    assert expected == [str(day) for day in days]


@settings(deadline=None, max_examples=30)
@given(windows(), zones())
def test_skipped_day_has_no_open_minute_for_any_window(window: Window, zone: ZoneInfo) -> None:
    """On a day that is told as skipped the window is not open at any minute."""
    for day in skipped_days(window, zone, utc_s("2026-01-01 00:00")):
        noon = datetime(day.year, day.month, day.day, 12, tzinfo=zone)
        first, last = noon - timedelta(hours=14), noon + timedelta(hours=14)
        for minute in range(int(first.timestamp()) // 60, int(last.timestamp()) // 60):
            local = datetime.fromtimestamp(minute * 60, zone)
            assert local.date() != day or not window.is_open(local)


@pytest.mark.parametrize(
    ("expected", "window"),
    [
        ("daily 22:00 to 06:00", _window(_DAILY, "22:00", "06:00")),
        ("mon,tue,wed,thu,fri 01:00 to 05:30", _window(_WEEKDAYS, "01:00", "05:30")),
        ("sun 00:00 to 24:00", _window(_SUN, "00:00", "24:00")),
    ],
)
def test_window_is_printed_with_days_and_times(expected: str, window: Window) -> None:
    """A window is told as one would write it."""
    assert expected == str(window)
