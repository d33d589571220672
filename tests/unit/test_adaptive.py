"""The adaptive pace: quiet, among clients, under pressure, and where nothing can be seen."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synapse_bgthrottle.adaptive import BLIND_RATIO, SoftLaw
from synapse_bgthrottle.board import Soft
from synapse_bgthrottle.comparison import Comparison
from synapse_bgthrottle.config import parse
from synapse_bgthrottle.decision import Cause, Decision
from synapse_bgthrottle.holds import CALM_S, LONGEST_WAIT_FOR_CALM_S, Conditions
from synapse_bgthrottle.limits import Settings
from synapse_bgthrottle.profiles import PROFILES
from synapse_bgthrottle.signals.samples import CheckSample, DatabaseSample, ProcessSample
from synapse_bgthrottle.state import Facts
from synapse_bgthrottle.throttle import Throttle

_DB, _NAME = "master", "work"


class Server:
    """A server in virtual time, with a request at every quarter of a second where it is busy."""

    def __init__(
        self, raw: Any = None, facts: Facts | None = None, *, one_shot: bool = False
    ) -> None:
        self.throttle = Throttle(parse(raw or {}), Settings(), facts)
        self.now_s = 0.0
        self.received = 0
        self.active: int | None = 0
        self.late_s = 0.0
        self._next_look_s = 0.0
        self._one_shot = one_shot
        self.begin()

    @property
    def update(self) -> Any:
        return self.throttle.updates[_DB, _NAME]

    def begin(self) -> None:
        self.throttle.begin(_DB, _NAME, self._one_shot, self.now_s)

    def decide(self) -> Decision:
        at = Conditions(
            self.now_s, self.now_s, active_requests=self.active, requests_answered=self.received
        )
        return self.throttle.decide(_DB, _NAME, at)

    def pass_time(self, seconds: float, *, busy: bool = False, looks: bool = True) -> None:
        end_s = self.now_s + seconds
        while self._next_look_s <= end_s:
            self.now_s = self._next_look_s
            self._next_look_s += 0.25
            self.received += busy
            if looks:
                sample = ProcessSample(at_s=self.now_s, timer_late_s=self.late_s, responses={})
                self.throttle.observe(None, sample)
            self.decide()
        self.now_s = end_s

    def batch(self, took_s: float, items: int | None = None) -> None:
        self.throttle.start(_DB, _NAME, self.now_s)
        self.now_s += took_s
        self.throttle.finish(_DB, _NAME, self.now_s, items, failed=False)
        self.begin()


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
    server = Server(facts=Facts(sqlite_databases=frozenset({_DB})))
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
    server.throttle.begin("state", _NAME, False, 0.0)
    server.pass_time(1, busy=True)
    server.throttle.pacer.law.ratio = 1.0
    server.batch(0.021)
    assert 0.021 * (1 / 0.105 - 1) == pytest.approx(server.decide().wait_s)
    server.throttle.finish("state", _NAME, 1.0, None, failed=False)
    assert 0.021 * (1 / 0.21 - 1) == pytest.approx(server.decide().wait_s)


# --- harm ---


def test_update_that_harms_gets_less() -> None:
    """Latency that is higher by half under nothing but work: 3 % are kept at about a 14th."""
    server = Server()
    total_s, count = 0.0, 0.0
    for _ in range(4 * 600):
        hushed = server.throttle.pacer.comparison.is_hush
        effort = server.update.harm.effort
        work_s, hush_s = server.throttle.pacer.comparison.spans_s(
            effort, is_certain=server.update.harm.is_certain
        )
        work = 0.0 if hushed else min(effort * (work_s + hush_s) / work_s, 1.0)
        total_s, count = total_s + 5 * 0.02 * 1.5**work, count + 5
        server.now_s += 0.25
        server.received += 5
        sample = ProcessSample(
            at_s=server.now_s, timer_late_s=0.0, responses={"send": (total_s, count)}
        )
        server.throttle.observe(None, sample)
        server.decide()
    assert server.update.harm.experiments > 20
    assert math.log(1.5) == pytest.approx(server.update.harm.slope, abs=0.15)
    assert 0.03 / math.log(1.5) == pytest.approx(server.update.harm.effort, rel=0.3)


def test_held_update_teaches_nothing() -> None:
    """While a budget holds it there are no moments with batches to compare."""
    server = Server({"signals": {"pause_file": "/run/pause"}})
    count = 0.0
    for _ in range(4 * 600):
        server.now_s += 0.25
        server.received, count = server.received + 5, count + 5
        responses = {"send": (count * 0.02, count)}
        sample = ProcessSample(at_s=server.now_s, timer_late_s=0.0, responses=responses)
        server.throttle.observe(None, sample)
        server.throttle.observe(None, CheckSample(at_s=server.now_s, name="pause_file", value=1.0))
        assert Cause.BUDGET is server.decide().cause
    assert 0 == server.update.harm.experiments


def test_harmless_update_is_let_loose() -> None:
    """Latency that is the same with and without work: no rest, no gate, the whole target."""
    server = Server()
    server.update.harm.effort = 8.0
    server.throttle.pacer.law.ratio = 1.0
    server.pass_time(1, busy=True)
    server.active = 3
    server.batch(0.1)
    decision = server.decide()
    assert (Cause.RUN, 100) == (decision.cause, decision.target_ms)


def test_where_requests_go_to_workers() -> None:
    """The database's answers are compared, from a smaller start."""
    server = Server(facts=Facts(sees_requests=False))
    server.active = None
    assert 0.035 == pytest.approx(server.update.harm.effort)
    for second in range(400):
        server.pass_time(1)
        hushed = server.throttle.pacer.comparison.is_hush
        sample = DatabaseSample(
            at_s=server.now_s,
            query_s=0.001 if hushed else 0.002,
            transactions=100.0 * second,
        )
        server.throttle.observe(_DB, sample)
    assert server.update.harm.experiments > 10
    assert server.update.harm.effort < 0.035


