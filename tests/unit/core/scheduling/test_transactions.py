"""With workers, clients are the databases' transactions without this process's own."""

import pytest

from synapse_bgthrottle.core.scheduling.state import Facts
from synapse_bgthrottle.core.signals.samples import DatabaseSample, ProcessSample
from tests.unit.core.adaptive.server_model import Server
from tests.unit.core.scheduling.throttled_server import DB


def test_transactions_of_two_databases_are_added() -> None:
    """Those of this process are known for both together only."""
    server = Server(facts=Facts(sees_requests=False, databases=frozenset({DB, "state"})))
    _transactions_for_a_while(server, {DB: 50.0, "state": 50.0}, own_per_s=100.0)
    assert server.throttle.pacer.activity.is_quiet(server.now_s, 0.5)
    _transactions_for_a_while(server, {DB: 50.0, "state": 60.0}, own_per_s=100.0)
    assert not server.throttle.pacer.activity.is_quiet(server.now_s, 0.5)


def test_transactions_of_some_databases_tell_nothing() -> None:
    """Ours in the other one hid those of clients in this one: careful, as where nobody is seen."""
    server = Server(facts=Facts(sees_requests=False, databases=frozenset({DB, "state"})))
    _transactions_for_a_while(server, {"state": 40.0}, own_per_s=60.0)
    assert not server.throttle.pacer.activity.is_known(server.now_s)
    assert not server.throttle.pacer.activity.is_quiet(server.now_s, 0.5)


@pytest.mark.parametrize("stuck", [{DB}, {DB, "state"}])
def test_statistics_that_stand_still_tell_nothing(stuck: set[str]) -> None:
    """Workers' transactions are not counted, nor our own looks: careful, within five seconds."""
    server = Server(facts=Facts(sees_requests=False, databases=frozenset({DB, "state"})))
    presence = server.throttle.pacer.activity
    per_s = {DB: 50.0, "state": 50.0}
    _transactions_for_a_while(server, per_s, own_per_s=100.0)
    assert presence.is_quiet(server.now_s, 0.5)
    frozen_s = dict.fromkeys(stuck, server.now_s)
    _transactions_for_a_while(server, per_s, own_per_s=100.0, seconds=6, frozen_s=frozen_s)
    assert not presence.is_known(server.now_s)
    assert not presence.is_quiet(server.now_s, 0.5)
    _transactions_for_a_while(server, per_s, own_per_s=100.0, seconds=2)
    assert presence.is_quiet(server.now_s, 0.5)


def test_statistics_that_stand_still_from_the_start() -> None:
    """A rate is known only once they have moved."""
    server = Server(facts=Facts(sees_requests=False, databases=frozenset({DB})))
    _transactions_for_a_while(server, {DB: 50.0}, own_per_s=60.0, frozen_s={DB: 0.0})
    assert not server.throttle.pacer.activity.is_known(server.now_s)


@pytest.mark.parametrize("step_s", [2.0, 4.0])
@pytest.mark.parametrize("of_clients_per_s", [0.0, 20.0])
def test_statistics_that_move_in_steps(step_s: float, of_clients_per_s: float) -> None:
    """They are known all the while: those of an idle PostgreSQL move once in two seconds."""
    server = Server(facts=Facts(sees_requests=False, databases=frozenset({DB})))
    presence = server.throttle.pacer.activity
    per_s, own_per_s = {DB: 50.0 + of_clients_per_s}, 50.0
    _transactions_for_a_while(server, per_s, own_per_s, seconds=12, step_s=step_s)
    for _ in range(20):
        _transactions_for_a_while(server, per_s, own_per_s, seconds=1, step_s=step_s)
        assert presence.is_known(server.now_s + 0.9)
        assert presence.is_quiet(server.now_s, 4.5) is (of_clients_per_s == 0.0)


def _transactions_for_a_while(
    server: Server,
    per_s: dict[str, float],
    own_per_s: float,
    seconds: int = 20,
    *,
    step_s: float = 1.0,
    frozen_s: dict[str, float] | None = None,
) -> None:
    server.active = None
    for _ in range(seconds):
        server.now_s += 1
        own = ProcessSample(
            at_s=server.now_s, timer_late_s=0.0, pool_waits=own_per_s * server.now_s
        )
        server.throttle.observe(None, own)
        for name, rate in per_s.items():
            counted_s = (frozen_s or {}).get(name, server.now_s // step_s * step_s)
            sample = DatabaseSample(at_s=server.now_s, transactions=1e9 + rate * counted_s)
            server.throttle.observe(name, sample)
        server.decide()
