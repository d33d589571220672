"""Time left: right within 20 % at a steady pace, None before it can be known, never nonsense."""

import math
from collections.abc import Iterator

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synapse_bgthrottle.core.tracking.time_left import NOT_KNOWN, Pace, TimeLeft
from synapse_bgthrottle.schema import to_json


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

    def look(self, pace: Pace, now_s: float) -> int:
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


@settings(max_examples=100)
@given(update=_updates, gaps_s=_gaps_s, start=st.floats(0, 0.5))
def test_within_a_fifth_of_the_truth(
    update: SteadyUpdate, gaps_s: list[float], start: float
) -> None:
    """At a steady pace, from a tenth on, it errs by 20 % or three looks, wherever it began."""
    pace, longest_s = Pace(), max(gaps_s)
    first_s = start * update.batches * update.period_s
    for number, now_s in enumerate(looks(update, gaps_s, first_s)):
        if number > 1500:  # of an update of days with looks of a second
            break
        done = update.look(pace, now_s)
        found = pace.time_left()
        truth_s = update.truth_s(now_s)
        watched_s = update.active_s(now_s) - update.active_s(first_s)
        if done < update.batches / 10:
            continue
        if found.at_this_pace_s is None or found.unthrottled_s is None:
            # Two batches and some looks, at most.
            assert watched_s <= 2 * update.period_s + 13 * longest_s
            continue
        assert truth_s == pytest.approx(found.at_this_pace_s, abs=max(0.2 * truth_s, 3 * longest_s))
        assert (update.batches - done) * update.batch_s == pytest.approx(found.unthrottled_s)


@pytest.mark.parametrize(
    ("batch_s", "rest_s", "batches"),
    [(0.1, 1.4, 4000), (1, 9, 300), (10, 140, 25), (0.7, 6.3, 200), (300, 300, 20)],
)
def test_known_at_a_tenth_with_the_looks_of_the_module(
    batch_s: float, rest_s: float, batches: int
) -> None:
    """With a look every 5 s it is known at a tenth of the way, and right to the end."""
    update = SteadyUpdate(batches, 100, batch_s, rest_s)
    pace = Pace()
    for now_s in looks(update, [5.0]):
        done = update.look(pace, now_s)
        if done > max(batches / 10, 2):
            found_s = pace.time_left().at_this_pace_s
            assert found_s is not None
            truth_s = update.truth_s(now_s)
            assert truth_s == pytest.approx(found_s, abs=max(0.2 * truth_s, 15))


def test_unknown_at_first() -> None:
    """Neither nothing, nor one look, nor one step is enough."""
    pace = Pace()
    assert NOT_KNOWN == pace.time_left()
    pace.observe(0, 1000, 0, 0)
    assert NOT_KNOWN == pace.time_left()
    pace.observe(5, 990, 1, 0)
    assert NOT_KNOWN == pace.time_left()


