"""When the next batch may start: by the pace, and by a limit of items per second."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synapse_bgthrottle.core.config.limits import DutyCycle, FixedSleep, Pace, Settings
from synapse_bgthrottle.core.scheduling.decision import Cause
from synapse_bgthrottle.core.scheduling.next_batch import LONGEST_REST_S, rest_s
from tests.unit.core.scheduling.throttled_server import NO_REST, ThrottledServer, make_throttle

# --- pace ---


def test_first_batch_is_preceded_by_a_rest_as_after_a_batch_on_target() -> None:
    """After a start, which may be one of many in a row, the server is not hit at once."""
    decision = ThrottledServer(make_throttle(Settings(target_duration_ms=200))).ask()
    assert Cause.PACE is decision.cause
    assert 1.8 == pytest.approx(decision.wait_s)


@pytest.mark.parametrize("took_s", [0.01, 0.1, 2.0, 60.0])
def test_wait_follows_what_the_last_batch_took(took_s: float) -> None:
    """An overrun is paid for, and so is every other batch: nine times what it took."""
    server = ThrottledServer(make_throttle())
    server.ask()
    server.run(0.5)
    server.run(took_s)
    assert 9 * took_s == pytest.approx(server.ask().wait_s)


def test_rest_counts_from_the_end_of_the_batch() -> None:
    """What Synapse needs between two iterations is part of the rest."""
    server = ThrottledServer(make_throttle())
    server.ask()
    server.run(1.0)
    server.pass_time(4.0)
    assert 5.0 == pytest.approx(server.ask().wait_s)


def test_next_update_rests_after_the_last_one_of_its_database() -> None:
    """A new update at the head of the queue does not skip the rest."""
    server = ThrottledServer(make_throttle())
    server.ask()
    server.run(1.0)
    server.update = "current_state_events"
    assert 9.0 == pytest.approx(server.ask().wait_s)


@given(st.floats(0.01, 1), st.lists(st.floats(0.001, 1), min_size=1, max_size=10))
def test_duty_cycle_is_the_share_of_work_for_any_batches(
    ratio: float, shares_of_longest: list[float]
) -> None:
    """Over any batches whose rest is within ten minutes, work is the asked share of the time."""
    longest_s = 600 / (1 / ratio - 1) if ratio < 1 else 600.0
    durations_s = [share * longest_s for share in shares_of_longest]
    server = ThrottledServer(make_throttle(Settings(pace=DutyCycle(ratio))))
    server.wait_for_turn()
    start_s = server.now_s
    for took_s in durations_s:
        server.run(took_s)
        server.wait_for_turn()
    assert ratio == pytest.approx(sum(durations_s) / (server.now_s - start_s), rel=0.01)


@given(st.lists(st.floats(0, 10**5), max_size=10), st.booleans())
def test_sleep_of_zero_never_waits_for_any_batches(
    durations_s: list[float], one_shot: bool
) -> None:
    """Whoever configures no rest gets none, not even before the first batch."""
    server = ThrottledServer(make_throttle(Settings(pace=NO_REST)), one_shot=one_shot)
    for took_s in durations_s:
        assert (Cause.RUN, 0.0) == (server.ask().cause, server.ask().wait_s)
        server.run(took_s)


@pytest.mark.parametrize("took_s", [0.0, 0.1, 60.0])
def test_fixed_sleep_is_slept_whatever_a_batch_took(took_s: float) -> None:
    """Stock's pace: the same sleep after every batch."""
    server = ThrottledServer(make_throttle(Settings(pace=FixedSleep(1500))))
    server.ask()
    server.run(took_s)
    assert 1.5 == pytest.approx(server.ask().wait_s)


# --- items per second ---


@given(
    st.floats(0.1, 5000),
    st.sampled_from((NO_REST, DutyCycle(0.5), FixedSleep(50))),
    st.lists(
        st.tuples(st.floats(0, 3) | st.floats(0, 0.01), st.none() | st.integers(0, 3000)),
        min_size=1,
        max_size=40,
    ),
    st.booleans(),
)
def test_rate_is_kept_over_ten_seconds_for_any_batches(
    rate: float, pace: Pace, batches: list[tuple[float, int | None]], failed: bool
) -> None:
    """In no ten seconds more than ten times the rate and one batch, whatever handlers really do."""
    server = ThrottledServer(make_throttle(Settings(max_items_per_second=rate, pace=pace)))
    started: list[tuple[float, int]] = []
    for took_s, done_items in batches:
        decision = server.wait_for_turn()
        asked = decision.items
        started.append((server.now_s, max(asked, done_items or 0)))
        server.run(took_s, done_items, failed)
    for number, (first_s, _) in enumerate(started):
        within = [items for start_s, items in started[number:] if start_s <= first_s + 10]
        assert sum(within[:-1]) <= 10 * rate + 1e-3 * rate


