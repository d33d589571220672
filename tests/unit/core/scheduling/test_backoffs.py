"""Waits after failures, and their length."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synapse_bgthrottle.core.config.limits import Settings
from synapse_bgthrottle.core.scheduling.decision import Cause, Conditions
from synapse_bgthrottle.core.scheduling.failures import FailureKind
from synapse_bgthrottle.core.scheduling.holds import BACKOFF_S, BACKOFFS_S
from tests.unit.core.scheduling.throttled_server import (
    DB,
    NAME,
    NO_REST,
    SUNDAY_S,
    ThrottledServer,
    make_throttle,
)


def test_wait_after_failures_grows_until_synapse_gives_up() -> None:
    """5, 15, 30, 60 s after each in a row; whoever starts Synapse's loop anew need not wait."""
    server = ThrottledServer(make_throttle(Settings(pace=NO_REST)))
    server.ask()
    waits = []
    for _ in range(4):
        server.run(0.1, failed=True)
        decision = server.ask()
        assert decision.cause is Cause.BACKOFF
        waits.append(pytest.approx(decision.wait_s))
        server.wait_for_turn()
    assert [5, 15, 30, 60] == waits
    server.run(0.1, failed=True)
    assert Cause.RUN is server.ask().cause
    server.run(0.1, failed=True)
    assert 5 == pytest.approx(server.ask().wait_s)


@pytest.mark.parametrize("kind", FailureKind)
def test_wait_after_failures_is_that_of_their_kind(kind: FailureKind) -> None:
    """A full disk and a lost connection have waits of their own, and a reason that says so."""
    server = ThrottledServer(make_throttle(Settings(pace=NO_REST)))
    server.ask()
    for expected_s in BACKOFFS_S[kind]:
        server.run(0.1, failed=True)
        server.throttle.failed(DB, NAME, SUNDAY_S, "it failed", kind)
        decision = server.ask()
        assert expected_s == pytest.approx(decision.wait_s)
        assert kind.value in decision.reason
        server.wait_for_turn()


def test_success_ends_the_row_of_failures() -> None:
    """After a batch that ended well the next failure is the first again."""
    server = ThrottledServer(make_throttle(Settings(pace=NO_REST)))
    for failed in (True, True, True, False):
        server.wait_for_turn()
        server.run(0.1, failed=failed)
    assert server.ask().cause is Cause.RUN
    server.run(0.1, failed=True)
    assert 5 == pytest.approx(server.ask().wait_s)


@pytest.mark.parametrize(
    ("expected", "failures"),
    [
        ("failed once: next try after 5s", 1),
        ("failed 2 times in a row: next try after 15s", 2),
        ("failed 4 times in a row: next try after 1m", 4),
    ],
)
def test_reason_of_a_backoff_counts_failures(expected: str, failures: int) -> None:
    """It is told how often the update failed, and when the next try is."""
    server = ThrottledServer(make_throttle())
    server.ask()
    for _ in range(failures):
        server.run(0.0, failed=True)
    assert expected == server.ask().reason


@given(st.lists(st.floats(0, 100), min_size=2, max_size=8), st.floats(0, 100))
def test_more_failures_never_shorten_the_wait_for_any_durations(
    durations_s: list[float], later_s: float
) -> None:
    """The wait at any time after the n-th failure in a row is no shorter than after one fewer."""
    server = ThrottledServer(make_throttle(Settings(pace=NO_REST)))
    server.ask()
    waits = []
    for took_s in durations_s:
        server.run(took_s, failed=True)
        at = Conditions(server.now_s + later_s, server.wall_s + later_s)
        waits.append(server.throttle.decide(DB, NAME, at).wait_s)
    tolerance_s = 1e-9
    assert all(b >= a - tolerance_s for a, b in itertools.pairwise(waits))
    assert max(waits) <= BACKOFF_S[-1] + tolerance_s
