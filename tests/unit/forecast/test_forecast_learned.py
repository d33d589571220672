"""What a forecast learns from the past: the load of a week, paces and budgets as observed."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synapse_bgthrottle.core.adaptive.weekly_activity import SeenHour
from synapse_bgthrottle.forecast import from_history
from synapse_bgthrottle.forecast.from_history import Past
from synapse_bgthrottle.forecast.pace_curve import Knot, Paces, as_observed
from synapse_bgthrottle.forecast.weekly_load import HOURS


def past(hour: int, waited_s: Mapping[str, float], span_s: float = 3600.0, **more: Any) -> Past:
    began_s = 1_767_571_200.0 + hour * 3600
    return Past(began_s=began_s, ended_s=began_s + span_s, waited_s=waited_s, **more)


def seen(hour: int, present_ratio: float, per_s: float = 0.0, watched_s: float = 600.0) -> SeenHour:
    return SeenHour(hour, 0, watched_s, present_ratio * watched_s, per_s * watched_s)


def learned_values(*hours: SeenHour) -> tuple[float, ...]:
    found = from_history.load_of_the_week(hours)
    assert found is not None
    return found.load.values


def test_load_is_learned_by_the_hour() -> None:
    """Each hour of the week has the share of the time in which clients were there, by UTC."""
    found = from_history.load_of_the_week(
        [seen(n, 0.9 if n % 24 == 9 else 0.2) for n in range(HOURS)]
    )
    assert found is not None
    assert (HOURS, True) == (found.known, found.load.is_share)
    monday_s = 1_767_571_200.0
    assert 0.9 == pytest.approx(found.load.level(monday_s + 9 * 3600 + 1))
    assert 0.2 == pytest.approx(found.load.level(monday_s + 10 * 3600))


def test_load_where_clients_always_are() -> None:
    """There hours differ by the rate of requests; where none is seen, they do not."""
    hours = [seen(n, 1.0, 20.0 if n == 9 else 5.0) for n in range(HOURS)]
    found = from_history.load_of_the_week(hours)
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
    assert from_history.load_of_the_week([]) is None
    assert from_history.load_of_the_week([seen(1, 1.0, watched_s=59.0)]) is None


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
    assert 600 / 2400 == pytest.approx(from_history.budgets_closed([past(0, spent)]))
    assert 0.0 == from_history.budgets_closed([])


def test_share_observed() -> None:
    """The share of the time in batches is that outside of holds; from a few batches on."""
    assert 0.5 == from_history.share_observed(past(0, {"window": 3500.0}, batches=9, batch_s=50.0))
    assert from_history.share_observed(past(0, {}, batches=4, batch_s=50.0)) is None
