"""The way through a queue at given paces: ends, holds, and what may never happen."""

import math
from datetime import timezone
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synapse_bgthrottle.core.config.limits import Settings
from synapse_bgthrottle.core.config.parser import parse
from synapse_bgthrottle.core.scheduling.state import UpdateState
from synapse_bgthrottle.core.scheduling.throttle import Throttle
from synapse_bgthrottle.core.tracking.expected_pace import CASES, EARLY, LATE, LIKELY, Range, Shares
from synapse_bgthrottle.core.tracking.timeline import MOST_EVENTS, Job, Walk, walk
from synapse_bgthrottle.core.tracking.weekly_load import HOURS, WeeklyLoad, flat, office
from synapse_bgthrottle.forecast.forecast import configurations
from testbed.strategies.strategies import raw_configs

SOME = settings(max_examples=25, derandomize=True)
START_S = 1_767_571_200.0  # Monday 2026-01-05, midnight UTC
HOUR_S = 3600.0
DAY_S = 24 * HOUR_S
NIGHTS = {"windows": [{"start": "22:00", "end": "06:00"}]}


def gone(
    raw: dict[str, Any],
    *jobs: Job,
    load: WeeklyLoad | None = None,
    at_peak: float = 0.1,
    case: str = LIKELY,
) -> Walk:
    """A walk at the pace 1 without clients, and `at_peak` with most; let go it is 0.01."""

    def pace_of(job: Job, update: UpdateState) -> tuple[Shares, float]:
        alone, among = (0.01, 0.01) if update.holds.has_outlasted else (1.0, at_peak)
        return Shares(Range.exactly(alone), Range.exactly(among)), 0.0

    throttle = Throttle(parse(raw), Settings())
    return walk(throttle, jobs, pace_of, case, load or flat(), START_S)


def _shares(share: float) -> Shares:
    return Shares(Range.exactly(share), Range.exactly(share))


def took_s(raw: dict[str, Any], work_s: float, **more: Any) -> float:
    (leg,) = gone(raw, Job(update="a", items=work_s, per_batch_s=1.0), **more).legs
    assert leg.ends_s is not None
    return leg.ends_s - START_S


@pytest.mark.parametrize(
    ("expected_s", "raw", "work_s", "load"),
    [
        (1000, {}, 100, flat()),
        (100, {}, 100, flat(value=0.0)),
        # Open from midnight to 6 and from 22 on.
        (23 * HOUR_S, NIGHTS, 7 * HOUR_S, flat(value=0.0)),
        (DAY_S + 5 * HOUR_S, NIGHTS, 13 * HOUR_S, flat(value=0.0)),
        # A day has 8 hours: 30 days have 240.
        (30 * DAY_S, NIGHTS, 240 * HOUR_S, flat(value=0.0)),
        # Held for two hours, let go at a hundredth for the 14 that are left, then open again.
        (22 * HOUR_S + 60, {**NIGHTS, "max_hold": "2h"}, 6.14 * HOUR_S + 60, flat(value=0.0)),
        # Six weeks and a day, of which five weeks are gone at once.
        (43 * DAY_S, {}, 43 * DAY_S / 10, flat()),
    ],
)
def test_ends(expected_s: float, raw: dict[str, Any], work_s: float, load: WeeklyLoad) -> None:
    """An update ends when its work is done, at the pace of each moment, in open windows."""
    assert expected_s == pytest.approx(took_s(raw, work_s, load=load))


def test_whole_weeks_at_once() -> None:
    """Weeks that are gone at once take as long as those gone hour by hour, over a clock change."""
    week_s = took_s(NIGHTS, 100 * HOUR_S, load=office())
    many = took_s(NIGHTS, 3000 * HOUR_S, load=office())
    assert 30 * week_s == pytest.approx(many, rel=0.05)
    (leg,) = gone(NIGHTS, Job(update="a", items=1e7, per_batch_s=1.0), load=office()).legs
    assert 1e7 == pytest.approx(leg.batches_s)
    assert (
        len(gone(NIGHTS, Job(update="a", items=1e9, per_batch_s=1.0), load=office()).points) < 3000
    )