@settings(max_examples=50)
@given(st.floats(0.2, 2000), st.lists(st.floats(0, 0.001), min_size=20, max_size=60))
def test_rate_is_used_where_batches_are_quick_for_any_rate(
    rate: float, durations_s: list[float]
) -> None:
    """The limit is not missed by more than a tenth, at the built-in duty cycle."""
    server = ThrottledServer(make_throttle(Settings(max_items_per_second=rate)))
    server.wait_for_turn()
    first_s, items = server.now_s, 0
    for took_s in durations_s:
        items += server.wait_for_turn().items
        server.run(took_s)
    server.wait_for_turn()
    assert 0.9 * rate <= items / (server.now_s - first_s) <= rate * 1.000001


def test_rate_counts_what_was_done_where_that_is_more_than_asked() -> None:
    """A handler that does ten times what it is asked to is waited for ten times as long."""
    level = Settings(max_items_per_second=10.0, default_batch_items=10, pace=NO_REST)
    server = ThrottledServer(make_throttle(level))
    assert 10 == server.ask().items
    server.run(0.5, items=100)
    assert 9.5 == pytest.approx(server.ask().wait_s)


@pytest.mark.parametrize("said", [None, 0, 3])
def test_rate_counts_what_was_asked_where_less_is_said(said: int | None) -> None:
    """A handler that says less than it did does not get away with it."""
    level = Settings(max_items_per_second=10.0, default_batch_items=10, pace=NO_REST)
    server = ThrottledServer(make_throttle(level))
    server.ask()
    server.run(0.5, items=said)
    assert 0.5 == pytest.approx(server.ask().wait_s)


def test_rate_is_of_one_update() -> None:
    """The items of one update do not delay the next one, which may be of another kind."""
    server = ThrottledServer(make_throttle(Settings(max_items_per_second=1.0, pace=NO_REST)))
    server.ask()
    server.run(0.0, items=1000)
    assert server.ask().cause is Cause.RATE
    server.update = "current_state_events"
    assert server.ask().cause is Cause.RUN


@pytest.mark.parametrize(
    ("expected_s", "ratio", "batch_s"),
    [
        (0.9, 0.1, 0.1),
        (9.0, 0.1, 1.0),
        (1.0, 0.5, 1.0),
        (0.0, 1.0, 5.0),
        (0.0, 0.1, 0.0),
        (99.9, 0.001, 0.1),
        (540.0, 0.1, 60.0),
        (600.0, 0.1, 66.7),
        (600.0, 0.1, 3600.0),
        (600.0, 0.001, 3600.0),
        (0.0, 1.0, 100_000.0),
    ],
)
def test_duty_cycle_rests_in_proportion(expected_s: float, ratio: float, batch_s: float) -> None:
    """The rest makes the batch its share of the time, up to ten minutes."""
    assert expected_s == pytest.approx(rest_s(DutyCycle(ratio), batch_s))


@pytest.mark.parametrize("batch_s", [0.0, 0.1, 3600.0])
@pytest.mark.parametrize(("expected_s", "sleep_ms"), [(0, 0), (1.5, 1500), (86_400, 86_400_000)])
def test_sleep_is_the_same_after_every_batch(
    expected_s: float, sleep_ms: float, batch_s: float
) -> None:
    """What a batch took does not change a fixed sleep."""
    assert expected_s == rest_s(FixedSleep(sleep_ms), batch_s)


@given(st.floats(0.001, 1), st.floats(0, 10**6), st.floats(0, 10**6))
def test_longer_batch_never_shortens_the_rest_for_any_ratio(
    ratio: float, one_s: float, other_s: float
) -> None:
    """Rests grow with batches, within 0 and ten minutes."""
    short_s, long_s = sorted((one_s, other_s))
    rests = rest_s(DutyCycle(ratio), short_s), rest_s(DutyCycle(ratio), long_s)
    assert 0 <= rests[0] <= rests[1] <= LONGEST_REST_S == 600
