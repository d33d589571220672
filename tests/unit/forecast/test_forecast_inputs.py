"""What a forecast is asked for: the job, and limits as servers state them."""

import json
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synapse_bgthrottle.core.config.limits import FixedSleep, Limits, Settings, merge
from synapse_bgthrottle.core.config.parser import Config
from synapse_bgthrottle.core.reports.explain import limit_values, settings_of
from synapse_bgthrottle.core.scheduling.throttle import Throttle
from synapse_bgthrottle.forecast.models import Job, parse_count, parse_rate
from synapse_bgthrottle.forecast.server_section import settings_of_section
from synapse_bgthrottle.schema import LimitValues, WindowValues, decode, to_json
from testbed.strategies.strategies import UPDATES, configs


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


@pytest.mark.parametrize(
    ("said", "changes"),
    [
        ("no profile", {"profile": "careful"}),
        ("no time zone", {"time_zone": "Nowhere/At_all"}),
        ("no time zone", {"time_zone": "../etc"}),
        ("no pace", {"pace": "sprint"}),
        ("no pace", {"pace": "sleep", "sleep_ms": None}),
        ("not in tuple", {"windows": (WindowValues(days=("someday",)),)}),
    ],
)
def test_stated_otherwise(said: str, changes: dict[str, Any]) -> None:
    """What another version has and this one does not know is not guessed."""
    with pytest.raises(ValueError, match=said):
        settings_of(attrs.evolve(limit_values(Limits()), **changes))


@given(configs(), st.sampled_from(UPDATES), st.booleans())
def test_values_are_all_that_limits_are(config: Config, name: str, one_shot: bool) -> None:
    """Over JSON and back, any limits are what they were."""
    throttle = Throttle(config, Settings())
    limits = throttle.limits_of(name, "master", one_shot)[1]
    sent = json.loads(json.dumps(to_json(limit_values(limits)), allow_nan=False))
    again = merge([settings_of(decode(LimitValues, sent))])
    assert str(limits.time_zone) == str(again.time_zone)
    assert attrs.evolve(limits, time_zone=again.time_zone) == again


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