def test_a_queue() -> None:
    """Updates come one after the other; behind one of which nothing is known none is foretold."""
    known, unknown = Job(update="a", items=10, per_batch_s=1.0), Job(update="b", items=10)
    legs = gone({}, known, known, unknown, known).legs
    assert [100, 200, None] == [leg.ends_s and leg.ends_s - START_S for leg in legs]
    assert "its speed is not known yet: use --rate" == legs[2].why


def test_holds_without_end() -> None:
    """An approval has no end that can be foretold, and is told."""
    (leg,) = gone({"approval": "required"}, Job(update="a", items=1, per_batch_s=1.0)).legs
    assert leg.ends_s is None
    assert "approval is required" in leg.why


def test_a_speed_that_may_be_off() -> None:
    """Early and late are also as far apart as the speed may be off."""
    job = Job(update="a", items=90, per_batch_s=1.0, speed_error=0.1)
    cases = [gone({}, job, load=flat(value=0.0), case=case) for case in (EARLY, LIKELY, LATE)]
    ends_s = [walked.points[-1][0] - START_S for walked in cases]
    assert [90 / 1.1, 90, 100] == pytest.approx(ends_s)


def test_a_pause() -> None:
    """What is paused begins when the pause ends."""
    (leg,) = gone({}, Job(update="a", items=1, per_batch_s=1, not_before_s=START_S + 50)).legs
    assert START_S + 60 == leg.ends_s


@pytest.mark.parametrize("raw", [NIGHTS, {"approval": "required"}], ids=["windows", "approval"])
@pytest.mark.parametrize("until_s", [START_S + 60.0, math.inf], ids=["unused", "in use"])
def test_a_release(raw: dict[str, Any], until_s: float) -> None:
    """What is released goes to its end, whatever windows and approvals say."""
    released = Job(update="a", items=DAY_S, per_batch_s=1.0, released_until_s=until_s)
    one, other = gone(raw, released, Job(update="b", items=1, per_batch_s=1.0), at_peak=1.0).legs
    assert START_S + DAY_S == pytest.approx(one.ends_s)
    if "approval" in raw:
        assert "approval is required" in other.why


def test_a_release_that_ends_before_its_turn() -> None:
    """A release that has ended by the time of its update lets nothing go."""
    first = Job(update="a", items=1e4, per_batch_s=1.0, released_until_s=math.inf)
    late = Job(update="b", items=1, per_batch_s=1.0, released_until_s=START_S + 3600)
    one, other = gone({"approval": "required"}, first, late).legs
    assert one.ends_s is not None
    assert "approval is required" in other.why


def test_a_one_shot() -> None:
    """A one-shot waits for its window, and a window that closes does not stop it."""
    windows = {"windows": [{"start": "03:00", "end": "03:01"}]}
    (leg,) = gone(windows, Job(update="a", one_shot=True, one_shot_s=7200.0)).legs
    assert (START_S + 3 * HOUR_S, START_S + 5 * HOUR_S) == (leg.starts_s, leg.ends_s)


def test_never() -> None:
    """What would take more than a hundred years has no end."""
    (leg,) = gone({}, Job(update="a", items=1e12, per_batch_s=1.0)).legs
    assert leg.ends_s is None
    assert "hundred years" in leg.why


loads = st.lists(st.floats(0, 1), min_size=HOURS, max_size=HOURS).map(tuple)
works = st.floats(1, 40 * DAY_S)
windows = st.lists(
    st.tuples(st.integers(0, 6), st.integers(0, 1439), st.integers(1, 1440)).filter(
        lambda window: window[1] != window[2] % 1440
    ),
    min_size=1,
    max_size=4,
)
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def configured(found: list[tuple[int, int, int]]) -> dict[str, Any]:
    return {
        "windows": [{"days": [DAYS[day]], "start": start, "end": end} for day, start, end in found]
    }


@SOME
@given(values=loads, more=loads, work_s=works)
def test_more_load_never_ends_sooner(
    values: tuple[float, ...], more: tuple[float, ...], work_s: float
) -> None:
    """With more clients in any of the week's hours no update ends sooner."""
    higher = tuple(map(max, values, more))
    calm, busy = (
        took_s({}, work_s, load=WeeklyLoad("a week", each, zone=timezone.utc))
        for each in (values, higher)
    )
    assert calm <= busy + 1


