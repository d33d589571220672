"""Time left: right within 20 % at a steady pace, known at once, and never nonsense."""

import math
from collections.abc import Iterator
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synapse_bgthrottle.core.config.limits import DutyCycle, FixedSleep, Limits
from synapse_bgthrottle.core.config.windows import Window
from synapse_bgthrottle.core.scheduling.batch_cost import Cost
from synapse_bgthrottle.core.tracking.expected_pace import Range
from synapse_bgthrottle.core.tracking.history import HistoryEntry
from synapse_bgthrottle.core.tracking.measured_pace import Look, MeasuredPace
from synapse_bgthrottle.core.tracking.time_left import (
    DONE,
    NOT_KNOWN,
    Estimate,
    Known,
    estimate,
)
from synapse_bgthrottle.core.tracking.weekly_load import HOURS, Seen, WeeklyLoad, flat, learned
from synapse_bgthrottle.schema import TimeLeft

# Monday 2026-01-05, midnight UTC.
WALL_S = 1_767_571_200.0
HOUR_S = 3600.0

_TENTH = Limits(pace=DutyCycle(0.1))
_IDLE = flat(value=0.0)
_BEGUN = HistoryEntry(database="master", update="a", started_s=WALL_S)


@attrs.define
class Watched:
    """An update that is looked at, as the module does it; rests nine times as long as it works."""

    limits: Limits = _TENTH
    load: WeeklyLoad = _IDLE
    pace: MeasuredPace = attrs.field(factory=MeasuredPace)
    entry: HistoryEntry = _BEGUN
    known: dict[str, Any] = attrs.field(factory=dict)

    def observe(self, now_s: float, left: float, batch_s: float, held_s: float) -> None:
        self.look(Look(now_s, left, batch_s, held_s, batch_s * 100))

    def look(self, look: Look) -> None:
        self.pace.observe(look)
        self.entry = attrs.evolve(self.entry, batch_s=look.batch_s, batches=100)

    def estimate(self) -> Estimate:
        more = {"entry": self.entry, "load": self.load, "wall_s": WALL_S, **self.known}
        return estimate(self.pace, Known(limits=self.limits, **more))

    def time_left(self) -> TimeLeft:
        return self.estimate().time_left_s


@attrs.frozen
class SteadyUpdate:
    """Batches of the same size and time with the same rest between them, and one hold."""

    batches: int
    batch_size: int
    batch_s: float
    rest_s: float
    hold_after: int = 0  # batches
    hold_s: float = 0.0

    @property
    def period_s(self) -> float:
        return self.batch_s + self.rest_s

    def held_s(self, now_s: float) -> float:
        return min(max(now_s - self.hold_after * self.period_s, 0.0), self.hold_s)

    def active_s(self, now_s: float) -> float:
        return now_s - self.held_s(now_s)

    def batches_done(self, now_s: float) -> int:
        active_s = self.active_s(now_s)
        return min(int((active_s + self.rest_s) / self.period_s + 1e-9), self.batches)

    def truth_s(self, now_s: float) -> float:
        return self.batches * self.period_s - self.rest_s - self.active_s(now_s)

    def look(self, pace: Watched, now_s: float) -> int:
        """Tell of a look; answers the batches that were done."""
        done = self.batches_done(now_s)
        left = (self.batches - done) * self.batch_size
        pace.observe(now_s, left, done * self.batch_s, self.held_s(now_s))
        return done


def looks(update: SteadyUpdate, gaps_s: list[float], start_s: float = 0.0) -> Iterator[float]:
    """The instants of the looks, gap after gap again and again, until it is done."""
    now_s, number = start_s, 0
    while update.batches_done(now_s) < update.batches:
        yield now_s
        now_s += gaps_s[number % len(gaps_s)]
        number += 1


_updates = st.builds(
    SteadyUpdate,
    batches=st.integers(20, 600),
    batch_size=st.integers(1, 5000),
    batch_s=st.floats(0.05, 60),
    rest_s=st.floats(0, 240),
    hold_after=st.integers(0, 40),
    hold_s=st.sampled_from([0.0, 30.0, 4000.0]),
)
_gaps_s = st.one_of(
    st.just([5.0]), st.lists(st.floats(0.5, 15), min_size=1, max_size=12), st.just([60.0])
)


