"""The parts of a forecast: what is read, what is learned, what is drawn."""

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from synapse_bgthrottle.config import parse
from synapse_bgthrottle.explanation import explanation
from synapse_bgthrottle.forecast import learned
from synapse_bgthrottle.forecast.job import Job, parse_count, parse_rate
from synapse_bgthrottle.forecast.learned import Past
from synapse_bgthrottle.forecast.paces import Knot, Paces, as_observed
from synapse_bgthrottle.forecast.past import MOST_KEPT, Kept, Went, bounded, compared, kept_of
from synapse_bgthrottle.forecast.plot import WIDTH, plot
from synapse_bgthrottle.forecast.results import (
    ConfigurationForecast,
    Forecast,
    PastForecasts,
    UpdateForecast,
)
from synapse_bgthrottle.forecast.server_section import settings_of_section
from synapse_bgthrottle.forecast.stated import settings_of
from synapse_bgthrottle.forecast.svg import svg
from synapse_bgthrottle.forecast.week import HOURS, WeeklyLoad, flat, office, parse_load
from synapse_bgthrottle.holds import Conditions
from synapse_bgthrottle.limits import FixedSleep, Settings, merge
from synapse_bgthrottle.seen_week import SeenHour
from synapse_bgthrottle.throttle import Throttle

NOW_MS = 1_767_736_800_000.0
DAY_MS = 86_400_000.0
BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("expected", "text"),
    [(5000.0, "5/ms"), (300.0, "300/s"), (2.5, "150 / min"), (1e6 / 3600, "1e6/h")],
)
def test_rates(expected: float, text: str) -> None:
    """A rate is a number of items by a unit of time."""
    assert expected == pytest.approx(parse_rate(text))


@pytest.mark.parametrize("text", ["", "5", "5/d", "-5/s", "0/s", "e/s", "1e400/s", "1..2/s"])
def test_no_rates(text: str) -> None:
    """Anything else is none."""
    with pytest.raises(ValueError, match=r"rate|range|float"):
        parse_rate(text)


def test_counts() -> None:
    """A count is a number, also with commas between thousands."""
    assert [1e9, 250000, 1e6] == [parse_count(text) for text in ("1e9", "250000", "1,000,000")]


@pytest.mark.parametrize("text", ["1,5", "1,00,000", "", "0", "-1", "nan", "inf", "1e30", "many"])
def test_no_counts(text: str) -> None:
    """A count is a number above 0."""
    with pytest.raises(ValueError, match=r"range|float"):
        parse_count(text)


@pytest.mark.parametrize(
    ("expected", "job"),
    [
        ("", Job(update="a", items=1, per_batch_s=1)),
        ("", Job(update="a", one_shot=True, one_shot_s=1)),
        ("how much is left is not known: say --items", Job(update="a", per_batch_s=1)),
        ("its speed is not known yet: say --rate", Job(update="a", items=1)),
        ("how long it takes is not known: say --one-shot SPAN", Job(update="a", one_shot=True)),
    ],
)
def test_what_is_missing(expected: str, job: Job) -> None:
    """A forecast that cannot be made says what it lacks."""
    assert expected == job.unknown


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


CONFIGS: list[Any] = [
    {},
    {"sleep": "1500ms", "target_duration": "250ms"},
    {"duty_cycle": "12.5%", "max_items_per_second": 0.5, "max_batch_size": 500},
    {"profile": "fast", "min_duty_cycle": "2%", "max_duty_cycle": "60%", "approval": "required"},
    {
        "time_zone": "Europe/Berlin",
        "max_hold": "36h",
        "windows": [{"days": "mon-fri", "start": "22:00", "end": "06:00"}, {"start": "12:00"}],
    },
]


@pytest.mark.parametrize("raw", CONFIGS, ids=str)
def test_stated_limits_are_understood(raw: Any) -> None:
    """The limits that a server states in texts are the limits that it has."""
    throttle = Throttle(parse(raw), Settings())
    told = explanation(throttle, "master", "an_update", False, Conditions(0.0, 0.0))
    _, limits = throttle.limits_of("an_update", "master", False)
    again = merge([settings_of(told["limits"])])
    assert str(limits.time_zone) == str(again.time_zone)
    for name in ("pace", "target_duration_ms", "windows", "max_hold_ms", "needs_approval"):
        assert getattr(limits, name) == getattr(again, name), name
    for name in ("max_items_per_second", "min_batch_items", "max_batch_items"):
        assert getattr(limits, name) == getattr(again, name), name


