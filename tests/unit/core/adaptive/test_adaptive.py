"""The adaptive pace without clients, with clients, and if clients cannot be seen."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synapse_bgthrottle.core.adaptive.effort import Impact, Way
from synapse_bgthrottle.core.adaptive.pressure_controller import BLIND_RATIO
from synapse_bgthrottle.core.config.profiles import PROFILES
from synapse_bgthrottle.core.scheduling.decision import Cause, Conditions
from synapse_bgthrottle.core.scheduling.state import Facts
from synapse_bgthrottle.core.signals.samples import DatabaseSample
from tests.unit.core.adaptive.server_model import DB, NAME, Server

# --- nobody there ---


def test_nobody_there() -> None:
    """Without requests there is no rest, and batches have their whole target."""
    server = Server()
    server.batch(0.1)
    decision = server.decide()
    assert (Cause.RUN, 0.0, 100) == (decision.cause, decision.wait_s, decision.target_ms)
    assert "no client seen so far, updates may use 100% of the time" == decision.reason


def test_longer_batches_on_a_server_that_was_quiet_for_long() -> None:
    """Where batches have a fixed cost, they take 4 % of the quiet time, a second at most."""
    server = Server()
    for number in range(60):
        server.update.cost.record(100 + 10 * number, 0.05 + 0.0005 * (100 + 10 * number))
    for expected_ms, quiet_s in ((100, 1), (400, 9), (1000, 60)):
        for _ in range(quiet_s):
            server.pass_time(1)
        assert expected_ms == pytest.approx(server.decide().target_ms, rel=0.15)


def test_who_wants_short_batches_has_them() -> None:
    """However long nobody is there, and whatever a batch's fixed cost is."""
    server = Server({"target_duration": "50ms"})
    for number in range(60):
        server.update.cost.record(100 + 10 * number, 0.05 + 0.0005 * (100 + 10 * number))
    for _ in range(60):
        server.pass_time(1)
    assert 50 == server.decide().target_ms


def test_sqlite_gets_short_batches() -> None:
    """Its only writer's lock, and its only thread, are held for a whole batch."""
    server = Server(facts=Facts(sqlite_databases=frozenset({DB})))
    assert 50 == server.decide().target_ms


def test_own_pressure_is_none_while_nobody_is_there() -> None:
    """An update on the reactor thread makes timers late, which then hurts nobody."""
    server = Server()
    server.late_s = 0.5
    server.pass_time(5)
    server.batch(0.1)
    assert Cause.RUN is server.decide().cause


# --- among clients ---


def test_among_clients() -> None:
    """A second of hush, 1.5 s of work without rests, 4.3 s of hush: 26 % is for work."""
    server = Server()
    server.pass_time(1, busy=True)
    assert "resting" in server.decide().reason
    server.pass_time(0.75, busy=True)
    server.throttle.pacer.law.ratio = 1.0
    server.batch(0.1)
    decision = server.decide()
    assert (Cause.RUN, 100) == (decision.cause, decision.target_ms)
    assert "clients are here, updates may use 25.8% of the time" == decision.reason
    server.pass_time(1.5, busy=True)
    decision = server.decide()
    assert Cause.PACE is decision.cause
    assert 3.3 < decision.wait_s < 4.3
    rest = decision.reason.removeprefix("resting ")
    assert rest.endswith("s: clients are here, updates may use 25.8% of the time")


def test_shares_of_work_and_hush() -> None:
    """At first a third of the time is for batches, and most of the rest is called a rest."""
    server = Server()
    first = Impact().effort(0.03, like_stock=True)
    causes = []
    server.pass_time(1, busy=True)
    for _ in range(400):
        server.pass_time(0.25, busy=True)
        causes.append(server.decide().cause)
        if causes[-1] is Cause.RUN:
            server.batch(0.001)
    assert first == pytest.approx(causes.count(Cause.RUN) / len(causes), abs=0.1)
    assert 1 - first == pytest.approx(causes.count(Cause.PACE) / len(causes), abs=0.1)


