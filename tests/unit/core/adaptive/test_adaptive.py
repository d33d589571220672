"""The adaptive pace: while nobody is there, among clients, and where nothing can be seen."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synapse_bgthrottle.core.adaptive.comparison import Comparison
from synapse_bgthrottle.core.adaptive.pressure_controller import BLIND_RATIO
from synapse_bgthrottle.core.config.profiles import PROFILES
from synapse_bgthrottle.core.scheduling.decision import Cause
from synapse_bgthrottle.core.scheduling.state import Facts
from tests.unit.core.adaptive.server_model import DB, NAME, Server

# --- nobody there ---


def test_nobody_there() -> None:
    """Without requests there is no rest, and batches have their whole target."""
    server = Server()
    server.batch(0.1)
    decision = server.decide()
    assert (Cause.RUN, 0.0, 100) == (decision.cause, decision.wait_s, decision.target_ms)
    assert "no client seen so far: duty cycle 100%" == decision.reason


def test_longer_batches_the_longer_nobody_was_there() -> None:
    """Where they keep the event loop busy: 40 ms for each second, up to the target."""
    server = Server()
    server.pass_time(2, busy=True)
    server.update.harm.batch_ratio = 0.1
    targets = []
    for _ in range(4):
        server.pass_time(1)
        targets.append(server.decide().target_ms)
    assert sorted(targets) == targets
    assert targets[0] <= 50
    assert 100 == targets[-1]


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
    """Rests of the profile's duty cycle: 7 %, all of it in a third of the time."""
    server = Server()
    server.pass_time(1, busy=True)
    server.throttle.pacer.law.ratio = 1.0
    server.batch(0.021)
    decision = server.decide()
    assert (Cause.PACE, 100) == (decision.cause, decision.target_ms)
    assert 0.021 * (1 / 0.21 - 1) == pytest.approx(decision.wait_s)
    assert (
        "clients are there, clients are 2% slower by it: duty cycle 7%:"
        " rests 79ms after a batch of 21ms"
    ) == decision.reason


def test_hush() -> None:
    """After a second of work come two without batches."""
    server = Server()
    server.pass_time(0.6, busy=True)
    causes = []
    for _ in range(28):
        server.pass_time(0.25, busy=True)
        decision = server.decide()
        causes.append(decision.cause)
        if decision.cause is Cause.COMPARE:
            assert 0 < decision.wait_s <= 2
    assert 0.5 < causes.count(Cause.COMPARE) / len(causes) < 0.8


def test_gap_between_requests() -> None:
    """A batch whose time has come waits until no request is in flight, two seconds at most."""
    server = Server()
    server.pass_time(1, busy=True)
    server.throttle.pacer.law.ratio = 1.0
    server.active = 1
    server.batch(0.025)
    server.now_s += 0.15
    decision = server.decide()
    assert Cause.GAP is decision.cause
    assert "waits for a gap between requests, of which 1 are active" == decision.reason
    server.now_s += 2
    while server.decide().cause is Cause.COMPARE:
        server.now_s += 0.1
    assert Cause.RUN is server.decide().cause


def test_no_gate_undercuts_the_least_duty_cycle() -> None:
    """With requests in flight at every moment, one percent of the time is work."""
    server = Server()
    server.active, worked_s = 2, 0.0
    server.pass_time(1, busy=True)
    begin_s = server.now_s
    while server.now_s < begin_s + 300:
        if server.decide().cause is Cause.RUN:
            server.batch(0.025)
            worked_s += 0.025
        server.pass_time(0.005, busy=True)
    assert 0.0098 < worked_s / 300 < 0.02


@pytest.mark.parametrize("name", list(PROFILES))
def test_profiles(name: str) -> None:
    """Each starts from its own duty cycle and target; to finish nobody is asked."""
    profile = PROFILES[name]
    server = Server({"profile": name})
    server.pass_time(0.4, busy=True)
    server.throttle.pacer.law.ratio = 1.0
    server.batch(0.01)
    decision = server.decide()
    assert min(profile.busy_target_ms, 100) == decision.target_ms
    effort = profile.start_duty_ratio
    work_s, hush_s = Comparison().spans_s(effort, is_certain=False)
    rest_s = 0.01 * (1 / min(effort * (work_s + hush_s) / work_s, 1) - 1)
    assert rest_s == pytest.approx(decision.wait_s, abs=1e-9)


def test_bounds_of_the_duty_cycle() -> None:
    """The greatest holds while nobody is there, the least under any pressure."""
    server = Server({"min_duty_cycle": "20%", "max_duty_cycle": "50%"})
    server.batch(0.1)
    assert 0.1 == pytest.approx(server.decide().wait_s)
    server.late_s = 5.0
    server.pass_time(10, busy=True)
    assert 0.2 == pytest.approx(server.throttle.pacer.law.ratio)


def test_databases_share() -> None:
    """Two databases at work among clients have half of the duty cycle each."""
    server = Server()
    server.throttle.begin("state", NAME, False, 0.0)
    server.pass_time(1, busy=True)
    server.throttle.pacer.law.ratio = 1.0
    server.batch(0.021)
    assert 0.021 * (1 / 0.105 - 1) == pytest.approx(server.decide().wait_s)
    server.throttle.finish("state", NAME, 1.0, None, failed=False)
    assert 0.021 * (1 / 0.21 - 1) == pytest.approx(server.decide().wait_s)


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
        assert "clients are there" in server.decide().reason
        assert server.update.pace.quiet_item_ms is None


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
