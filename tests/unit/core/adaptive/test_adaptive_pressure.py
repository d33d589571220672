"""The adaptive pace under pressure, and one-shots that wait for calm."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synapse_bgthrottle.core.adaptive.pressure_controller import BLIND_RATIO, SoftLaw
from synapse_bgthrottle.core.scheduling.decision import Cause
from synapse_bgthrottle.core.scheduling.holds import CALM_S, LONGEST_WAIT_FOR_CALM_S
from synapse_bgthrottle.core.signals.samples import DatabaseSample
from synapse_bgthrottle.core.signals.signal_set import Soft
from tests.unit.core.adaptive.server_model import DB, Server

# --- pressure ---


@pytest.mark.parametrize("profile", ["gentle", "balanced", "fast"])
def test_step_in_load_stops_work_within_two_seconds(profile: str) -> None:
    """Then the share falls to the least one; when it is over, it is back within seconds."""
    server = Server({"profile": profile})
    server.pass_time(20, busy=True)
    before_ratio = server.update.duty_ratio
    assert 0.012 < before_ratio
    server.late_s = 0.15
    server.pass_time(2, busy=True)
    assert server.throttle.pacer.switchback.is_hush
    server.pass_time(6, busy=True)
    assert 0.01 == pytest.approx(server.update.duty_ratio)
    server.late_s = 0.0
    server.pass_time(20, busy=True)
    assert server.update.duty_ratio < server.throttle.pacer.law.ratio


def test_a_single_bad_look_is_passed_over() -> None:
    """A timer that was late once says nothing of the next second."""
    server = Server()
    server.pass_time(20, busy=True)
    before_ratio = server.update.duty_ratio
    server.late_s = 0.15
    server.pass_time(0.25, busy=True)
    server.late_s = 0.0
    server.pass_time(0.25, busy=True)
    assert before_ratio == pytest.approx(server.update.duty_ratio)


def test_pressure_of_our_own_batches_is_not_yielded_to() -> None:
    """What is gone in the hush after them is for the experiments to judge."""
    server = Server()
    server.pass_time(1, busy=True)
    for _ in range(400):
        works = server.decide().wait_s <= 0
        if works:
            server.batch(0.01)
        server.late_s = 0.3 if works else 0.0
        server.pass_time(0.23, busy=True)
    assert 2 * server.update.duty_ratio < server.throttle.pacer.law.ratio


def test_pressure_is_told() -> None:
    """With the signal that it comes from; once that is low, the pace recovers."""
    server = Server()
    server.late_s = 0.15
    server.pass_time(20, busy=True)
    decision = server.decide()
    expected = "event_loop_lag is at 3.00 times its limit, updates may use 1% of the time"
    assert expected in decision.reason
    server.late_s = 0.0
    server.pass_time(3, busy=True)
    assert "speeding up again, updates may use " in server.decide().reason


def test_stale_signal_makes_nothing_faster() -> None:
    """Without it the duty cycle may fall, and stays otherwise."""
    law = SoftLaw(0.3)
    law.step(Soft(0.0, "event_loop_lag", stale="pool_wait", momentary=9.0), 0.01)
    assert 0.3 == law.ratio
    law.step(Soft(3.0, "event_loop_lag", stale="pool_wait", momentary=9.0), 0.01)
    assert 0.15 == law.ratio


def test_a_stale_signal_is_no_worse_than_none_at_all() -> None:
    """Below the pace without any signal the duty cycle recovers by what is left, and no further."""
    law = SoftLaw(0.01)
    for _ in range(40):
        law.step(Soft(0.0, "event_loop_lag", stale="pool_wait", momentary=9.0), 0.01)
    assert BLIND_RATIO == law.ratio


@given(st.floats(0.01, 1), st.floats(0, 100), st.floats(0, 100))
def test_more_pressure_never_more_duty(ratio: float, pressure: float, more: float) -> None:
    """From the same state, a higher pressure gives no higher duty cycle; bounds hold."""
    laws = [SoftLaw(ratio), SoftLaw(ratio)]
    for law, value in zip(laws, sorted((pressure, more)), strict=True):
        law.step(Soft(value, "s"), 0.01)
        assert 0.01 <= law.ratio <= 1
    assert laws[1].ratio <= laws[0].ratio


# --- one-shots ---


def test_one_shot_waits_for_calm() -> None:
    """Among clients it starts when pressures have been low for some seconds."""
    server = Server(one_shot=True)
    server.late_s = 0.05
    server.pass_time(5, busy=True)
    decision = server.decide()
    assert Cause.CALM is decision.cause
    assert "event_loop_lag is at 1.00" in decision.reason
    server.late_s = 0.0
    server.pass_time(CALM_S + 2, busy=True)
    assert Cause.CALM is not server.decide().cause


@pytest.mark.parametrize("busy", [False, True])
def test_one_shot_before_anybody_could_be_seen(busy: bool) -> None:
    """At first nobody was looked for, so that nobody was seen: it starts some seconds later."""
    server = Server(one_shot=True)
    assert Cause.RUN is server.decide().cause  # nothing is known: it is looked first (`iteration`)
    server.pass_time(CALM_S - 1, busy=busy)
    assert Cause.CALM is server.decide().cause
    server.pass_time(1.5, busy=busy)
    assert Cause.CALM is not server.decide().cause


def test_budgets_between_do_not_make_calm_waited_for_anew() -> None:
    """One that closes for ten seconds every ten minutes holds no one-shot for ever.

    Their own time does not count.
    """
    server = Server({"signals": {"replica_lag": "10s"}}, one_shot=True)
    server.late_s = 0.05
    begin_s = server.now_s
    while server.now_s < begin_s + LONGEST_WAIT_FOR_CALM_S + 600:
        is_late = server.now_s % 600 < 10
        lag_s = 20.0 if is_late else 0.0
        server.throttle.observe(DB, DatabaseSample(at_s=server.now_s, replica_lag_s=lag_s))
        server.pass_time(0.5, busy=True)
    assert Cause.CALM is not server.decide().cause


def test_one_shot_does_not_wait_for_calm_for_ever() -> None:
    """Pressures are soft: after an hour the index is built."""
    server = Server(one_shot=True)
    server.late_s = 0.05
    server.pass_time(LONGEST_WAIT_FOR_CALM_S + 1, busy=True)
    assert Cause.CALM is not server.decide().cause


def test_one_shot_waits_for_calm_no_longer_than_it_may_be_held() -> None:
    """Where `max_hold` is shorter than an hour."""
    server = Server({"max_hold": "5m"}, one_shot=True)
    server.late_s = 0.05
    server.pass_time(240, busy=True)
    decision = server.decide()
    assert (Cause.CALM, True) == (decision.cause, "for 5s, 5m at most" in decision.reason)
    server.pass_time(61, busy=True)
    assert Cause.CALM is not server.decide().cause


def test_one_shot_waits_for_calm_after_any_hold() -> None:
    """The hour is counted from when pressures begin to hold it, not from the last batch."""
    server = Server({"windows": [{"start": "00:10", "end": "06:00"}]}, one_shot=True)
    server.late_s = 0.05
    server.pass_time(5, busy=True)
    assert Cause.WINDOW is server.decide().cause
    server.pass_time(600, busy=True)
    assert Cause.CALM is server.decide().cause
    server.pass_time(LONGEST_WAIT_FOR_CALM_S - 10, busy=True)
    assert Cause.CALM is server.decide().cause
    server.pass_time(11, busy=True)
    assert Cause.CALM is not server.decide().cause


def test_calm_that_nobody_saw_is_none() -> None:
    """After a while without looks it has to be seen anew for as long."""
    server = Server(one_shot=True)
    server.pass_time(CALM_S + 2, busy=True)
    assert Cause.CALM is not server.decide().cause
    server.pass_time(600, busy=True, looks=False)
    assert Cause.CALM is server.decide().cause
    server.pass_time(CALM_S - 1, busy=True)
    assert Cause.CALM is server.decide().cause
    server.pass_time(2, busy=True)
    assert Cause.CALM is not server.decide().cause


@pytest.mark.parametrize(("raw", "busy"), [({}, False), ({"profile": "finish"}, True)])
def test_one_shot_starts_at_once(raw: Any, busy: bool) -> None:
    """While nobody is there, and where it is to finish."""
    server = Server(raw, one_shot=True)
    server.late_s = 0.5
    server.pass_time(5, busy=busy)
    assert Cause.RUN is server.decide().cause


# --- slowdown ---


def test_slowdown_against_quiet_batches_is_seen() -> None:
    """A batch that takes twenty times as long as while nobody was there makes a pressure."""
    server = Server({"min_batch_size": 100, "max_batch_size": 100})
    server.decide()
    for _ in range(5):
        server.batch(0.1)
    server.pass_time(1, busy=True)
    server.batch(2.0)
    signal_set = server.throttle.databases[DB].signal_set
    assert 20 == pytest.approx(signal_set.states["batch_slowdown"].value)
    assert "batch_slowdown" == signal_set.soft(server.now_s).name
