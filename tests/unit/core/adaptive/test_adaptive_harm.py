"""The adaptive pace slows down an update that slows clients down."""

import math

import pytest

from synapse_bgthrottle.core.adaptive.effort import Way
from synapse_bgthrottle.core.scheduling.decision import Cause, Conditions
from synapse_bgthrottle.core.scheduling.state import Facts
from synapse_bgthrottle.core.signals.samples import CheckSample, DatabaseSample, ProcessSample
from tests.unit.core.adaptive.server_model import DB, NAME, Server


def test_update_that_harms_gets_less() -> None:
    """Latency that is higher by half under nothing but work: as much as stock, in moments."""
    server = Server({"profile": "gentle"})
    total_s, count = 0.0, 0.0
    for _ in range(4 * 900):
        is_work = not server.throttle.pacer.switchback.is_rest
        if is_work and server.decide().cause is Cause.RUN:
            server.batch(0.0)
        total_s, count = total_s + 5 * 0.02 * 1.5**is_work, count + 5
        server.now_s += 0.25
        server.received += 5
        sample = ProcessSample(
            at_s=server.now_s, timer_late_s=0.0, responses={"send": (total_s, count)}
        )
        server.throttle.observe(None, sample)
        server.decide()
    impact = server.update.impact
    assert impact.experiments > 20
    assert math.log(1.5) == pytest.approx(impact.current.model.slope, abs=0.1)
    effort = impact.effort(0.01, like_stock=False)
    assert 0.01 / math.log(1.5) == pytest.approx(effort, rel=0.3)


@pytest.mark.parametrize("batch_s", [0.01, 0.1, 0.5])
def test_rests_are_whole(batch_s: float) -> None:
    """At the floor a hundredth of the time is work, however long batches are."""
    server = Server()
    server.late_s = 0.2
    server.pass_time(30, busy=True)
    begin_s, before_s = server.now_s, server.update.totals.batch_s
    while server.now_s < begin_s + 900:
        decision = server.decide()
        if decision.wait_s <= 0:
            server.batch(batch_s)
        else:
            server.pass_time(min(decision.wait_s, 0.05), busy=True)
    share = (server.update.totals.batch_s - before_s) / (server.now_s - begin_s)
    assert share == pytest.approx(0.01, rel=0.25)


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
    assert 0 == server.update.impact.experiments


def test_harmless_update_is_let_loose() -> None:
    """Latency that is the same with and without work: nearly all of the time, the whole target."""
    server = Server()
    worked_s = _work_for(server, 300)
    assert 0.6 < worked_s / 300
    worked_s = _work_for(server, 300)
    assert 0.8 < worked_s / 300


def _work_for(server: Server, seconds: float) -> float:
    """For how long it worked, with 20 requests/s of 20 ms."""
    end_s, before_s = server.now_s + seconds, server.update.totals.batch_s
    while server.now_s < end_s:
        begin_s = server.now_s
        if server.decide().wait_s <= 0:
            server.batch(0.05)
        server.pass_time(0.05 - (server.now_s - begin_s))
        server.answer(1, 0.02)
    return float(server.update.totals.batch_s - before_s)


def test_where_requests_go_to_workers() -> None:
    """The database's answers are compared, a second apart: a question is a third of a request."""
    server = Server(facts=Facts(sees_requests=False))
    server.active = None
    for second in range(900):
        server.pass_time(1)
        resting = server.throttle.pacer.switchback.is_rest
        if server.decide().wait_s <= 0:
            server.batch(0.0)
        sample = DatabaseSample(
            at_s=server.now_s,
            query_s=0.001 if resting else 0.002,
            transactions=100.0 * second,
        )
        server.throttle.observe(DB, sample)
    impact = server.update.impact
    assert impact.experiments > 10
    assert math.log(2) / 3 == pytest.approx(impact.current.model.slope, abs=0.07)
    assert Way.BACK_TO_BACK is impact.way


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
        if server.throttle.decide("state", NAME, at).wait_s <= 0:
            server.throttle.start("state", NAME, server.now_s)
            server.throttle.finish("state", NAME, server.now_s, None, failed=False)
            server.throttle.begin("state", NAME, False, server.now_s)
    impact = server.update.impact
    assert impact.experiments > 10
    assert 0.05 > abs(impact.current.model.slope)
