"""How fast the share of time in batches follows a step of the load."""

import pytest

from benchmarks.latency.reaction import Spans, duty, faster, slower

FLAT_OUT: Spans = [(number / 10, (number + 1) / 10) for number in range(200)]


def until(end_s: float) -> Spans:
    """Batches all of the time until then, and none after."""
    return [span for span in FLAT_OUT if span[1] <= end_s + 1e-9]


@pytest.mark.parametrize(
    ("expected", "begin_s", "end_s"), [(1.0, 0, 20), (0.5, 19, 21), (0.0, 21, 22), (1.0, 0.05, 0.1)]
)
def test_duty(expected: float, begin_s: float, end_s: float) -> None:
    """A batch counts as far as it is inside."""
    assert pytest.approx(expected) == duty(FLAT_OUT, begin_s, end_s)


def test_slower_at_once() -> None:
    """Whoever stops at the step has halved its share at once."""
    assert 0.0 == slower(until(5.0), 5.0)


def test_slower_later() -> None:
    """Counted is the begin of the first second with half the share."""
    assert pytest.approx(0.8, abs=0.02) == slower(until(6.3), 5.0)


def test_never_slower() -> None:
    """What did not react within 5 s is told as 5 s."""
    assert 5.0 == slower(FLAT_OUT, 5.0)


def test_nothing_to_slow_down() -> None:
    """Without batches before there is nothing to halve."""
    assert slower([], 5.0) is None
    assert faster([], 5.0) is None


def test_faster() -> None:
    """Back is the first second of which more than half is spent in batches."""
    spans = [span for span in FLAT_OUT if span[0] >= 16.0 - 1e-9]
    assert pytest.approx(0.5, abs=0.02) == faster(spans, 15.0)
    assert 5.0 == faster(until(3.0), 15.0)
