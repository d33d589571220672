"""The load of a week: from a file, by wall-clock time, and over any span."""

from collections.abc import Mapping
from datetime import datetime, timezone
from zoneinfo import ZoneInfo

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from synapse_bgthrottle.core.adaptive.weekly_activity import SeenHour
from synapse_bgthrottle.core.tracking.expected_pace import EARLY, LATE, LIKELY
from synapse_bgthrottle.core.tracking.weekly_load import (
    HOURS,
    Seen,
    WeeklyLoad,
    flat,
    learned,
    office,
    parse_load,
)

BERLIN = ZoneInfo("Europe/Berlin")


def test_load_of_a_file() -> None:
    """168 numbers are rates, of which few leave time without clients; else shares of the time."""
    rates = parse_load(list(range(HOURS)), "a", timezone.utc)
    assert (0.0, 1.0) == pytest.approx((rates.level(1_767_571_200.0), rates.most), abs=0.01)
    few = parse_load([0.1] * HOURS, "a", timezone.utc)
    assert 0.39 == pytest.approx(few.most, abs=0.01)
    shares = parse_load({"share_of_time": [0.25] * HOURS}, "a", timezone.utc)
    assert 0.25 == shares.level(0.0)
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
        [10**400] * HOURS,
        [10**5000] * HOURS,
        "1 2 x",
        7,
        {"share_of_time": [2] * HOURS},
        {"rates": [1] * HOURS},
        {},
    ],
    ids=lambda raw: "huge" if isinstance(raw, list) and raw[0] == 10**5000 else repr(raw)[:20],
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


MONDAY_S = 1_767_571_200.0


def seen(hour: int, present_ratio: float, watched_s: float = 600.0) -> SeenHour:
    return SeenHour(hour, 0, watched_s, present_ratio * watched_s)


def learned_values(*hours: SeenHour) -> tuple[float, ...]:
    return learned(hours).values


def test_load_is_learned_by_the_hour() -> None:
    """Each hour of the week has the share of the time in which clients were there, by UTC."""
    found = learned([seen(n, 0.9 if n % 24 == 9 else 0.2) for n in range(HOURS)])
    assert HOURS == found.known_hours
    assert 0.9 == pytest.approx(found.level(MONDAY_S + 9 * 3600 + 1))
    assert 0.2 == pytest.approx(found.level(MONDAY_S + 10 * 3600))


def test_hours_that_were_not_seen() -> None:
    """They are like that hour of other days of the kind, of other days, or those around them."""
    values = learned_values(seen(9, 0.8), seen(24 + 9, 0.4), seen(5 * 24 + 9, 0.1), seen(13, 0.4))
    assert 0.6 == pytest.approx(values[2 * 24 + 9])
    assert 0.1 == pytest.approx(values[6 * 24 + 9])
    assert 0.4 == pytest.approx(values[6 * 24 + 13])
    assert [0.7, 0.6, 0.5] == pytest.approx(values[10:13])
    assert {0.3} == set(learned_values(seen(100, 0.3)))


@given(st.dictionaries(st.integers(0, HOURS - 1), st.floats(0, 1), min_size=1))
def test_what_was_not_seen_is_within_what_was(ratios: Mapping[int, float]) -> None:
    """No hour is taken for busier or quieter than any that was seen."""
    values = learned_values(*(seen(hour, ratio) for hour, ratio in ratios.items()))
    assert HOURS == len(values)
    least, most = min(ratios.values()), max(ratios.values())
    assert least - 1e-9 <= min(values) <= max(values) <= most + 1e-9


def test_no_hour_was_seen() -> None:
    """Where no hour was watched for a minute, clients are as now, else always there."""
    for hours in ([], [seen(1, 1.0, watched_s=59.0)]):
        assert (0, {1.0}) == (learned(hours).known_hours, set(learned(hours).values))
        load = learned(hours, Seen(0.25, MONDAY_S))
        levels = [load.level(MONDAY_S + 7200, case) for case in (EARLY, LIKELY, LATE)]
        assert [0.0, 0.25, 1.0] == levels


def test_what_was_watched_for_long_is_known_better() -> None:
    """The range is that of visits of five minutes, by the rule of succession."""
    for watched_s, low, high in ((300.0, 0.5 / 3, 2.5 / 3), (3600.0, 6 / 14, 8 / 14)):
        load = learned([seen(n, 0.5, watched_s) for n in range(HOURS)])
        assert (low, high) == pytest.approx(
            (load.level(MONDAY_S, EARLY), load.level(MONDAY_S, LATE))
        )


def test_now_goes_on_for_an_hour() -> None:
    """What is seen now counts for an hour; in the range is what the hour was, too."""
    values = (0.5,) * HOURS
    load = WeeklyLoad("a", values, low=values, high=values, seen=Seen(1.0, MONDAY_S + 600))
    assert (1.0, 0.5) == (load.level(MONDAY_S + 4199), load.level(MONDAY_S + 4200))
    assert (0.5, 1.0) == (load.level(MONDAY_S + 900, EARLY), load.level(MONDAY_S + 900, LATE))
    assert MONDAY_S + 4200 == load.next_change_s(MONDAY_S + 900)
