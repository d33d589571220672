"""Ratios of the benchmark, and their intervals."""

import pytest

from benchmarks.latency.statistics import (
    Estimate,
    Pair,
    bootstrap,
    median_ratio,
    paired_mean_ratio,
    quantile,
    quantile_ratio,
)


@pytest.mark.parametrize(
    ("expected", "values", "share"),
    [(0.0, [], 0.5), (3.0, [3.0], 0.95), (2.0, [3.0, 1.0, 2.0], 0.5), (3.0, [1.0, 2.0, 3.0], 1.0)],
)
def test_quantile(expected: float, values: list[float], share: float) -> None:
    """A quantile is one of the values, the last at most, and 0 of nothing."""
    assert expected == quantile(values, share)


def test_median_ratio() -> None:
    """Each round is compared with itself; a round without a base says nothing."""
    assert 2.0 == median_ratio([(2, 1), (40, 20), (9, 3), (5, 0), (1, 1)])
    assert median_ratio([(1, 0)]) is None


def test_paired_mean_ratio() -> None:
    """The same requests are compared, whatever their kinds cost; those of one side only are not."""
    rounds = [Pair.of({0: 2.0, 1: 400.0, 2: 7.0}, {0: 1.0, 1: 100.0, 3: 9.0})]
    assert pytest.approx(8**0.5) == paired_mean_ratio(rounds)
    assert paired_mean_ratio([Pair.of({}, {0: 1.0})]) is None


def test_quantile_ratio() -> None:
    """Latencies of all rounds are pooled before the quantile is taken."""
    rounds = [Pair.of({0: 4.0}, {0: 1.0}), Pair.of({0: 6.0, 1: 8.0}, {0: 2.0, 1: 3.0})]
    assert 3.0 == quantile_ratio(0.5)(rounds)
    assert quantile_ratio(0.5)([Pair.of({}, {})]) is None


def test_interval_holds_the_figure() -> None:
    """The interval is around the figure, and narrow where rounds agree."""
    wide = bootstrap([(1, 1), (2, 1), (3, 1), (4, 1), (5, 1)], median_ratio)
    assert wide is not None
    assert wide.low < wide.value == 3 < wide.high
    assert Estimate(2, 2, 2) == bootstrap([(2, 1)] * 5, median_ratio)


def test_no_figure_has_no_interval() -> None:
    """Without rounds there is nothing to say."""
    assert bootstrap([], median_ratio) is None


def test_same_rounds_give_the_same_interval() -> None:
    """A result can be summarised again."""
    rounds = [(float(number), 3.0) for number in range(9)]
    assert bootstrap(rounds, median_ratio) == bootstrap(rounds, median_ratio)
