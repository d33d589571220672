"""Holds by closed windows and budgets, and their length."""

import copy
from zoneinfo import ZoneInfo

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synapse_bgthrottle.core.config.limits import DutyCycle, FixedSleep, Pace, Settings
from synapse_bgthrottle.core.config.signal_settings import SignalSettings
from synapse_bgthrottle.core.config.windows import Window
from synapse_bgthrottle.core.levers.lever import Lever, LeverKind, Levers
from synapse_bgthrottle.core.scheduling.decision import Cause
from synapse_bgthrottle.core.scheduling.next_batch import FLOOR_PACE
from synapse_bgthrottle.core.signals.samples import CheckSample, DatabaseSample
from testbed.strategies.strategies import windows, zones
from tests.unit.core.scheduling.throttled_server import (
    DB,
    MONDAY_S,
    NAME,
    NO_REST,
    SUNDAY_S,
    SUNDAYS,
    ThrottledServer,
    make_throttle,
)

_UNTIL_SUNDAY_S = 5.5 * 86_400

# --- windows ---


def _held(max_hold_ms: float | None = None, pace: Pace = NO_REST) -> ThrottledServer:
    level = Settings(windows=SUNDAYS, max_hold_ms=max_hold_ms, pace=pace)
    return ThrottledServer(make_throttle(level), wall_s=MONDAY_S)


def test_closed_windows_hold_until_they_open() -> None:
    """The wait is until the opening, and at the opening the batch runs."""
    server = _held()
    decision = server.ask()
    assert (Cause.WINDOW, _UNTIL_SUNDAY_S) == (decision.cause, decision.wait_s)
    server.pass_time(_UNTIL_SUNDAY_S - 0.01)
    assert server.ask().cause is Cause.WINDOW
    server.pass_time(0.01)
    assert server.ask().cause is Cause.RUN


def test_closed_windows_hold_no_longer_than_max_hold() -> None:
    """Where max_hold ends before the windows open, the wait is until then."""
    server = _held(max_hold_ms=3_600_000)
    assert 3600 == server.ask().wait_s
    server.pass_time(600)
    assert 3000 == server.ask().wait_s
    assert not server.throttle.updates[DB, NAME].holds.has_outlasted
    server.pass_time(3000)
    assert server.ask().cause is not Cause.WINDOW
    assert server.throttle.updates[DB, NAME].holds.has_outlasted


def test_released_update_runs_at_one_percent() -> None:
    """An update that is let go although windows are closed rests 99 times what a batch took."""
    server = _held(max_hold_ms=60_000)
    server.ask()
    server.pass_time(60)
    server.wait_for_turn()
    server.run(0.5)
    decision = server.ask()
    assert Cause.PACE is decision.cause
    assert 49.5 == pytest.approx(decision.wait_s)
    assert "resting 49.5s: duty cycle 1%" == decision.reason
    assert DutyCycle(0.01) == FLOOR_PACE


@pytest.mark.parametrize(
    ("expected_s", "pace"), [(199, DutyCycle(0.005)), (3600, FixedSleep(3_600_000))], ids=str
)
def test_released_update_runs_no_faster_than_configured(expected_s: float, pace: Pace) -> None:
    """Where the configured pace is slower than one percent it stays."""
    server = _held(max_hold_ms=60_000, pace=pace)
    server.ask()
    server.pass_time(60)
    server.wait_for_turn()
    server.run(1.0)
    assert expected_s == pytest.approx(server.ask().wait_s)


@pytest.mark.parametrize("pace", [DutyCycle(0.005), FixedSleep(3_600_000)], ids=str)
def test_released_update_tells_the_pace_that_it_keeps(pace: Pace) -> None:
    """Where the configured pace is slower than one percent, it is that which is told."""
    server = _held(max_hold_ms=60_000, pace=pace)
    server.ask()
    server.pass_time(60)
    server.wait_for_turn()
    server.run(1.0)
    assert server.ask().reason.endswith(f": {pace}")


def test_release_ends_when_windows_open() -> None:
    """In an open window a released update runs at its own pace again."""
    server = _held(max_hold_ms=60_000)
    server.ask()
    server.pass_time(60)
    server.wait_for_turn()
    server.run(1.0)
    server.wall_s = SUNDAY_S
    assert server.ask().cause is Cause.RUN
    assert not server.throttle.updates[DB, NAME].holds.has_outlasted


def test_holding_starts_anew_after_an_opening() -> None:
    """How long windows held the update before they opened does not count when they close again."""
    server = _held(max_hold_ms=3_600_000)
    for _ in range(3):
        server.wall_s = MONDAY_S
        assert 3600 == server.ask().wait_s
        server.pass_time(3000)
        assert 600 == server.ask().wait_s
        server.wall_s = SUNDAY_S
        assert server.ask().cause is Cause.RUN


def test_holding_starts_anew_for_the_next_update_and_when_it_comes_again() -> None:
    """Being held counts while an update is at the head of the queue."""
    server = _held(max_hold_ms=3_600_000)
    server.ask()
    server.pass_time(3000)
    for name in ("current_state_events", NAME):
        server.update = name
        assert 3600 == server.ask().wait_s
        server.pass_time(3000)