def test_gap_between_requests() -> None:
    """A short batch waits until no request is in flight, half a second at most."""
    server = Server()
    for number in range(20):  # back to back it harms
        server.update.impact.ways[Way.BACK_TO_BACK].model.learn(float(number), 1.0, 0.01)
    server.pass_time(1.5, busy=True)
    server.throttle.pacer.law.ratio = 1.0
    server.active = 1
    server.batch(0.025)
    decision = server.decide()
    assert Way.IN_GAPS is server.update.impact.way
    assert (Cause.GAP, 25) == (decision.cause, decision.target_ms)
    assert "waiting for a gap between requests: 1 in progress" == decision.reason
    server.now_s += 0.5
    assert Cause.RUN is server.decide().cause


def test_no_gate_undercuts_the_least_duty_cycle() -> None:
    """With requests in flight at every moment, and the server short of something: one percent."""
    server = Server()
    server.active, server.late_s, worked_s = 2, 0.5, 0.0
    server.pass_time(20, busy=True)
    begin_s = server.now_s
    while server.now_s < begin_s + 200:
        if server.decide().wait_s <= 0:
            server.batch(0.1)
            worked_s += 0.1
        server.pass_time(0.005, busy=True)
    assert 0.008 < worked_s / 200 < 0.02


@pytest.mark.parametrize("name", list(PROFILES))
def test_profiles(name: str) -> None:
    """Each has its own target back to back; to finish nobody is asked."""
    profile = PROFILES[name]
    server = Server({"profile": name}, facts=Facts(sees_requests=False))
    server.active = None
    for second in range(8):
        server.pass_time(1)
        server.throttle.observe(DB, DatabaseSample(at_s=server.now_s, transactions=100.0 * second))
    assert min(profile.busy_target_ms, 100) == server.decide().target_ms


def test_bounds_of_the_duty_cycle() -> None:
    """The greatest holds while nobody is there, the least under any pressure."""
    server = Server({"min_duty_cycle": "20%", "max_duty_cycle": "50%"})
    server.batch(0.1)
    assert 0.1 == pytest.approx(server.decide().wait_s)
    server.late_s = 5.0
    server.pass_time(10, busy=True)
    assert 0.2 == pytest.approx(server.throttle.pacer.law.ratio)


def test_databases_share() -> None:
    """Two databases at work among clients work in the same moments, and hush in the same ones."""
    server = Server()
    server.throttle.begin("state", NAME, False, 0.0)
    server.pass_time(1, busy=True)
    waits = []
    for _ in range(100):
        server.pass_time(0.25, busy=True)
        at = Conditions(server.now_s, 0.0, active_requests=0, requests_answered=server.received)
        other = server.throttle.decide("state", NAME, at)
        waits.append((server.decide().wait_s > 0, other.wait_s > 0))
    assert {(True, True), (False, False)} == set(waits)


@pytest.mark.parametrize("looked", [False, True])
def test_nothing_can_be_measured(looked: bool) -> None:
    """Among clients, without any signal, or once none comes any more, the pace is stock's."""
    server = Server({"profile": "fast"})
    server.pass_time(20, busy=True, looks=looked)
    server.pass_time(6, busy=True, looks=False)
    server.batch(0.1)
    assert 0.1 * (1 / BLIND_RATIO - 1) == pytest.approx(server.decide().wait_s)


def test_clients_are_seen_amid_a_batch() -> None:
    """A batch of any length is no quiet time, and those after it are not let loose."""
    server = Server()
    for _ in range(3):
        server.throttle.start(DB, NAME, server.now_s)
        for _ in range(40):
            server.now_s += 0.25
            server.received += 5
            server.throttle.observe(None, server.sample())
        server.throttle.finish(DB, NAME, server.now_s, 100, failed=False)
        server.begin()
        assert "clients are here" in server.decide().reason
        assert 0 == server.update.quiet_cost.batches


# --- anything ---


@given(st.floats(0, 1e4), st.integers(0, 100) | st.none(), st.booleans(), st.floats(0, 1e3))
def test_decision_makes_sense_at_any_moment(
    now_s: float, active: int | None, busy: bool, late_s: float
) -> None:
    """A finite wait of at least 0, a target of at least 1 ms and at most 1.5 times the whole."""
    server = Server()
    server.late_s = late_s
    server.pass_time(2, busy=busy)
    server.now_s += now_s
    server.active = active
    decision = server.decide()
    assert 0 <= decision.wait_s < math.inf
    assert 1 <= decision.target_ms <= 150