def _steady(pace: Pace, seconds: int, left: float = 10_000.0, start_s: float = 0.0) -> float:
    """Looks every 5 s, 10 items/s, a tenth of the time in batches; answers what is left."""
    for number in range(0, seconds + 1, 5):
        pace.observe(start_s + number, left - 10 * number, (start_s + number) / 10, 0)
    return left - 10 * (seconds // 5 * 5)


def test_steady() -> None:
    """What is left at the pace of the sums, and the part of it that batches are."""
    pace = Pace()
    left = _steady(pace, 100)
    found = pace.time_left()
    assert left / 10 == pytest.approx(found.at_this_pace_s)
    assert left / 100 == pytest.approx(found.unthrottled_s)
    assert {
        "at_this_pace": found.at_this_pace_s,
        "unthrottled": found.unthrottled_s,
    } == to_json(found.stated())


def test_done() -> None:
    """Where nothing is left, it is nothing, even when no pace is known: a very short update."""
    pace = Pace()
    pace.observe(0, 0, 0, 0)
    assert TimeLeft(0, 0) == pace.time_left()


def test_same_instant() -> None:
    """Looks at the same instant change nothing."""
    pace, again = Pace(), Pace()
    left = _steady(pace, 100)
    _steady(again, 100)
    for _ in range(3):
        again.observe(100, left, 10, 0)
    assert pace.time_left() == again.time_left()


def test_no_progress() -> None:
    """While nothing goes on the answer grows, and it stays finite."""
    pace = Pace()
    left = _steady(pace, 100)
    found: list[float] = []
    for now_s in (100, 200, 400, 4000, 400_000):
        pace.observe(now_s, left, 10, 0)
        answer_s = pace.time_left().at_this_pace_s
        assert answer_s is not None
        found.append(answer_s)
    assert sorted(found) == found
    assert 20 * found[0] < found[-1] < math.inf


def test_hold() -> None:
    """A night in a closed window is not in the answer, and does not make anybody forget."""
    pace = Pace()
    left = _steady(pace, 100)
    before = pace.time_left()
    pace.observe(100 + 30_000, left, 10, 30_000)
    assert before == pace.time_left()
    pace.observe(105 + 30_000, left - 50, 10.5, 30_000)
    assert (left - 50) / 10 == pytest.approx(pace.time_left().at_this_pace_s)


def test_began_anew() -> None:
    """An update that begins anew is a new one."""
    pace = Pace()
    _steady(pace, 100)
    pace.observe(105, 100_000, 10.5, 0)
    assert NOT_KNOWN == pace.time_left()
    left = _steady(pace, 100, 100_000, 110)
    assert left / 10 == pytest.approx(pace.time_left().at_this_pace_s)


def test_end_moves_away() -> None:
    """Rows that come in are taken off the pace: what counts is when it will be done."""
    pace = Pace()
    left = 10_000.0
    for number in range(1, 100):
        left += -50 if number % 2 else 25
        pace.observe(5 * number, left, number, 0)
    # 25 items in 10 s, however it goes to and fro.
    assert left / 2.5 == pytest.approx(pace.time_left().at_this_pace_s, rel=0.2)


def test_leap() -> None:
    """A leap over a gap does not make the rest of the way look short."""
    pace = Pace()
    left = _steady(pace, 300, 1_000_000) - 500_000
    pace.observe(305, left, 30.5, 0)
    found_s = pace.time_left().at_this_pace_s
    assert found_s is not None
    assert 0.7 * left / 10 < found_s <= left / 10


def test_follows_a_new_pace() -> None:
    """Some half-lives after the pace has changed, the old one is forgotten."""
    pace = Pace()
    left = _steady(pace, 600, 1_000_000)
    for number in range(1, 200):
        pace.observe(600 + 5 * number, left - 5 * number, 60 + number, 0)
    found_s = pace.time_left().at_this_pace_s
    assert left - 5 * 199 == pytest.approx(found_s, rel=0.2)


def test_server_was_restarted() -> None:
    """Counters or a clock that went back are the beginning of something else."""
    for look in [(105, 9000, 0, 0), (50, 9000, 10, 0)]:
        pace = Pace()
        _steady(pace, 100)
        pace.observe(*look)
        assert NOT_KNOWN == pace.time_left()


_any_number = st.one_of(
    st.floats(), st.integers(-10, 10).map(float), st.just(0.0), st.floats(0, 1e6)
)


@settings(max_examples=300)
@given(st.lists(st.tuples(_any_number, _any_number, _any_number, _any_number), max_size=30))
def test_nonsense(told: list[tuple[float, float, float, float]]) -> None:
    """Whatever it is told, it does not raise, and what it answers is a time or None."""
    pace = Pace()
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
    pace = Pace()
    now_s, left, batch_s, held_s = 0.0, 3000.0, 0.0, 0.0
    for gap_s, work, in_batches, in_holds in told:
        now_s += gap_s
        left = max(left - work, 0.0)
        batch_s += in_batches
        held_s += in_holds
        pace.observe(now_s, left, batch_s, held_s)
        for answer_s in attrs.astuple(pace.time_left()):
            assert answer_s is None or 0 <= answer_s < math.inf
