"""The adaptive pace and harm: who slows clients down gets less."""

import math

import pytest

from synapse_bgthrottle.comparison import Comparison
from synapse_bgthrottle.decision import Cause
from synapse_bgthrottle.holds import Conditions
from synapse_bgthrottle.signals.samples import CheckSample, DatabaseSample, ProcessSample
from synapse_bgthrottle.state import Facts
from tests.unit.adaptive_server import DB, NAME, Server


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
    begin_s, before_s = server.now_s, server.update.batch_s
    while server.now_s < begin_s + 600:
        decision = server.decide()
        if decision.wait_s <= 0:
            server.batch(batch_s)
        else:
            server.pass_time(min(decision.wait_s, 0.05), busy=True)
    share = (server.update.batch_s - before_s) / (server.now_s - begin_s)
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


@pytest.mark.parametrize("batch_s", [0.5, 3.0, 12.0])
def test_long_batches_are_compared(batch_s: float) -> None:
    """Those that outlast a moment too: what harms in them is learned, and they are rare enough."""
    server = Server()
    _serve(server, 1800, {DB: batch_s}, slower=1.5)
    begin_s, before_s = server.now_s, server.update.batch_s
    _serve(server, 1800, {DB: batch_s}, slower=1.5)
    assert server.update.harm.experiments > 10
    share = (server.update.batch_s - before_s) / (server.now_s - begin_s)
    assert share * math.log(1.5) < 2 * 0.03


def test_what_two_databases_cost_is_learned_by_both() -> None:
    """An experiment is about all that worked in it, and not about whoever asked first."""
    server = Server()
    server.throttle.begin("state", NAME, False, 0.0)
    _serve(server, 600, {DB: 0.1, "state": 0.1}, slower=1.5)
    harms = [server.throttle.updates[name, NAME].harm for name in (DB, "state")]
    assert harms[0].experiments > 20
    assert 1 >= abs(harms[0].experiments - harms[1].experiments)
    assert harms[0].slope == pytest.approx(harms[1].slope, rel=0.1)


def test_a_long_batch_beside_short_ones_is_no_hush() -> None:
    """What harms in one database is not taken for what is usual while another one rests."""
    server = Server()
    server.throttle.begin("state", NAME, False, 0.0)
    _serve(server, 1800, {DB: 10.0, "state": 0.1}, slower=1.5)
    update = server.update
    before_s, begin_s = update.batch_s, server.now_s
    _serve(server, 900, {DB: 10.0, "state": 0.1}, slower=1.5)
    assert (update.batch_s - before_s) / (server.now_s - begin_s) * math.log(1.5) < 2 * 0.03


def test_no_hush_is_given_back_while_none_can_be() -> None:
    """An index build in another database lasts; what hushes would take is no work of this one."""
    server = Server()
    _serve(server, 20, {DB: 0.1}, slower=1.0)
    server.throttle.begin("state", "an_index", False, server.now_s)
    server.throttle.start("state", "an_index", server.now_s)
    server.throttle.pacer.comparison.works("state", server.now_s)
    begin_s, before_s = server.now_s, server.update.batch_s
    _serve(server, 300, {DB: 0.1}, slower=1.0)
    share = (server.update.batch_s - before_s) / (server.now_s - begin_s)
    assert share < server.update.harm.effort * 0.6


def test_the_most_is_of_all_time() -> None:
    """Hushes are part of it: with a maximum of 5 % that much is work."""
    server = Server({"max_duty_cycle": "5%"})
    _serve(server, 30, {DB: 0.1}, slower=1.0)
    begin_s, before_s = server.now_s, server.update.batch_s
    _serve(server, 600, {DB: 0.1}, slower=1.0)
    share = (server.update.batch_s - before_s) / (server.now_s - begin_s)
    assert share == pytest.approx(0.05, rel=0.15)


def test_an_experiment_that_lacks_batches_tells_nothing() -> None:
    """A batch that was due waited for the database: it is not known what was tried."""
    server = Server()
    server.pass_time(5, busy=True)
    for _ in range(40):
        server.throttle.delayed(DB, NAME)
        server.answer(5, 0.1)
        server.pass_time(0.25, busy=True)
    assert 0 == server.update.harm.experiments
    _serve(server, 10, {DB: 0.1}, slower=1.0)
    assert server.update.harm.experiments


def test_a_lock_that_clients_wait_for_too_is_no_harm_of_ours() -> None:
    """After it nothing of it is known, not even what is usual."""
    server = Server()
    _serve(server, 60, {DB: 0.1}, slower=1.0)
    effort, experiments = server.update.harm.effort, server.update.harm.experiments
    server.throttle.start(DB, NAME, server.now_s)
    for transactions in range(60):
        server.now_s += 1
        server.answer(2, 30.0)
        server.throttle.observe(None, server.sample())
        waits_s = float(transactions)
        sample = DatabaseSample(at_s=server.now_s, lock_wait_s=waits_s, batch_transactions=1)
        server.throttle.observe(DB, sample)
    server.throttle.finish(DB, NAME, server.now_s, None, failed=False)
    server.begin()
    _serve(server, 60, {DB: 0.1}, slower=1.0)
    assert server.update.harm.experiments > experiments
    assert server.update.harm.effort >= effort


def test_a_panic_after_a_batch_is_no_moment_with_batches() -> None:
    """Nobody asks for a turn while somebody who waits for us holds it."""
    comparison = Comparison()
    comparison.turn(0.0, 1.0, 2.0)
    comparison.works(DB, 0.1)
    for number in range(1, 17):
        if number == 5:
            comparison.worked(DB, 1.2)
        comparison.look(number / 4, {"send": (number / 4 * (1 if number <= 5 else 9), number)})
    assert 3 >= comparison._work.requests


def test_another_update_is_compared_anew() -> None:
    """Half of an experiment with the one before it is not about it."""
    server = Server()
    _serve(server, 1.5, {DB: 0.1}, slower=1.5)
    assert server.throttle.pacer.comparison.is_hush
    server.throttle.begin(DB, "another", False, server.now_s)
    server.received += 1
    at = Conditions(server.now_s, 0.0, active_requests=0, requests_answered=server.received)
    server.throttle.decide(DB, "another", at)
    assert not server.throttle.pacer.comparison.is_hush


def _serve(server: Server, seconds: float, batches_s: dict[str, float], slower: float) -> None:
    """Batches of these lengths whenever they may, and 20 requests/s, slower while one runs."""
    end_s = server.now_s + seconds
    until_s: dict[str, float] = {}
    while server.now_s < end_s:
        server.now_s += 0.05
        for name, runs_until_s in list(until_s.items()):
            if server.now_s >= runs_until_s:
                del until_s[name]
                server.throttle.finish(name, NAME, server.now_s, None, failed=False)
                server.throttle.begin(name, NAME, False, server.now_s)
        server.answer(1, 0.02 * (slower if until_s else 1.0))
        for name in batches_s.keys() - until_s.keys():
            at = Conditions(server.now_s, 0.0, active_requests=0, requests_answered=server.received)
            if server.throttle.decide(name, NAME, at).wait_s <= 0:
                server.throttle.start(name, NAME, server.now_s)
                until_s[name] = server.now_s + batches_s[name]
        if round(server.now_s * 20) % 5 == 0:
            server.throttle.observe(None, server.sample())
    for name in until_s:
        server.throttle.finish(name, NAME, server.now_s, None, failed=False)
        server.throttle.begin(name, NAME, False, server.now_s)


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
