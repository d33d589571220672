"""The adaptive pace's experiments: which batches are compared, and which tell nothing."""

import math

import pytest

from synapse_bgthrottle.core.scheduling.decision import Conditions
from synapse_bgthrottle.core.scheduling.state import Facts
from synapse_bgthrottle.core.signals.samples import DatabaseSample
from tests.unit.core.adaptive.server_model import DB, NAME, Server


@pytest.mark.parametrize("batch_s", [0.5, 3.0, 12.0])
def test_long_batches_are_compared(batch_s: float) -> None:
    """Those that outlast a moment too: what harms in them is learned, and they are rare enough."""
    server = Server()
    _serve(server, 900, {DB: batch_s}, slower=1.5)
    begin_s, before_s = server.now_s, server.update.totals.batch_s
    _serve(server, 900, {DB: batch_s}, slower=1.5)
    assert server.update.impact.experiments >= 10
    share = (server.update.totals.batch_s - before_s) / (server.now_s - begin_s)
    # By stock such batches have 33 %, 75 % and 92 % of the time.
    assert share * math.log(1.5) < 0.07


def test_what_two_databases_cost_is_learned_by_both() -> None:
    """An experiment is about all that worked in it, and not about whoever asked first."""
    server = Server()
    server.throttle.begin("state", NAME, False, 0.0)
    _serve(server, 600, {DB: 0.1, "state": 0.1}, slower=1.5)
    impacts = [server.throttle.updates[name, NAME].impact for name in (DB, "state")]
    assert impacts[0].experiments > 20
    assert 1 >= abs(impacts[0].experiments - impacts[1].experiments)
    slopes = [impact.current.model.slope for impact in impacts]
    assert slopes[0] == pytest.approx(slopes[1], rel=0.25)


def test_a_long_batch_beside_short_ones_is_no_hush() -> None:
    """What harms in one database is not taken for what is usual while another one rests."""
    server = Server()
    server.throttle.begin("state", NAME, False, 0.0)
    _serve(server, 600, {DB: 10.0, "state": 0.1}, slower=1.5)
    update = server.update
    before_s, begin_s = update.totals.batch_s, server.now_s
    _serve(server, 600, {DB: 10.0, "state": 0.1}, slower=1.5)
    assert (update.totals.batch_s - before_s) / (server.now_s - begin_s) * math.log(1.5) < 2 * 0.03


def test_moments_go_on_while_no_comparison_can_be() -> None:
    """An index build in another database lasts; this one has no less of the time for it."""
    server = Server()
    _serve(server, 20, {DB: 0.1}, slower=1.0)
    server.throttle.begin("state", "an_index", True, server.now_s)
    server.throttle.start("state", "an_index", server.now_s)
    _serve(server, 60, {DB: 0.1}, slower=1.0)
    experiments = server.update.impact.experiments
    begin_s, before_s = server.now_s, server.update.totals.batch_s
    _serve(server, 300, {DB: 0.1}, slower=1.0)
    share = (server.update.totals.batch_s - before_s) / (server.now_s - begin_s)
    assert 0.1 < share < 0.97
    assert server.update.impact.experiments == experiments


def test_the_most_is_of_all_time() -> None:
    """Hushes are part of it: with a maximum of 5 % that much is work."""
    server = Server({"max_duty_cycle": "5%"})
    _serve(server, 30, {DB: 0.1}, slower=1.0)
    begin_s, before_s = server.now_s, server.update.totals.batch_s
    _serve(server, 600, {DB: 0.1}, slower=1.0)
    share = (server.update.totals.batch_s - before_s) / (server.now_s - begin_s)
    assert share == pytest.approx(0.05, rel=0.15)


def test_an_experiment_that_lacks_batches_tells_nothing() -> None:
    """A batch that was due waited for the database: it is not known what was tried."""
    server = Server()
    server.pass_time(5, busy=True)
    for _ in range(40):
        server.answer(5, 0.1)
        server.pass_time(0.25, busy=True)
    assert 0 == server.update.impact.experiments
    _serve(server, 30, {DB: 0.1}, slower=1.0)
    assert server.update.impact.experiments


def test_a_lock_that_clients_wait_for_too_is_no_harm_of_ours() -> None:
    """After it nothing of it is known, not even what is usual."""
    server = Server()
    _serve(server, 60, {DB: 0.1}, slower=1.0)
    impact = server.update.impact
    slope, experiments = impact.current.model.slope, impact.experiments
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
    assert impact.experiments > experiments
    assert slope + 0.05 > impact.current.model.slope


def test_another_update_is_compared_anew() -> None:
    """Half of an experiment with the one before it is not about it."""
    server = Server()
    _serve(server, 1.6, {DB: 0.1}, slower=1.5)
    server.throttle.begin(DB, "another", False, server.now_s)
    while server.throttle.pacer.switchback.began_s < server.now_s - 1.0:
        server.pass_time(0.25, busy=True)
    server.pass_time(8, busy=True)
    assert 0 == server.throttle.updates[DB, "another"].impact.experiments


def test_a_queue_of_short_updates_has_no_hush_for_each() -> None:
    """A new server has dozens of small ones: among clients they take no longer than by stock."""
    server = Server(facts=Facts(sees_requests=False))
    server.active = None
    for second in range(8):
        server.pass_time(1)
        server.throttle.observe(DB, DatabaseSample(at_s=server.now_s, transactions=100.0 * second))
    begin_s, done = server.now_s, 0
    while done < 60 and server.now_s < begin_s + 300:
        name = f"update_{done}"
        server.throttle.begin(DB, name, True, server.now_s)
        at = Conditions(server.now_s, 0.0, active_requests=None, requests_answered=0)
        if server.throttle.decide(DB, name, at).wait_s <= 0:
            server.throttle.start(DB, name, server.now_s)
            server.now_s += 0.01
            server.throttle.finish(DB, name, server.now_s, None, failed=False)
            done += 1
        else:
            server.now_s += 0.1
        count = 100.0 * server.now_s
        server.throttle.observe(None, server.sample())
        server.throttle.observe(DB, DatabaseSample(at_s=server.now_s, transactions=count))
    assert 60 == done
    assert 60 > server.now_s - begin_s


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