@settings(max_examples=40)
@given(update=_updates, gaps_s=_gaps_s, start=st.floats(0, 0.5))
def test_within_a_fifth_of_the_truth(
    update: SteadyUpdate, gaps_s: list[float], start: float
) -> None:
    """At a steady pace, from a tenth on, it errs by 20 % or three looks, wherever it began.

    Before some looks have shown the pace it is in the range that is told.
    """
    limits = Limits(pace=DutyCycle(update.batch_s / update.period_s))
    pace, longest_s = Watched(limits), max(gaps_s)
    first_s = start * update.batches * update.period_s
    for number, now_s in enumerate(looks(update, gaps_s, first_s)):
        if number > 200:  # of an update of days with looks of a second
            break
        done = update.look(pace, now_s)
        found = pace.time_left()
        truth_s = update.truth_s(now_s)
        watched_s = update.active_s(now_s) - update.active_s(first_s)
        if done < update.batches / 10:
            continue
        if found.at_this_pace is None or found.unthrottled is None:
            # Two batches and some looks, at most.
            assert watched_s <= 2 * update.period_s + 3 * longest_s
            continue
        assert found.earliest is not None
        assert found.latest is not None
        assert found.earliest - 3 * longest_s <= truth_s <= found.latest + 3 * longest_s
        if watched_s <= 2 * update.period_s + 13 * longest_s:
            continue
        assert truth_s == pytest.approx(found.at_this_pace, abs=max(0.2 * truth_s, 3 * longest_s))
        assert (update.batches - done) * update.batch_s == pytest.approx(found.unthrottled)


@pytest.mark.parametrize(
    ("batch_s", "rest_s", "batches"),
    [(0.1, 1.4, 4000), (1, 9, 300), (10, 140, 25), (0.7, 6.3, 200), (300, 300, 20)],
)
def test_known_at_a_tenth_with_the_looks_of_the_module(
    batch_s: float, rest_s: float, batches: int
) -> None:
    """With a look every 5 s it is known at a tenth of the way, and right to the end."""
    update = SteadyUpdate(batches, 100, batch_s, rest_s)
    pace = Watched(Limits(pace=DutyCycle(batch_s / (batch_s + rest_s))))
    for now_s in looks(update, [5.0]):
        done = update.look(pace, now_s)
        if done > max(batches / 10, 2):
            found_s = pace.time_left().at_this_pace
            assert found_s is not None
            truth_s = update.truth_s(now_s)
            assert truth_s == pytest.approx(found_s, abs=max(0.2 * truth_s, 15))


def test_unknown_at_first() -> None:
    """Before anything was done, and with no limit that says it, nothing is known."""
    pace = Watched()
    assert NOT_KNOWN == pace.time_left()
    pace.observe(0, 1000, 0, 0)
    assert NOT_KNOWN == pace.time_left()


def test_known_at_the_first_batch() -> None:
    """Once a batch has ended its speed is known, and with the limits the time left."""
    pace = Watched()
    pace.observe(0, 1000, 0, 0)
    pace.observe(5, 990, 1, 0)
    told = pace.time_left()
    assert 990 == pytest.approx(told.expected)
    assert told.earliest is not None
    assert told.latest is not None
    assert told.earliest < 990 < told.latest