@pytest.mark.parametrize("value", ["soon", "1x", "", "2h later"])
def test_stated_otherwise(value: str) -> None:
    """What another version states in another way is not guessed."""
    with pytest.raises(ValueError, match="duration"):
        settings_of({"max_hold": value})


@pytest.mark.parametrize(
    ("expected", "section"),
    [
        (Settings(), None),
        (Settings(), {"sleep_duration_ms": "1s"}),
        (Settings(pace=FixedSleep(300.0)), {"sleep_duration_ms": 300}),
        (Settings(pace=FixedSleep(0.0)), {"sleep_enabled": False, "sleep_duration_ms": 300}),
        (
            Settings(target_duration_ms=50.0, min_batch_items=5, default_batch_items=10),
            {"background_update_duration_ms": 50, "min_batch_size": 5, "default_batch_size": 10},
        ),
    ],
)
def test_server_section(expected: Settings, section: object) -> None:
    """Synapse's own section is read as Synapse reads it."""
    assert expected == settings_of_section(section)


def past(hour: int, waited_s: Mapping[str, float], span_s: float = 3600.0, **more: Any) -> Past:
    began_s = 1_767_571_200.0 + hour * 3600
    return Past(began_s=began_s, ended_s=began_s + span_s, waited_s=waited_s, **more)


def seen(hour: int, present_ratio: float, per_s: float = 0.0, watched_s: float = 600.0) -> SeenHour:
    return SeenHour(hour, 0, watched_s, present_ratio * watched_s, per_s * watched_s)


def learned_values(*hours: SeenHour) -> tuple[float, ...]:
    found = learned.load_of_the_week(hours)
    assert found is not None
    return found.load.values


def test_load_is_learned_by_the_hour() -> None:
    """Each hour of the week has the share of the time in which clients were there, by UTC."""
    found = learned.load_of_the_week([seen(n, 0.9 if n % 24 == 9 else 0.2) for n in range(HOURS)])
    assert found is not None
    assert (HOURS, True) == (found.known, found.load.is_share)
    monday_s = 1_767_571_200.0
    assert 0.9 == pytest.approx(found.load.level(monday_s + 9 * 3600 + 1))
    assert 0.2 == pytest.approx(found.load.level(monday_s + 10 * 3600))


def test_load_where_clients_always_are() -> None:
    """There hours differ by the rate of requests; where none is seen, they do not."""
    hours = [seen(n, 1.0, 20.0 if n == 9 else 5.0) for n in range(HOURS)]
    found = learned.load_of_the_week(hours)
    assert found is not None
    assert not found.load.is_share
    assert (1.0, 0.25) == found.load.levels()
    assert {1.0} == set(learned_values(*(seen(n, 1.0) for n in range(HOURS))))


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


def test_not_enough_history() -> None:
    """Where no hour was watched for a minute, nothing is learned."""
    assert learned.load_of_the_week([]) is None
    assert learned.load_of_the_week([seen(1, 1.0, watched_s=59.0)]) is None


def test_mean_level() -> None:
    """The mean load of a time, by the week's hours; of a longer time, that of its last week."""
    load = parse_load([1.0] + [0.0] * 167, "a", timezone.utc)
    monday_s = 1_767_571_200.0
    assert 0.75 == pytest.approx(load.mean_level(monday_s + 900, monday_s + 3600 + 900))
    assert 1 / HOURS == pytest.approx(load.mean_level(0.0, monday_s))
    assert 1.0 == load.mean_level(monday_s, monday_s) == flat().mean_level(0.0, monday_s)


def paces(idle: float, busy: float, *, is_share: bool = True) -> Paces:
    return Paces((Knot(0.0, idle, idle, idle), Knot(1.0, busy, busy, busy)), is_share)


