"""How long a batch has waited for others' locks, and how that time counts."""

import pytest

from synapse_bgthrottle.core.config.limits import DutyCycle, Settings
from synapse_bgthrottle.core.scheduling.idle_time import LockWait, work_s
from synapse_bgthrottle.core.signals.samples import DatabaseSample
from tests.unit.core.scheduling.throttled_server import DB, NAME, ThrottledServer, make_throttle

# When, for how long a lock was waited for by then, how many transactions had ended.
Look = tuple[float, float | None, int | None]


def seen(*looks: Look) -> LockWait:
    """A batch that started at 100 s, with these looks."""
    wait = LockWait(100.0)
    for at_s, waits_s, transactions in looks:
        wait.look(DatabaseSample(at_s=at_s, lock_wait_s=waits_s, batch_transactions=transactions))
    return wait


def test_no_look() -> None:
    """A batch that is over before it was looked at has waited for nothing."""
    assert (None, 0.0) == (seen().since_s, seen().total_s(160.0))


def test_a_wait() -> None:
    """It counts from its begin, and for at most a period after the last look that saw it."""
    looks = [(100.0 + second, second - 0.2, 1) for second in range(1, 9)]
    wait = seen(*looks)
    assert 100.2 == pytest.approx(wait.since_s)
    assert 7.8 + 0.4 == pytest.approx(wait.total_s(108.4))
    assert 7.8 + 1.0 == pytest.approx(wait.total_s(130.0))


def test_one_look() -> None:
    """One is not enough: the session that waits may be a request's."""
    assert (None, 0.0) == (seen((101.0, 0.9, 1)).since_s, seen((101.0, 0.9, 1)).total_s(101.5))


def test_a_short_wait() -> None:
    """It is not taken to go on for longer than it was seen."""
    assert 0.2 == pytest.approx(seen((101.0, 0.0, 1), (102.0, 0.1, 1)).total_s(130.0))


def test_work_before_and_after() -> None:
    """What was work, at a look, stays work."""
    wait = seen((101.0, 0.0, 1), (102.0, 0.5, 1), (103.0, 1.5, 1), (104.0, 0.0, 1))
    assert (None, 1.5) == (wait.since_s, wait.total_s(160.0))


def test_a_wait_that_would_be_longer_than_what_is_known() -> None:
    """Nothing is added from before the last look at which the batch was at work."""
    assert 1.0 == seen((101.0, 0.0, 1), (102.0, 50.0, 1)).total_s(102.0)
    assert 2.0 == seen((105.0, 50.0, 1), (106.0, 51.0, 2), (107.0, 52.0, 2)).total_s(107.0)


def test_many_transactions() -> None:
    """A batch whose transactions end is at work, whoever else waits."""
    looks = [(100.0 + second, float(second), second) for second in range(1, 60)]
    assert (None, 0.0) == (seen(*looks).since_s, seen(*looks).total_s(160.0))


@pytest.mark.parametrize("look", [(105.0, None, 1), (105.0, 4.9, None)])
def test_not_observable(look: Look) -> None:
    """What could not be seen changes nothing; the next look that sees it tells of it as well."""
    assert (None, 0.0) == (seen(look, look).since_s, seen(look, look).total_s(160.0))
    assert 7.9 == pytest.approx(seen((101.0, 0.9, 1), look, (108.0, 7.9, 1)).total_s(108.0))


@pytest.mark.parametrize(
    ("took_s", "lock_wait_s", "expected_s"),
    [
        (60.0, 0.0, 60.0),
        (60.0, 50.0, 10.0),
        (60.0, 60.0, 0.1),
        (0.05, 0.0, 0.05),
        (0.05, 0.05, 0.05),
        (0.0, 0.0, 0.0),
    ],
)
def test_work(took_s: float, lock_wait_s: float, expected_s: float) -> None:
    """All but the wait; one that waited counts as one on target at least."""
    assert expected_s == pytest.approx(work_s(took_s, lock_wait_s, 100.0))


def run_with_wait(server: ThrottledServer, took_s: int, waited_s: float, items: int) -> None:
    """A batch that waits for a lock at its end, with a look each second."""
    server.throttle.start(DB, NAME, server.now_s)
    for second in range(1, took_s + 1):
        server.pass_time(1.0)
        waits_s = max(second - (took_s - waited_s), 0.0)
        sample = DatabaseSample(at_s=server.now_s, lock_wait_s=waits_s, batch_transactions=1)
        server.throttle.observe(DB, sample)
    server.throttle.finish(DB, NAME, server.now_s, items, failed=False)


def test_a_minute_for_a_lock_is_not_rested_after() -> None:
    """The rest is that after a batch on target; today's without looks is that after a minute."""
    server = ThrottledServer(make_throttle(Settings(pace=DutyCycle(0.25))))
    server.ask()
    server.run(0.1, items=100)
    server.wait_for_turn()
    run_with_wait(server, 60, 60.0, items=100)
    update = server.throttle.updates[DB, NAME]
    assert 0.3 == pytest.approx(server.ask().wait_s)
    assert 60.0 == update.totals.last_batch_s
    assert 0.2 == pytest.approx(update.totals.batch_s)
    assert 1 == update.cost.batches


def test_work_beside_the_wait_is_learned_from() -> None:
    """Where most of a batch was work, that is what the next one's size comes from."""
    server = ThrottledServer(make_throttle(Settings(pace=DutyCycle(0.25))))
    server.ask()
    server.run(0.1, items=100)
    server.wait_for_turn()
    run_with_wait(server, 10, 2.0, items=100)
    assert 3 * 8.0 == pytest.approx(server.ask().wait_s)
    assert 2 == server.throttle.updates[DB, NAME].cost.batches


def test_exact_sizes_do_not_follow_a_wait() -> None:
    """Nor do the sizes that are set here."""
    top = Settings(pace=DutyCycle(0.25), max_batch_items=100)
    server = ThrottledServer(make_throttle(top))
    for _ in range(3):
        server.run(0.1, items=server.wait_for_turn().items)
    before = server.wait_for_turn().items
    run_with_wait(server, 60, 60.0, items=before)
    assert before == server.ask().items


def test_the_next_batch_begins_anew() -> None:
    """What one batch waited is not the next one's."""
    server = ThrottledServer(make_throttle(Settings(pace=DutyCycle(0.25))))
    server.ask()
    run_with_wait(server, 60, 60.0, items=100)
    server.wait_for_turn()
    server.run(10.0)
    assert 30.0 == pytest.approx(server.ask().wait_s)