def test_holding_does_not_start_anew_with_every_iteration() -> None:
    """Iterations of the same update, such as after failures, are held together."""
    server = _held(max_hold_ms=3_600_000)
    server.ask()
    server.pass_time(3000)
    assert 600 == server.ask().wait_s


def test_holding_starts_anew_after_an_opening_that_nobody_saw() -> None:
    """Windows that opened and closed while the server's switch was off held nothing in between."""
    server = _held(max_hold_ms=3 * 86_400_000)
    assert server.ask().cause is Cause.WINDOW
    off = attrs.evolve(server.at(), enabled=False)
    for days in range(1, 8):
        later = attrs.evolve(
            off, now_s=off.now_s + days * 86_400, wall_s=off.wall_s + days * 86_400
        )
        server.throttle.decide(DB, NAME, later)
    server.pass_time(7 * 86_400)  # from Monday to Monday
    assert server.ask().cause is Cause.WINDOW


@given(
    st.lists(windows(), min_size=1, max_size=2).map(tuple),
    zones(),
    st.integers(60_000, 14 * 86_400_000),
    st.floats(0, 365 * 86_400),
)
def test_update_gets_its_turn_within_max_hold_for_any_windows(
    drawn: tuple[Window, ...], zone: ZoneInfo, max_hold_ms: int, offset_s: float
) -> None:
    """Whatever the windows, waiting as told ends, and at the latest after max_hold and a rest."""
    level = Settings(windows=drawn, time_zone=zone, max_hold_ms=max_hold_ms)
    server = ThrottledServer(make_throttle(level), wall_s=SUNDAY_S + offset_s)
    server.wait_for_turn()
    assert server.now_s <= max_hold_ms / 1000 + 9.9 + 0.01


def test_holding_starts_anew_for_an_update_that_was_done_and_comes_again() -> None:
    """That it was let go for once says nothing of the next time, days later."""
    server = _held(max_hold_ms=3_600_000)
    server.ask()
    server.pass_time(3600)
    server.wait_for_turn()
    server.run(1.0)
    assert server.throttle.updates[DB, NAME].holds.has_outlasted
    server.throttle.ended(DB, NAME)
    server.pass_time(86_400)
    assert (Cause.WINDOW, 3600) == (server.ask().cause, server.ask().wait_s)
    assert not server.throttle.updates[DB, NAME].holds.has_outlasted


# --- budgets ---


def test_time_held_by_what_is_never_let_go_counts_for_nothing_else() -> None:
    """Half an hour of a replica's lag, two hours of a pause file, and half an hour of lag again."""
    signals = SignalSettings(thresholds={"pause_file": 1.0})
    level = Settings(max_hold_ms=3_600_000, pace=NO_REST)
    server = ThrottledServer(make_throttle(level, signals=signals))

    def pass_time(seconds: int, *, pause: bool) -> Cause:
        for _ in range(0, seconds, 5):
            now_s = server.now_s
            server.throttle.observe(DB, DatabaseSample(at_s=now_s, replica_lag_s=12.0))
            sample = CheckSample(at_s=now_s, name="pause_file", value=float(pause))
            server.throttle.observe(None, sample)
            cause = server.ask().cause
            server.pass_time(5)
        return cause

    server.ask()
    assert Cause.BUDGET is pass_time(1800, pause=False)
    assert Cause.BUDGET is pass_time(7200, pause=True)
    assert Cause.BUDGET is pass_time(1790, pause=False)
    assert Cause.RUN is pass_time(30, pause=False)


def test_time_in_which_nothing_is_measured_is_held_by_no_budget() -> None:
    """A pause, or the server's switch, adds nothing to `max_hold`, however often it comes."""
    server = ThrottledServer(make_throttle(Settings(max_hold_ms=86_400_000, pace=NO_REST)))
    server.ask()
    for held_h in range(0, 24, 6):
        server.throttle.observe(DB, DatabaseSample(at_s=server.now_s, replica_lag_s=12.0))
        decision = server.ask()
        assert (Cause.BUDGET, "replica_lag 12s >= 10s; held for 1d at most") == (
            decision.cause,
            decision.reason,
        ), held_h
        server.pass_time(6 * 3600)
        server.throttle.decide(DB, NAME, attrs.evolve(server.at(), enabled=False))
        server.pass_time(8 * 86_400)
    assert Cause.RUN is server.ask().cause
    assert server.throttle.updates[DB, NAME].holds.has_outlasted


def test_explaining_changes_nothing() -> None:
    """What is remembered stays as it was, though an override came and `max_hold` is over."""
    level = Settings(windows=SUNDAYS, max_hold_ms=60_000)
    server = ThrottledServer(make_throttle(level), wall_s=MONDAY_S)
    assert Cause.WINDOW is server.ask().cause
    before = copy.deepcopy(server.throttle.updates)
    faster = Settings(max_batch_items=5)
    server.throttle.levers = Levers(
        (
            Lever(
                lever_id="1",
                kind=LeverKind.OVERRIDE,
                update="*",
                author="@admin:example.com",
                created_s=server.wall_s,
                ends_s=server.wall_s + 3600,
                settings=faster,
            ),
        )
    )
    server.pass_time(120)
    explained, held_by = server.throttle.explain(DB, NAME, False, server.at())
    assert (5, []) == (explained.limits.max_batch_items, held_by)
    server.throttle.explain(DB, "another", False, server.at())
    assert before == server.throttle.updates
