"""What a forecast is asked for: the job, and limits as servers state them."""

from typing import Any

import pytest

from synapse_bgthrottle.config import parse
from synapse_bgthrottle.decision import Conditions
from synapse_bgthrottle.explanation import explanation
from synapse_bgthrottle.forecast.job import Job, parse_count, parse_rate
from synapse_bgthrottle.forecast.server_section import settings_of_section
from synapse_bgthrottle.forecast.stated import settings_of
from synapse_bgthrottle.limits import FixedSleep, Settings, merge
from synapse_bgthrottle.throttle import Throttle


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
