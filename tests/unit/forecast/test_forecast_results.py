"""The use of a forecast: drawn, stored, and compared with what happened."""

import re
import xml.etree.ElementTree as ElementTree

from hypothesis import given
from hypothesis import strategies as st

from synapse_bgthrottle.forecast.accuracy import MOST_KEPT, Kept, bounded, compared, kept_of
from synapse_bgthrottle.forecast.charts import WIDTH, plot, svg
from synapse_bgthrottle.forecast.models import (
    ConfigurationForecast,
    Forecast,
    PastForecasts,
    UpdateForecast,
)
from synapse_bgthrottle.schema import HistoryEntry

NOW_MS = 1_767_736_800_000.0
DAY_MS = 86_400_000.0


def kept(made_ms: float, ahead_ms: float, update: str = "a") -> Kept:
    ends_ms = made_ms + ahead_ms
    return Kept("s", "master", update, made_ms, ends_ms - 100, ends_ms, ends_ms + 100)


def test_past_forecasts() -> None:
    """Forecasts are compared with the end that came next, and only those of ended updates."""
    went = [
        HistoryEntry(database="master", update="a", outcome=outcome, ended_ms=ended_ms)
        for outcome, ended_ms in (("done", 1000), ("gone", 1500), ("done", 9000), ("running", None))
    ]
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