@pytest.mark.parametrize(
    ("expected", "share", "level"),
    [
        ((1.0, 0.2), 0.6, 0.5),
        ((1.0, 0.3), 0.3, 1.0),
        ((1.0, 0.01), 0.1, 0.5),
        ((1.0, 1.0), 1.0, 0.5),
        ((0.5, 0.1), 0.5, 0.0),
        ((0.05, 0.05), 0.05, 0.0),
    ],
    ids=["among clients", "always busy", "slower than can be", "as if idle", "nobody", "slow idle"],
)
def test_pace_as_observed(expected: tuple[float, float], share: float, level: float) -> None:
    """The pace with or without clients is put right, whichever was seen for longer."""
    found = as_observed(paces(1.0, 0.1), share, level, 0.2)
    assert expected == pytest.approx((found.at(0.0).share, found.at(1.0).share))
    assert 0 < found.at(1.0).low < found.at(1.0).share <= found.at(1.0).high <= 1
    if level:
        assert max(share, 0.505) == pytest.approx(max(found.at(level).share, 0.505))


def test_pace_as_observed_by_rates() -> None:
    """Where loads are rates, all paces are put right by the same factor."""
    found = as_observed(paces(0.8, 0.2, is_share=False), 0.25, 0.5, 0.2)
    assert (0.4, 0.1) == pytest.approx((found.at(0.0).share, found.at(1.0).share))


def test_budgets_that_were_closed() -> None:
    """A budget counts as the share of the time that it took, windows and pauses left out."""
    spent = {"budget": 600.0, "window": 1200.0, "gap": 100.0}
    assert 600 / 2400 == pytest.approx(learned.budgets_closed([past(0, spent)]))
    assert 0.0 == learned.budgets_closed([])


def test_share_observed() -> None:
    """The share of the time in batches is that outside of holds; from a few batches on."""
    assert 0.5 == learned.share_observed(past(0, {"window": 3500.0}, batches=9, batch_s=50.0))
    assert learned.share_observed(past(0, {}, batches=4, batch_s=50.0)) is None


def kept(made_ms: float, ahead_ms: float, update: str = "a") -> Kept:
    ends_ms = made_ms + ahead_ms
    return Kept("s", "master", update, made_ms, ends_ms - 100, ends_ms, ends_ms + 100)


def test_past_forecasts() -> None:
    """Forecasts are compared with the end that came next, and only those of ended updates."""
    went = [Went("master", "a", 0.0, 1000.0), Went("master", "a", 2000.0, 9000.0)]
    old = [kept(0, 2000), kept(500, 550), kept(8000, 500), kept(9500, 100), kept(0, 5, "b")]
    assert PastForecasts(3, 0.5, 1.0, 1 / 3) == compared(old, went, "s")
    assert PastForecasts() == compared(old, went, "another server")


@given(st.lists(st.tuples(st.floats(0, 1e12), st.integers(0, 99)), max_size=400))
def test_what_is_kept_is_bounded(made: list[tuple[float, int]]) -> None:
    """Of each update the first forecast and the newest are kept, and no more than so many."""
    found = bounded([kept(at_ms, 1e6, str(name)) for at_ms, name in made])
    assert len(found) <= MOST_KEPT
    assert list(found) == list(bounded(found))
    if made and len(made) < 5:
        assert len(made) == len(found)


def told(*names: str, name: str = "an update") -> Forecast:
    course = tuple((NOW_MS + n * DAY_MS, n / 9) for n in range(10))
    each = tuple(
        ConfigurationForecast(
            one, course[-1][0], course[-2][0], course[-1][0] + DAY_MS, 0.5, 0.02, course=course
        )
        for one in names
    )
    update = UpdateForecast("master", name, 9e5, ends_ms=1.0, earliest_ms=0.0, latest_ms=2.0)
    return Forecast(NOW_MS, "flat", (update,), each)


def test_plot() -> None:
    """The plot is plain text of 80 columns, with the present configuration over the others."""
    lines = list(plot(told("present", "fast", "stock")))
    assert max(map(len, lines)) <= WIDTH == 80
    assert all(line.isascii() for line in lines)
    assert "2026-01-06 22:00" in lines[-2]
    assert 12 < "".join(lines[:-1]).count("*")
    assert [] == list(plot(Forecast(NOW_MS, "flat", (), ())))


def test_svg() -> None:
    """The picture is well-formed, whatever names it has, and also where nothing ends."""
    for forecast in (told("present", "<&stock"), Forecast(NOW_MS, "<&", (), ())):
        root = ElementTree.fromstring(svg(forecast))
        assert "svg" in root.tag
        assert not re.search("<&", svg(forecast))


def test_a_forecast_of_seconds_is_not_kept() -> None:
    """What ends at once, or never, is not worth keeping."""
    assert () == kept_of(told("present"), "s")
