"""The adaptive pace and harm: who slows clients down gets less."""

import math

import pytest

from synapse_bgthrottle.core.scheduling.decision import Cause, Conditions
from synapse_bgthrottle.core.scheduling.state import Facts
from synapse_bgthrottle.core.signals.samples import CheckSample, DatabaseSample, ProcessSample
from tests.unit.core.adaptive.server_model import DB, NAME, Server


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


@pytest.mark.parametrize("batch_s", [0.01, 0.1, 0.5])
def test_rests_are_whole(batch_s: float) -> None:
    """What hushes take of a rest is not the rest: at the floor a hundredth of the time is work."""
    server = Server()
    server.late_s = 0.2
    server.pass_time(30, busy=True)
    begin_s, before_s = server.now_s, server.update.totals.batch_s
    while server.now_s < begin_s + 600:
        decision = server.decide()
        if decision.wait_s <= 0:
            server.batch(batch_s)
        else:
            server.pass_time(min(decision.wait_s, 0.05), busy=True)
    share = (server.update.totals.batch_s - before_s) / (server.now_s - begin_s)
    assert share == pytest.approx(0.01, rel=0.1)


def test_a_rest_does_not_begin_anew_when_hushes_become_rare() -> None:
    """It ends a hush later than it would have without any."""
    server = Server()
    server.late_s = 0.2
    server.pass_time(30, busy=True)
    server.batch(0.1)
    ended_s, rest_s = server.now_s, 0.1 * 99
    server.pass_time(0.8 * rest_s, busy=True)
    assert server.decide().wait_s > 0
    server.update.harm.learn(server.now_s, 1.0, 0.0, 1e-6)
    assert server.update.harm.is_certain
    while server.decide().wait_s > 0:
        server.pass_time(0.05, busy=True)
    assert rest_s - 0.1 < server.now_s - ended_s < rest_s + 1.5


def test_what_was_tried_is_what_was_worked_with() -> None:
    """What becomes of the pace in the hush after the work changes nothing of what was tried."""
    server = Server()
    server.pass_time(30, busy=True)
    _pass_phase(server, hush=True)
    tried = server.update.harm.tried_effort
    _pass_phase(server, hush=False)
    server.late_s = 0.5
    server.pass_time(1, busy=True)
    assert server.throttle.pacer.comparison.is_hush
    assert server.throttle.pacer.law.ratio < tried / 3
    assert tried == server.update.harm.tried_effort


def _pass_phase(server: Server, *, hush: bool) -> None:
    while server.throttle.pacer.comparison.is_hush is hush:
        server.pass_time(0.25, busy=True)


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
        server.throttle.observe(DB, sample)
    assert server.update.harm.experiments > 10
    assert server.update.harm.effort < 0.035


def test_databases_of_workers_are_compared_each_with_itself() -> None:
    """One answers in 20 ms, the other in 1 ms or 2: which was asked last tells nothing."""
    server = Server(facts=Facts(sees_requests=False, databases=frozenset({DB, "state"})))
    server.throttle.begin("state", NAME, False, 0.0)
    server.active = None
    for second in range(1800):
        server.pass_time(1)
        transactions = 100.0 * second
        for name, query_s in ((DB, 0.001), ("state", 0.02)):
            sample = DatabaseSample(at_s=server.now_s, query_s=query_s, transactions=transactions)
            server.throttle.observe(name, sample)
        at = Conditions(server.now_s, 0.0, active_requests=None, requests_answered=0)
        server.throttle.decide("state", NAME, at)
    assert server.update.harm.experiments > 10
    assert server.update.harm.effort > 0.1


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