def test_update_on_the_event_loop_gets_shorter_batches() -> None:
    """One whose batches make timers late; they are longer again when they no longer do."""
    server = Server()
    server.late_s = 0.06
    for _ in range(20):
        server.batch(0.1)
        server.pass_time(0.25, busy=True)
    assert 0.1 == server.update.harm.batch_ratio
    server.late_s = 0.0
    for _ in range(200):
        server.batch(0.1)
        server.pass_time(0.25, busy=True)
    assert 1.0 == server.update.harm.batch_ratio


def test_transactions_of_two_databases_are_added() -> None:
    """Those of this process are known for both together only."""
    server = Server(facts=Facts(sees_requests=False))
    server.throttle.begin("state", _NAME, False, 0.0)
    server.active = None
    for second in range(1, 20):
        server.now_s = second
        own = ProcessSample(at_s=second, timer_late_s=0.0, pool_waits=100.0 * second)
        server.throttle.observe(None, own)
        for name, total in ((_DB, 1e9), ("state", 5.0)):
            transactions = total + 50.0 * second
            server.throttle.observe(name, DatabaseSample(at_s=second, transactions=transactions))
        server.decide()
    assert server.throttle.pacer.presence.is_quiet(server.now_s, 0.5)


# --- pressure ---


def test_nothing_can_be_measured() -> None:
    """Among clients, without any signal, the pace is stock's."""
    server = Server()
    server.pass_time(1, busy=True, looks=False)
    server.batch(0.1)
    assert 0.1 * (1 / BLIND_RATIO - 1) == pytest.approx(server.decide().wait_s)


def test_step_in_load_halves_the_duty_within_a_second() -> None:
    """And when it is over, the duty cycle is back within some seconds."""
    server = Server()
    server.pass_time(20, busy=True)
    assert 1.0 == pytest.approx(server.throttle.pacer.law.ratio)
    server.late_s = 0.15
    server.pass_time(1, busy=True)
    assert server.throttle.pacer.law.ratio <= 0.5
    server.pass_time(20, busy=True)
    assert 0.01 == pytest.approx(server.throttle.pacer.law.ratio)
    server.late_s = 0.0
    server.pass_time(8, busy=True)
    assert server.throttle.pacer.law.ratio > 0.4


def test_pressure_is_told() -> None:
    """With the signal that it comes from."""
    server = Server()
    server.late_s = 0.15
    server.pass_time(20, busy=True)
    server.batch(0.025)
    while (decision := server.decide()).cause is Cause.COMPARE:
        server.pass_time(0.1, busy=True)
    assert "clients are there, event_loop_lag is at 3.00: duty cycle 1%" in decision.reason


def test_stale_signal_makes_nothing_faster() -> None:
    """Without it the duty cycle may fall, and stays otherwise."""
    law = SoftLaw(0.3)
    law.step(Soft(0.0, "event_loop_lag", is_stale=True), 1.0, 0.01)
    assert 0.3 == law.ratio
    law.step(Soft(3.0, "event_loop_lag", is_stale=True), 1.0, 0.01)
    assert 0.15 == law.ratio


@given(st.floats(0.01, 1), st.floats(0, 100), st.floats(0, 100), st.floats(1, 2))
def test_more_pressure_never_more_duty(
    ratio: float, pressure: float, more: float, indulgence: float
) -> None:
    """From the same state, a higher pressure gives no higher duty cycle; bounds hold."""
    laws = [SoftLaw(ratio), SoftLaw(ratio)]
    for law, value in zip(laws, sorted((pressure, more)), strict=True):
        law.step(Soft(value, "s"), indulgence, 0.01)
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
    assert "event_loop_lag at 1.00" in decision.reason
    server.late_s = 0.0
    server.pass_time(CALM_S + 2, busy=True)
    assert Cause.CALM is not server.decide().cause


def test_one_shot_does_not_wait_for_calm_for_ever() -> None:
    """Pressures are soft: after an hour the index is built."""
    server = Server(one_shot=True)
    server.late_s = 0.05
    server.pass_time(LONGEST_WAIT_FOR_CALM_S + 1, busy=True)
    assert Cause.CALM is not server.decide().cause


def test_one_shot_waits_for_calm_after_any_hold() -> None:
    """The hour is counted from when pressures begin to hold it, not from the last batch."""
    server = Server({"windows": [{"start": "02:00", "end": "06:00"}]}, one_shot=True)
    server.late_s = 0.05
    server.pass_time(5, busy=True)
    assert Cause.WINDOW is server.decide().cause
    server.pass_time(2 * 3600, busy=True)
    assert Cause.CALM is server.decide().cause
    server.pass_time(LONGEST_WAIT_FOR_CALM_S + 1, busy=True)
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
    """An item that takes twenty times as long as while nobody was there makes a pressure."""
    server = Server()
    for _ in range(5):
        server.batch(0.1, items=100)
    server.pass_time(1, busy=True)
    server.batch(0.1, items=5)
    board = server.throttle.databases[_DB].board
    assert 20 == pytest.approx(board.levels["batch_slowdown"].value)
    assert "batch_slowdown" == board.soft(server.now_s).name


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
