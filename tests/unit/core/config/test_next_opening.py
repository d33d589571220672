"""Weekly windows: when a closed one opens next."""

from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from synapse_bgthrottle.core.config.windows import Window, is_open, next_change_s
from testbed.strategies.strategies import moments_s, utc_s, utc_text, windows, zones
from tests.unit.core.config.weekly_windows import DAILY, FRI, MON, SUN, UTC, weekly


@pytest.mark.parametrize(
    ("expected", "zone", "window", "moment"),
    [
        pytest.param(
            "2026-06-01 22:00",
            "UTC",
            weekly(DAILY, "22:00", "06:00"),
            "2026-06-01 06:00",
            id="the same day",
        ),
        pytest.param(
            "2026-06-08 01:00",
            "UTC",
            weekly(MON, "01:00", "05:00"),
            "2026-06-01 05:00",
            id="a week later",
        ),
        pytest.param(
            "2026-06-01 00:01",
            "UTC",
            weekly(MON, "00:01", "00:02"),
            "2026-06-01 00:00:59.500",
            id="within a second",
        ),
        pytest.param(
            "2026-04-05 00:00",
            "Europe/Berlin",
            weekly(SUN, "02:00", "03:00"),
            "2026-03-29 00:30",
            id="swallowed this week, so the next",
        ),
        pytest.param(
            "2026-04-05 00:00",
            "Europe/Berlin",
            weekly(SUN, "02:00", "03:00"),
            "2026-03-22 02:00",
            id="swallowed next week, so in two",
        ),
        pytest.param(
            "2026-10-25 01:15",
            "Europe/Berlin",
            weekly(SUN, "02:15", "02:45"),
            "2026-10-25 00:50",
            id="for the second time in the repeated hour",
        ),
        pytest.param(
            "2026-10-25 01:00",
            "Europe/Berlin",
            weekly(SUN, "01:00", "02:30"),
            "2026-10-25 00:45",
            id="where the clock jumps back into it",
        ),
        pytest.param(
            "2026-06-06 18:30",
            "Asia/Kolkata",
            weekly(SUN, "00:00", "01:00"),
            "2026-06-01 00:00",
            id="by the zone's own midnight",
        ),
        pytest.param(
            "2028-02-29 00:00",
            "UTC",
            weekly((1,), "00:00", "24:00"),
            "2028-02-28 12:00",
            id="on a leap day",
        ),
    ],
)
def test_next_opening_is_found(expected: str, zone: str, window: Window, moment: str) -> None:
    """A closed window tells the moment at which it opens."""
    assert not is_open((window,), ZoneInfo(zone), utc_s(moment))
    assert expected == utc_text(next_change_s((window,), ZoneInfo(zone), utc_s(moment)))


def test_next_opening_of_several_is_the_first() -> None:
    """Of several windows the one that opens first counts, whatever their order."""
    late, soon = weekly(FRI, "01:00", "02:00"), weekly(MON, "22:00", "23:00")
    for several in ((late, soon), (soon, late)):
        opens_s = next_change_s(several, UTC, utc_s("2026-06-01 12:00"))
        assert "2026-06-01 22:00" == utc_text(opens_s)


def test_window_without_days_never_opens() -> None:
    """What does not open within two weeks has no next opening."""
    assert next_change_s((Window((), 60, 120),), UTC, utc_s("2026-06-01 12:00")) is None


@settings(max_examples=80)
@given(st.lists(windows(), min_size=1, max_size=2).map(tuple), zones(), moments_s())
def test_next_opening_is_the_first_open_minute_for_any_windows(
    drawn: tuple[Window, ...], zone: ZoneInfo, wall_s: float
) -> None:
    """The next opening is what a scan of every minute of the next 15 days finds."""
    assume(not is_open(drawn, zone, wall_s))
    first_minute = int(wall_s) // 60 + 1
    scanned = (minute * 60.0 for minute in range(first_minute, first_minute + 15 * 1440))
    expected = next((moment for moment in scanned if is_open(drawn, zone, moment)), None)
    assert utc_text(next_change_s(drawn, zone, wall_s)) == utc_text(expected)
    assert expected == next_change_s(drawn, zone, wall_s)
