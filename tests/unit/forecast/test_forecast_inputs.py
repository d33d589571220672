"""The input of a forecast: the job, and the server's own section."""

import pytest

from synapse_bgthrottle.cli.inputs.forecast_options import parse_count, parse_rate
from synapse_bgthrottle.core.config.limits import FixedSleep, Settings
from synapse_bgthrottle.core.config.parser import Config
from synapse_bgthrottle.core.config.stock import stock_settings
from synapse_bgthrottle.core.scheduling.batch_cost import Cost
from synapse_bgthrottle.core.tracking.timeline import Job
from synapse_bgthrottle.core.tracking.weekly_load import flat
from synapse_bgthrottle.forecast.forecast import STOCK, Question, closed_ratio, forecast
from synapse_bgthrottle.schema import HistoryEntry


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
        ("how much is left is not known: use --items", Job(update="a", per_batch_s=1)),
        ("its speed is not known yet: use --rate", Job(update="a", items=1)),
        ("how long it takes is not known: use --one-shot DURATION", Job(update="a", one_shot=True)),
    ],
)
def test_what_is_missing(expected: str, job: Job) -> None:
    """A forecast that cannot be made says what it lacks."""
    assert expected == job.unknown


@pytest.mark.parametrize(
    ("expected", "section"),
    [
        (Settings(), None),
        (Settings(), {"sleep_duration_ms": "1s"}),
        (Settings(), {"sleep_duration_ms": 1000, "min_batch_size": True}),
        (Settings(pace=FixedSleep(300.0)), {"sleep_duration_ms": 300}),
        (Settings(pace=FixedSleep(0.0)), {"sleep_enabled": False, "sleep_duration_ms": 300}),
        (
            Settings(target_duration_ms=50.0, min_batch_items=5, default_batch_items=10),
            {"background_update_duration_ms": 50, "min_batch_size": 5, "default_batch_size": 10},
        ),
    ],
)
def test_server_section(expected: Settings, section: object) -> None:
    """Of Synapse's own section the values count that differ from its defaults, as on the server."""
    assert expected == stock_settings(section)[0].tuned()


def test_budgets_that_were_closed() -> None:
    """A budget counts as the share of the time that it took, windows and pauses left out."""
    spent = {"budget": 600e3, "window": 1200e3, "gap": 100e3}
    entry = HistoryEntry(update="a", batch_time_ms=1700e3, waited_ms=spent)
    assert 600 / 2400 == pytest.approx(closed_ratio([entry]))
    assert 0.0 == closed_ratio([])


def test_stock_pays_the_fixed_cost_for_each_item() -> None:
    """With half a second a batch it comes down to one item, once in 1.5 s; we make batches long."""
    question = Question(
        jobs=(Job(update="a", items=30_000, per_batch_s=3000, cost=Cost(0.5, 0.0002)),),
        config=Config(),
        load=flat(value=0.0),
        start_s=0.0,
        only=("present", STOCK),
    )
    present, stock = forecast(question).configurations
    assert 30_000 / 3000 == pytest.approx(present.ends_ms / 1000)  # type: ignore[operator]
    assert 30_000 * 1.5002 == pytest.approx(stock.ends_ms / 1000)  # type: ignore[operator]
