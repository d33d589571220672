"""How long a batch's database stood still, and how that time counts."""

import pytest

from synapse_bgthrottle.core.config.limits import Adaptive, DutyCycle, Pace, Settings
from synapse_bgthrottle.core.scheduling.idle_time import Standstill
from synapse_bgthrottle.core.signals.samples import DatabaseSample
from tests.unit.core.scheduling.throttled_server import DB, NAME, ThrottledServer, make_throttle


def unanswered(at_s: float) -> DatabaseSample:
    return DatabaseSample(at_s=at_s, problem="no answer for 3 s", is_unanswered=True)


def seen(*looks: DatabaseSample) -> Standstill:
    """A batch that started at 100 s, with these looks."""
    standstill = Standstill(100.0)
    for look in looks:
        standstill.look(look)
    return standstill


def test_an_answer_each_time() -> None:
    """A database that answers, or refuses to, or has no connection left, does not stand still."""
    looks = (
        DatabaseSample(at_s=101.0, query_s=0.2),
        DatabaseSample(at_s=104.0, problem="no answer for 3 s"),
        DatabaseSample(at_s=105.0, problem="too many clients"),
    )
    assert 0.0 == seen(*looks).total_s(160.0) == seen().total_s(160.0)


def test_one_that_ends_with_the_batch() -> None:
    """It counts from the last answer, or the batch's begin, for a period after the last look."""
    answered = DatabaseSample(at_s=102.0)
    assert 4.5 == seen(unanswered(104.0)).total_s(104.5)
    assert 5.0 == seen(unanswered(104.0)).total_s(160.0)
    assert 4.5 == seen(answered, unanswered(105.0), unanswered(106.0)).total_s(106.5)


def test_two_with_work_between() -> None:
    """What was work, at a look, stays work; a lost connection ends a standstill as well."""
    first = (DatabaseSample(at_s=101.0), unanswered(104.0), DatabaseSample(at_s=104.5))
    second = (unanswered(110.0), DatabaseSample(at_s=110.5, problem="connection reset"))
    assert 3.5 == seen(*first).total_s(160.0)
    assert 3.5 + 6.0 == seen(*first, *second).total_s(160.0)


@pytest.mark.parametrize("failed", [False, True])
@pytest.mark.parametrize("pace", [DutyCycle(0.01), Adaptive()])
def test_it_is_not_rested_after(pace: Pace, failed: bool) -> None:
    """The next batch comes as after one that was on target, or after the failure's wait."""
    server = ThrottledServer(make_throttle(Settings(pace=pace)))
    server.ask()
    server.run(0.1, items=100)
    server.wait_for_turn()
    server.throttle.start(DB, NAME, server.now_s)
    begin_s = server.now_s
    for second in range(4, 61):
        server.now_s = begin_s + second
        server.throttle.observe(DB, unanswered(server.now_s))
    server.throttle.finish(DB, NAME, server.now_s, 100, failed=failed)
    assert 10 > server.ask().wait_s
    assert 60.0 == server.throttle.updates[DB, NAME].totals.last_batch_s
    assert 1 == server.throttle.updates[DB, NAME].cost.batches
