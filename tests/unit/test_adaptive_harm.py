"""The adaptive pace and harm: who slows clients down gets less."""

import math

import pytest

from synapse_bgthrottle.decision import Cause
from synapse_bgthrottle.signals.samples import CheckSample, DatabaseSample, ProcessSample
from synapse_bgthrottle.state import Facts
from tests.unit.adaptive_server import DB, Server


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
        server.throttle.observe(DB, sample)
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