@SOME
@given(first=windows, more=windows, work_s=st.floats(1, DAY_S))
def test_wider_windows_never_end_later(
    first: list[tuple[int, int, int]], more: list[tuple[int, int, int]], work_s: float
) -> None:
    """With further windows no update ends later, nor with none at all, which is always."""
    few, many = (took_s(configured(each), work_s, at_peak=0.5) for each in (first, first + more))
    assert took_s({}, work_s, at_peak=0.5) - 1 <= many <= few + 1


@SOME
@given(values=loads, work_s=works, more_s=works, found=windows)
def test_more_items_never_end_sooner(
    values: tuple[float, ...], work_s: float, more_s: float, found: list[tuple[int, int, int]]
) -> None:
    """The more there is to do, the later it ends; after decades it is not followed any further."""
    load = WeeklyLoad("a week", values)
    few, many = (
        gone(
            configured(found),
            Job(update="a", items=each / 10, per_batch_s=1.0),
            load=load,
            at_peak=0.5,
        )
        .legs[0]
        .ends_s
        or math.inf
        for each in (work_s, work_s + more_s)
    )
    assert few <= many + 1


def test_what_clients_bear() -> None:
    """Of the time with clients, by how much they are slower; a range is walked at its ends."""
    shares = Shares(Range(1.0, 0.5, 1.0), Range(0.1, 0.05, 0.2))
    job = Job(update="a", items=100.0, per_batch_s=1.0)
    took = {}
    for case in CASES:
        throttle = Throttle(parse({}), Settings())
        (leg,) = walk(throttle, [job], lambda *_: (shares, 0.5), case, flat(), START_S).legs
        took[case] = (leg.ends_s or 0) - START_S
        assert math.expm1(0.5 * shares.among_clients.of(case)) == pytest.approx(
            leg.slower_s / leg.clients_s
        )
    assert {LIKELY: 1000, EARLY: 500, LATE: 2000} == pytest.approx(took)


@pytest.mark.parametrize(
    "signals",
    [
        {"disk_free": "2GiB"},
        {"replica_lag": "5s"},
        {"pause_file": "/run/pause"},
        {"http": "http://localhost"},
        {"sql": {"query": "SELECT 1", "threshold": 1}},
    ],
    ids=lambda signals: next(iter(signals)),
)
def test_budgets_are_open(signals: dict[str, Any]) -> None:
    """Budgets that are configured, which no forecast can see, hold nothing in it."""
    name, config, server = next(configurations(parse({"signals": signals}), Settings()))
    throttle = Throttle(config, server)
    job = Job(update="a", items=100.0, per_batch_s=1.0)
    (leg,) = walk(throttle, [job], lambda *_: (_shares(0.1), 0.0), LIKELY, flat(), START_S).legs
    assert ("present", 1000) == (name, leg.ends_s and leg.ends_s - START_S)


@SOME
@given(raw=raw_configs(), share=st.sampled_from((1e-6, 0.01, 1.0)))
def test_it_comes_to_an_end(raw: dict[str, Any], share: float) -> None:
    """Whatever is configured, a walk ends, within some thousand events."""
    _, config, server = next(configurations(parse(raw), Settings()))
    job = Job(update="rule0", items=1e6, per_batch_s=100.0)
    (leg,), points = attrs.astuple(
        walk(
            Throttle(config, server),
            [job],
            lambda *_: (_shares(share), 0.0),
            LIKELY,
            office(),
            START_S,
        ),
        recurse=False,
    )
    assert (leg.ends_s is None) == bool(leg.why)
    assert len(points) < 5000


def test_no_pace_at_all() -> None:
    """Where nothing is ever done, that is said after some thousand events."""
    job = Job(update="a", items=1.0, per_batch_s=1.0)
    throttle = Throttle(parse({}), Settings())
    (leg,) = walk(throttle, [job], lambda *_: (_shares(0.0), 0.0), LIKELY, office(), START_S).legs
    assert leg.ends_s is None
    assert f"no end within {MOST_EVENTS} " in leg.why
