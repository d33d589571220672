"""Activity in the hours of the week: bounded, and slowly forgotten."""

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synapse_bgthrottle.core.adaptive.client_activity import ClientActivity
from synapse_bgthrottle.core.adaptive.weekly_activity import SeenHour, WeeklyActivity, answered
from synapse_bgthrottle.core.signals.samples import ProcessSample

# Monday 2026-01-05, 00:00 UTC.
MONDAY_S = 1_767_571_200.0
THIS_WEEK = 2923


def watch(
    week: WeeklyActivity, wall_s: float, seconds: float, per_s: float = 0.0, step_s: float = 0.25
) -> None:
    """Looks as the sampler does, from now on, with requests at regular times."""
    presence = ClientActivity()
    for number in range(int(seconds / step_s) + 1):
        at_s = number * step_s
        count = int(at_s * per_s)
        presence.look(at_s, 0, count)
        responses = {"a": (0.0, float(count))}
        sample = ProcessSample(at_s=at_s, timer_late_s=0.0, responses=responses)
        week.see(sample, presence, wall_s + at_s)


def test_hours_of_the_week() -> None:
    """Hours count from Monday's midnight by UTC, and each is remembered by itself."""
    week = WeeklyActivity()
    watch(week, MONDAY_S + 3590, 20)
    watch(week, MONDAY_S + 167 * 3600, 10)
    assert {0, 1, 167} == set(week.hours)
    assert [10, 10, 10] == pytest.approx([h.watched_s for h in week.hours.values()], abs=0.3)
    assert {THIS_WEEK} == {hour.week for hour in week.hours.values()}


def test_presence_and_requests() -> None:
    """Somebody is there as long as requests keep coming, and how many they are is counted."""
    week = WeeklyActivity()
    watch(week, MONDAY_S, 100, per_s=2)
    watch(week, MONDAY_S + 3600, 100)
    busy, idle = week.stated()
    assert 0 == busy.hour
    assert 1.0 == pytest.approx(busy.present_ratio, abs=0.02)
    assert 2.0 == pytest.approx(busy.requests_per_second, abs=0.02)
    assert (1, 100.0, 0.0, 0.0) == attrs.astuple(idle)


def test_what_cannot_be_seen() -> None:
    """Where nothing tells who is there nothing is remembered; requests elsewhere are no 0."""
    week = WeeklyActivity(sees_requests=False)
    presence = ClientActivity()
    for at_s in (0.0, 0.25, 0.5):
        presence.look(at_s, None, 0)
        week.see(ProcessSample(at_s=at_s, timer_late_s=0.0), presence, MONDAY_S)
    assert () == week.stated()
    for number in range(10):
        presence.look_at_transactions(number * 0.25, number * 100.0, 0.0)
        sample = ProcessSample(at_s=number * 0.25, timer_late_s=0.0)
        week.see(sample, presence, MONDAY_S)
    (hour,) = week.stated()
    assert (1.0, None) == (hour.present_ratio, hour.requests_per_second)


def test_time_between_looks_far_apart() -> None:
    """While nothing was looked at, nothing was seen."""
    week = WeeklyActivity()
    watch(week, MONDAY_S, 600, step_s=60)
    assert {} == week.hours


def test_forgetting() -> None:
    """What was seen two weeks ago counts for half; a clock that is put back changes nothing."""
    old = SeenHour(5, 10, 3600.0, 1800.0, 900.0)
    assert SeenHour(5, 12, 1800.0, 900.0, 450.0) == old.faded(12)
    assert SeenHour(5, 3, 3600.0, 1800.0, 900.0) == old.faded(3)
    both = old.and_also(SeenHour(5, 12, 200.0, 0.0, 0.0))
    assert SeenHour(5, 12, 2000.0, 900.0, 450.0) == both


@given(st.lists(st.tuples(st.integers(0, 10_000), st.floats(0, 3600)), max_size=50))
def test_an_hour_is_bounded(visits: list[tuple[int, float]]) -> None:
    """However many weeks are seen, in whatever order, an hour's sums stay those of some weeks."""
    hour = SeenHour(0, 0)
    for at_week, watched_s in sorted(visits):
        hour = hour.and_also(SeenHour(0, at_week, watched_s, watched_s / 2, watched_s))
    by_week = max((sum(w == v for v, _ in visits) for w, _ in visits), default=0)
    assert hour.watched_s <= by_week * 3600 / (1 - 0.5**0.5) + 1e-6
    assert 0 <= hour.present_s <= hour.watched_s


def test_what_changed_is_written_once() -> None:
    """Only hours that changed are to be written, again where that failed."""
    week = WeeklyActivity()
    watch(week, MONDAY_S, 10)
    written = week.changed()
    assert [0] == [hour.hour for hour in written]
    assert [] == week.changed()
    week.put_back(written)
    assert written == week.changed()


def test_what_was_seen_before_the_start() -> None:
    """It is added to what was seen since, and nothing of it has to be written again."""
    week = WeeklyActivity()
    watch(week, MONDAY_S, 10)
    week.changed()
    week.recall([SeenHour(0, THIS_WEEK - 2, 100.0, 50.0, 0.0), SeenHour(9, THIS_WEEK, 7.0)])
    assert [0, 9] == sorted(week.hours)
    assert 60.0 == pytest.approx(week.hours[0].watched_s)
    assert [] == week.changed()


@pytest.mark.parametrize("count", [float("inf"), float("nan"), -float("inf")])
def test_counts_that_are_none(count: float) -> None:
    """What no counter can say counts for nothing."""
    responses = {"a": (0.0, count), "b": (0.0, 3.0)}
    assert 3 == answered(ProcessSample(at_s=0.0, timer_late_s=0.0, responses=responses))
