"""Rests after batches, and sizes of batches."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synapse_bgthrottle.core.config.limits import DutyCycle, FixedSleep, Limits
from synapse_bgthrottle.core.scheduling.pacing import LONGEST_REST_S, BatchSizer, rest_s


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


# --- sizes ---


def _run(sizer: BatchSizer, limits: Limits, costs_ms: list[float]) -> list[tuple[int, float]]:
    """One batch for each cost of an item: how many items it had and what it took."""
    batches = []
    for cost_ms in costs_ms:
        items = sizer.next_items(limits, limits.target_duration_ms)
        sizer.record(items, items, items * cost_ms)
        batches.append((items, items * cost_ms))
    return batches


@pytest.mark.parametrize(
    ("expected", "limits"),
    [
        (100, Limits()),
        (30, Limits(default_batch_items=30)),
        (30, Limits(default_batch_items=100, max_batch_items=30)),
        (20, Limits(default_batch_items=100, max_items_per_second=20.0)),
        (50, Limits(default_batch_items=100, max_items_per_second=20.0, min_batch_items=50)),
        (1, Limits(max_items_per_second=0.001)),
    ],
)
def test_first_batch_has_the_default_size_within_the_limits(expected: int, limits: Limits) -> None:
    """Nothing is known before the first batch."""
    assert expected == BatchSizer().next_items(limits, limits.target_duration_ms)


@pytest.mark.parametrize("cost_ms", [0.01, 0.1, 1.0, 7.0, 50.0])
def test_batch_takes_its_target_where_costs_are_steady(cost_ms: float) -> None:
    """With an item always at the same cost, batches come to take the target, to one item."""
    batches = _run(BatchSizer(), Limits(target_duration_ms=100), [cost_ms] * 30)
    for items, took_ms in batches[-10:]:
        assert 100 == pytest.approx(took_ms, abs=max(cost_ms, 0.5))
        assert items >= 1


@pytest.mark.parametrize("cost_ms", [0.01, 0.1, 1.0])
def test_tenfold_cost_is_corrected_by_the_third_batch(cost_ms: float) -> None:
    """After items become ten times as dear, the third batch is within twice the target."""
    batches = _run(
        BatchSizer(), Limits(target_duration_ms=100), [cost_ms] * 20 + [cost_ms * 10] * 6
    )
    after = [took_ms for _, took_ms in batches[20:]]
    assert 1000 == pytest.approx(after[0], rel=0.05)  # nothing can be known of the step before
    assert all(took_ms <= 200 for took_ms in after[2:])
    assert 100 == pytest.approx(after[-1], rel=0.2)


def test_tenth_of_the_cost_is_used_within_six_batches() -> None:
    """After items become ten times as cheap, batches grow to the target, by doubling at most."""
    batches = _run(BatchSizer(), Limits(target_duration_ms=100), [1.0] * 20 + [0.1] * 6)
    sizes = [items for items, _ in batches[19:]]
    assert all(after <= 2 * before for before, after in pairwise(sizes))
    assert 100 == pytest.approx(batches[-1][1], rel=0.1)


def test_batches_of_nothing_double_and_no_more() -> None:
    """Batches that took no time at all, such as of skipped rows, grow one step at a time."""
    batches = _run(BatchSizer(), Limits(default_batch_items=10), [0.0] * 5)
    assert [10, 20, 40, 80, 160] == [items for items, _ in batches]


def test_batch_that_took_ages_makes_the_next_one_small() -> None:
    """One item is the least, whatever a batch took."""
    sizer = BatchSizer()
    sizer.record(100, 100, 3_600_000.0)
    assert 1 == sizer.next_items(Limits(), 100)
    assert 7 == sizer.next_items(Limits(min_batch_items=7), 100)


def test_handler_that_does_more_than_asked_is_asked_for_less() -> None:
    """The rate counts what was done, and growth counts what was asked."""
    sizer = BatchSizer()
    sizer.record(10, 1000, 100.0)
    assert 10 == sizer.last_items
    assert 20 == sizer.next_items(Limits(), 100)


def test_asking_for_the_size_changes_nothing() -> None:
    """The size may be asked any number of times while a batch waits."""
    sizer = BatchSizer()
    sizer.record(100, 100, 37.0)
    assert 1 == len({sizer.next_items(Limits(), 100) for _ in range(5)})


_TRACES = st.lists(
    st.tuples(
        st.integers(1, 10**6) | st.integers(0, 3),
        st.floats(0, 10**7) | st.floats(0, 1),
    ),
    max_size=12,
)


@given(
    _TRACES,
    st.builds(
        Limits,
        target_duration_ms=st.floats(1, 3_600_000),
        max_items_per_second=st.floats(0.001, 10**6) | st.just(math.inf),
        default_batch_items=st.integers(1, 10**6),
        min_batch_items=st.integers(1, 1000) | st.just(1),
        max_batch_items=st.integers(1000, 10**6) | st.just(math.inf),
    ),
)
def test_size_keeps_its_limits_for_any_history(
    trace: list[tuple[int, float]], limits: Limits
) -> None:
    """Never below 1 or the minimum, above the maximum, the rate or twice the last size."""
    sizer = BatchSizer()
    for extra_items, took_ms in [*trace, (0, 0.0)]:
        before = sizer.last_items
        items = sizer.next_items(limits, limits.target_duration_ms)
        assert isinstance(items, int)
        assert 1 <= limits.min_batch_items <= items <= limits.max_batch_items
        assert items <= max(limits.max_items_per_second * 1, limits.min_batch_items)
        if before:
            assert items <= max(2 * before, limits.min_batch_items)
        sizer.record(items, items + extra_items, took_ms)
        assert sizer.last_items == items


@given(_TRACES, st.integers(1, 50))
def test_maximum_holds_over_minimum_for_any_history(
    trace: list[tuple[int, float]], maximum: int
) -> None:
    """Even with limits that contradict each other no batch is above the maximum."""
    sizer = BatchSizer()
    limits = Limits(max_batch_items=maximum, min_batch_items=100)
    for done_items, took_ms in trace:
        items = sizer.next_items(limits, limits.target_duration_ms)
        assert maximum == items
        sizer.record(items, done_items, took_ms)
