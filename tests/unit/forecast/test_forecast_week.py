"""The load of a week: of a file, by the clock on the wall, and over any time."""

from datetime import datetime, timezone
from zoneinfo import ZoneInfo

import pytest
import yaml

from synapse_bgthrottle.forecast.weekly_load import HOURS, WeeklyLoad, flat, office, parse_load

BERLIN = ZoneInfo("Europe/Berlin")


def test_load_of_a_file() -> None:
    """168 numbers are rates; under `share_of_time` they are shares of the time."""
    rates = parse_load(list(range(HOURS)), "a", timezone.utc)
    assert (0.0, 1.0) == (rates.level(1_767_571_200.0), rates.levels()[0])
    shares = parse_load({"share_of_time": [0.25] * HOURS}, "a", timezone.utc)
    assert (True, 0.25) == (shares.is_share, shares.level(0.0))
    lines = yaml.safe_load("\n".join(map(str, range(HOURS))))
    assert rates == parse_load(lines, "a", timezone.utc)


@pytest.mark.parametrize(
    "raw",
    [
        None,
        "text",
        [1] * 167,
        ["x"] * HOURS,
        [True] * HOURS,
        [-1] * HOURS,
        [float("nan")] * HOURS,
        [float("inf")] * HOURS,
        "1 2 x",
        7,
        {"share_of_time": [2] * HOURS},
        {"rates": [1] * HOURS},
        {},
    ],
    ids=lambda raw: repr(raw)[:20],
)
def test_no_load(raw: object) -> None:
    """Anything else is refused, with what is accepted."""
    with pytest.raises(ValueError, match="accepted"):
        parse_load(raw, "a", timezone.utc)


def test_hours_by_the_wall_clock() -> None:
    """An hour of the week is one on the clock on the wall, over changes of it too."""
    busy_at_nine = WeeklyLoad("a", tuple(float(n % 24 == 9) for n in range(HOURS)), zone=BERLIN)
    for day in (datetime(2026, 3, 27, 9, 30), datetime(2026, 3, 30, 9, 30)):
        at_s = day.replace(tzinfo=BERLIN).timestamp()
        assert 1.0 == busy_at_nine.level(at_s)
        assert at_s + 1800 == busy_at_nine.next_change_s(at_s)
        assert 0.0 == busy_at_nine.level(at_s + 1800)


def test_known_loads() -> None:
    """Nobody, always the same, and people at work."""
    assert (0.0, 1.0) == (flat(value=0.0).level(0.0), flat().level(0.0))
    monday_s = 1_767_571_200.0
    assert office().level(monday_s + 10 * 3600) > 0.9 > 0.3 > office().level(monday_s + 3 * 3600)
    assert 0.3 > office().level(monday_s - 14 * 3600)


def test_mean_level() -> None:
    """The mean load of a time, by the week's hours; of a longer time, that of its last week."""
    load = parse_load([1.0] + [0.0] * 167, "a", timezone.utc)
    monday_s = 1_767_571_200.0
    assert 0.75 == pytest.approx(load.mean_level(monday_s + 900, monday_s + 3600 + 900))
    assert 1 / HOURS == pytest.approx(load.mean_level(0.0, monday_s))
    assert 1.0 == load.mean_level(monday_s, monday_s) == flat().mean_level(0.0, monday_s)