def _steady(pace: Watched, seconds: int, left: float = 10_000.0, start_s: float = 0.0) -> float:
    """Looks every 5 s, 10 items/s, a tenth of the time in batches; answers what is left."""
    for number in range(0, seconds + 1, 5):
        pace.observe(start_s + number, left - 10 * number, (start_s + number) / 10, 0)
    return left - 10 * (seconds // 5 * 5)


def test_steady() -> None:
    """What is left at the pace of the sums, and the part of it that batches are."""
    pace = Watched()
    left = _steady(pace, 100)
    found = pace.time_left()
    assert left / 10 == pytest.approx(found.at_this_pace)
    assert left / 100 == pytest.approx(found.unthrottled)
    assert found.expected == pytest.approx(found.at_this_pace)


def test_done() -> None:
    """Where nothing is left, it is nothing, even when no pace is known: a very short update."""
    pace = Watched(Limits(max_items_per_second=5))
    pace.observe(0, 0, 0, 0)
    pace.observe(1, 0, 0.1, 0)
    assert DONE == pace.time_left()


def test_same_instant() -> None:
    """Looks at the same instant change nothing."""
    pace, again = Watched(), Watched()
    left = _steady(pace, 100)
    _steady(again, 100)
    for _ in range(3):
        again.observe(100, left, 10, 0)
    assert pace.time_left() == again.time_left()


def test_no_progress() -> None:
    """While nothing goes on the answer grows, and it stays finite."""
    pace = Watched()
    left = _steady(pace, 100)
    found: list[float] = []
    for now_s in (100, 200, 400, 4000, 400_000):
        pace.observe(now_s, left, 10, 0)
        answer_s = pace.time_left().at_this_pace
        assert answer_s is not None
        found.append(answer_s)
    assert sorted(found) == found
    assert 20 * found[0] < found[-1] < math.inf


def test_hold() -> None:
    """A night in a closed window is not in the answer, and does not make anybody forget."""
    pace = Watched()
    left = _steady(pace, 100)
    before = pace.time_left()
    pace.observe(100 + 30_000, left, 10, 30_000)
    assert before == pace.time_left()
    pace.observe(105 + 30_000, left - 50, 10.5, 30_000)
    assert (left - 50) / 10 == pytest.approx(pace.time_left().at_this_pace)


def test_began_anew() -> None:
    """An update that begins anew is a new one."""
    pace = Watched()
    _steady(pace, 100)
    pace.observe(105, 100_000, 10.5, 0)
    assert 0 == pace.pace.totals.steps
    left = _steady(pace, 100, 100_000, 110)
    assert left / 10 == pytest.approx(pace.time_left().at_this_pace)


def test_end_moves_away() -> None:
    """Rows that come in are taken off the pace: what counts is when it will be done."""
    pace = Watched()
    left = 10_000.0
    for number in range(1, 100):
        left += -50 if number % 2 else 25
        pace.observe(5 * number, left, number, 0)
    # 25 items in 10 s, however it goes to and fro.
    assert left / 2.5 == pytest.approx(pace.time_left().at_this_pace, rel=0.2)


def test_leap() -> None:
    """A leap over a gap does not make the rest of the way look short."""
    pace = Watched()
    left = _steady(pace, 300, 1_000_000) - 500_000
    pace.observe(305, left, 30.5, 0)
    found_s = pace.time_left().at_this_pace
    assert found_s is not None
    assert 0.7 * left / 10 < found_s <= left / 10


def test_follows_a_new_pace() -> None:
    """Some half-lives after the pace has changed, the old one is forgotten."""
    pace = Watched()
    left = _steady(pace, 600, 1_000_000)
    for number in range(1, 200):
        pace.observe(600 + 5 * number, left - 5 * number, 60 + number, 0)
    found_s = pace.time_left().at_this_pace
    assert left - 5 * 199 == pytest.approx(found_s, rel=0.2)


def test_server_was_restarted() -> None:
    """Counters or a clock that went back are the beginning of something else."""
    for look in [(105, 9000, 0, 0), (50, 9000, 10, 0)]:
        pace = Watched()
        _steady(pace, 100)
        pace.observe(*look)
        assert 0 == pace.pace.totals.steps


_any_number = st.one_of(
    st.floats(), st.integers(-10, 10).map(float), st.just(0.0), st.floats(0, 1e6)
)


@settings(max_examples=300)
@given(st.lists(st.tuples(_any_number, _any_number, _any_number, _any_number), max_size=30))
def test_nonsense(told: list[tuple[float, float, float, float]]) -> None:
    """Whatever it is told, it does not raise, and what it answers is a time or None."""
    pace = Watched()
    for look in told:
        pace.observe(*look)
        for answer_s in attrs.astuple(pace.time_left()):
            assert answer_s is None or 0 <= answer_s < math.inf


@settings(max_examples=200)
@given(
    st.lists(
        st.tuples(st.floats(0, 100), st.floats(-50, 100), st.floats(0, 50), st.floats(0, 50)),
        max_size=60,
    )
)
def test_anything_goes(told: list[tuple[float, float, float, float]]) -> None:
    """However irregular work, rest and looks are, the answer is a time or None."""
    pace = Watched()
    now_s, left, batch_s, held_s = 0.0, 3000.0, 0.0, 0.0
    for gap_s, work, in_batches, in_holds in told:
        now_s += gap_s
        left = max(left - work, 0.0)
        batch_s += in_batches
        held_s += in_holds
        pace.observe(now_s, left, batch_s, held_s)
        for answer_s in attrs.astuple(pace.time_left()):
            assert answer_s is None or 0 <= answer_s < math.inf


def among_clients(
    pace: Watched, rate: float, span_s: float, start: Look, *, is_busy: bool = True
) -> Look:
    """Looks every 5 s at this rate, with a batch a second; answers the last one."""
    look = start
    for _ in range(int(span_s / 5)):
        assert look.left is not None
        look = Look(
            look.now_s + 5,
            look.left - 5 * rate,
            look.batch_s + 5 * rate / 1000,
            0.0,
            look.items + 5 * rate,
            look.watched_s + 5,
            look.clients_s + (5 if is_busy else 0),
            look.batches + 5,
        )
        pace.look(look)
    return look


def test_a_change_of_the_load_counts_within_half_a_minute() -> None:
    """Rate and time left follow clients that come and go, and one rate among them to another."""
    pace = Watched(Limits(), load=flat())
    look = Look(0.0, 1e6, 0.0, 0.0)
    pace.look(look)

    def told() -> tuple[float, float]:
        assert look.left is not None
        found = pace.estimate()
        assert found.items_per_second is not None
        assert found.time_left_s.at_this_pace is not None
        return found.items_per_second, look.left / found.time_left_s.at_this_pace

    for rate, is_busy in ((1000, False), (50, True), (1000, False), (200, True), (60, True)):
        span_s = 120 if rate != 50 else 30
        look = among_clients(pace, rate, 30, look, is_busy=is_busy)
        assert (rate, rate) == pytest.approx(told(), rel=0.3)
        look = among_clients(pace, rate, span_s, look, is_busy=is_busy)
        assert (rate, rate) == pytest.approx(told(), rel=0.15)


def test_the_range_has_the_pace_of_the_last_minutes() -> None:
    """Clients that are there all along: what their number allowed before, it may allow again."""
    pace = Watched(Limits(), load=flat())
    look = among_clients(pace, 1000, 120, Look(0.0, 1e6, 0.0, 0.0))
    for _ in range(3):  # minutes
        look = among_clients(pace, 100, 60, look)
        told = pace.time_left()
        assert look.left is not None
        assert None not in (told.expected, told.earliest)
        assert look.left / 100 == pytest.approx(told.expected, rel=0.15)
        # At least a quarter of the difference, after three minutes too.
        assert told.earliest < look.left / 325  # type: ignore[operator]


def test_a_limit_of_items_a_second_is_a_division() -> None:
    """It is known before the first batch, and holds at once over what was measured before."""
    pace = Watched(Limits(max_items_per_second=4.0))
    pace.look(Look(0.0, 1528.0, 0.0, 0.0))
    told = pace.time_left()
    assert (1528 / 4, 1528 / 4) == pytest.approx((told.expected, told.at_this_pace))
    fast = Watched()
    _steady(fast, 100)
    fast.limits = Limits(pace=DutyCycle(0.1), max_items_per_second=4.0)
    assert 9000 / 4 == pytest.approx(fast.time_left().expected)


def test_a_limit_is_a_division_whatever_batches_are_thought_to_cost() -> None:
    """Where one says that batches are three times as quick as was seen, the limit still holds."""
    limits = Limits(max_items_per_second=10, max_batch_items=50)
    pace = Watched(limits, known={"cost": Cost(0.0, 0.001)})
    pace.look(Look(0.0, 10_000.0, 0.0, 0.0))
    pace.look(Look(5.0, 9950.0, 0.15, 0.0, items=50, batches=1))
    assert 995 == pytest.approx(pace.time_left().expected)


def test_history_counts_until_a_pace_is_measured() -> None:
    """After a restart the speed and the share of the time are those from before."""
    waited_s = {"pace": 700.0, "window": 5000.0}
    entry = HistoryEntry(
        database="master",
        update="a",
        started_s=0.0,
        batches=500,
        items=2500,
        batch_s=100.0,
        waited_s=waited_s,
        progress_per_item=2.0,
    )
    pace = Watched(Limits(), load=flat(), entry=entry)
    pace.pace.observe(Look(0.0, 1000.0, 0.0, 0.0))
    told = pace.time_left()
    assert (20.0, 160.0) == pytest.approx((told.unthrottled, told.expected))


def test_a_rate_limit_is_a_division_from_the_start() -> None:
    """Items per second times the progress of an item, whatever was done before the first look.

    Also after a kill that lost the counts of the last minute, while progress went on.
    """
    pace = Watched(Limits(pace=FixedSleep(0), max_items_per_second=10))
    # In the second before it was looked at first, 5000 items were done.
    pace.look(Look(0.0, 10_000.0, 50.0, 0.0, items=5000))
    pace.look(Look(5.0, 9900.0, 51.0, 0.0, items=5050))
    assert 9900 / 20 == pytest.approx(pace.time_left().at_this_pace)
    for progress_per_item, per_s in ((None, 10), (2.0, 20)):
        entry = attrs.evolve(
            _BEGUN, items=500, batches=10, batch_s=1.0, progress_per_item=progress_per_item
        )
        pace = Watched(pace.limits, entry=entry)
        pace.pace.observe(Look(0.0, 5000.0, 0.0, 0.0))
        assert 5000 / per_s == pytest.approx(pace.time_left().expected)


def test_the_range_has_the_clients_that_may_come() -> None:
    """While nobody is there it reaches from that pace to the one among clients, and back."""
    for is_busy in (False, True):
        pace = Watched(Limits())
        look = among_clients(
            pace, 1000 if not is_busy else 50, 60, Look(0, 1e5, 0, 0), is_busy=is_busy
        )
        clients = pace.pace.clients_ratio
        assert is_busy == clients
        pace.load = learned([], Seen(float(is_busy), WALL_S))
        told = pace.time_left()
        assert look.left is not None
        assert None not in (told.earliest, told.latest)
        assert told.earliest < look.left / 900 < look.left / 55 < told.latest  # type: ignore[operator]


def test_the_week_counts_after_an_hour() -> None:
    """What is seen now goes on for an hour, then each hour is as it was seen."""
    values = tuple(1.0 if hour < 1 else 0.0 for hour in range(HOURS))
    now = WeeklyLoad("a", values, low=values, high=values, seen=Seen(1.0, WALL_S))
    pace = Watched(Limits(), load=now, known={"slope": Range.exactly(0.3)})
    pace.look(Look(0, 7.2e6, 0, 0))
    among_clients(pace, 100, 300, Look(0, 7.23e6, 0, 0))
    told_s = pace.time_left().expected
    # An hour at 100/s, then all of the time at 1000/s.
    assert HOUR_S + (7.2e6 - 0.36e6) / 1000 == pytest.approx(told_s, rel=0.02)


def test_windows_and_pauses_are_in_it() -> None:
    """A closed window and a pause are waited for; a hold without end leaves what it takes alone."""
    night = (Window((0, 1, 2, 3, 4, 5, 6), 2 * 60, 6 * 60),)
    for limits, known, expected_s in (
        (Limits(pace=DutyCycle(0.1), windows=night), {}, 2 * HOUR_S + 900),
        (Limits(pace=DutyCycle(0.1)), {"not_before_s": WALL_S + 300}, 300 + 900),
        (Limits(pace=DutyCycle(0.1), needs_approval=True), {}, None),
        (Limits(pace=DutyCycle(0.1)), {"held": True}, None),
    ):
        pace = Watched(limits, known=known)
        left = _steady(pace, 100)
        told = pace.time_left()
        assert left / 10 == pytest.approx(told.at_this_pace) == pytest.approx(900)
        assert (told.expected is None) is (expected_s is None)
        assert expected_s is None or expected_s == pytest.approx(told.expected)


def test_a_budget_that_was_closed_counts() -> None:
    """The share of the time that budgets took of late is taken off the expected pace."""
    entry = HistoryEntry(
        database="master",
        update="a",
        started_s=0.0,
        items=1000,
        batch_s=10.0,
        waited_s={"pace": 90.0, "budget": 100.0},
        progress_per_item=1.0,
    )
    open_s, closed_s = (
        Watched(Limits(pace=FixedSleep(900)), entry=attrs.evolve(entry, waited_s=waited_s))
        for waited_s in ({"pace": 90.0}, entry.waited_s)
    )
    for each in (open_s, closed_s):
        each.pace.observe(Look(0.0, 1000.0, 0.0, 0.0))
    assert 2 * (open_s.time_left().expected or 0) == pytest.approx(closed_s.time_left().expected)
