"""When updates that stand still are restarted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synapse_bgthrottle.core.scheduling.failures import FailureKind
from synapse_bgthrottle.core.scheduling.restarts import LONGEST_S, Restarts, wait_s

_HOUR_S = 3600.0
_KINDS = st.sampled_from(FailureKind)


def test_doubled_up_to_a_day() -> None:
    """After a failure that lasts: 1, 2, 4, 8, 16, 24, 24 hours."""
    waits = [wait_s(_HOUR_S, count, FailureKind.OTHER) / _HOUR_S for count in range(7)]
    assert [1, 2, 4, 8, 16, 24, 24] == waits


def test_what_passes_is_tried_sooner() -> None:
    """5, 10, 20 minutes, up to 2 hours."""
    waits = [wait_s(_HOUR_S, count, FailureKind.LOCK) / 60 for count in (0, 1, 2, 9)]
    assert [5, 10, 20, 120] == pytest.approx(waits)


@given(st.floats(60, LONGEST_S), st.integers(0, 10**6), _KINDS)
def test_more_starts_never_come_sooner(first_s: float, count: int, kind: FailureKind) -> None:
    """However often, at least once a day, and never more often than every five seconds."""
    assert 5 <= wait_s(first_s, count, kind) <= wait_s(first_s, count + 1, kind) <= LONGEST_S


def stand(
    restarts: Restarts, now_s: float, first_s: float | None = _HOUR_S, **more: bool
) -> float | None:
    """When it is due."""
    aborted = more.get("is_aborted", True)
    stall = restarts.stalled(now_s, is_aborted=aborted, first_s=first_s, kind=FailureKind.OTHER)
    assert restarts.stall is stall
    return stall.due_s


@pytest.mark.parametrize("is_aborted", [True, False])
def test_off(is_aborted: bool) -> None:
    """Without a first wait it is never due."""
    assert stand(Restarts(), 100, None, is_aborted=is_aborted) is None
    assert stand(Restarts(count=3), 100, None, is_aborted=is_aborted) is None


def test_looks_do_not_put_it_off() -> None:
    """It counts from when it was first seen."""
    restarts = Restarts()
    assert [3700, 3700] == [stand(restarts, 100), stand(restarts, 3000)]
    assert not restarts.is_unattended


def test_an_obstacle_that_goes() -> None:
    """While only a restart of Synapse helps it is not due; then as if that had not been."""
    restarts = Restarts()
    assert stand(restarts, 100, None) is None
    assert 3700 == stand(restarts, 200)


def test_a_queue_that_never_began() -> None:
    """A minute at first; where that did not help, as after an abort."""
    restarts = Restarts()
    assert 160 == stand(restarts, 100, is_aborted=False)
    assert restarts.is_unattended
    restarts.started(0.0)
    assert (1, 200 + 2 * _HOUR_S) == (restarts.count, stand(restarts, 200, is_aborted=False))


def test_a_good_batch_begins_the_row_anew() -> None:
    """Only one that came after the start."""
    restarts = Restarts()
    restarts.works(7)
    restarts.started(0.0)
    restarts.works(7)
    assert 1 == restarts.count
    restarts.works(8)
    assert 0 == restarts.count
