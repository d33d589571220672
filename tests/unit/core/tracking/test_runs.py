"""The history of updates: counts, ends and outcomes."""

import pytest

from synapse_bgthrottle.codec import to_json
from synapse_bgthrottle.core.scheduling.decision import Cause
from synapse_bgthrottle.core.tracking.history import HistoryEntry, Outcome
from testbed.strategies.examples import NOON_S
from tests.unit.core.tracking.runs_world import DB, CourseWorld, written


@pytest.fixture
def world() -> CourseWorld:
    return CourseWorld()


def test_counts_since_it_began(world: CourseWorld) -> None:
    """Batches, items, the time in both, the waits by cause and failures are counted."""
    world.batch("a", 1)
    world.batch("a", 3, items=5)
    world.batch("a", 5, failure="disk full")
    world.throttle.waited(DB, "a", Cause.PACE, 2.0)
    world.throttle.waited(DB, "a", Cause.WINDOW, 60.0)
    entry = world.so_far()
    assert (NOON_S, None, Outcome.RUNNING) == (entry.started_s, entry.ended_s, entry.outcome)
    assert (15, 3, 3.0) == (entry.items, entry.batches, entry.batch_s)
    assert {"pace": 2.0, "window": 60.0} == entry.waited_s
    assert (1, "disk full") == (entry.failures, entry.last_failure)
    assert 60.0 == world.runs.running[DB].held_s(world.throttle.updates[DB, "a"])


def test_begin_is_news_once(world: CourseWorld) -> None:
    """Only the first iteration of an update is news."""
    assert [True, False, False] == [world.begin("a", at_s) for at_s in (0, 1, 2)]
    assert [True, False] == [world.begin("b", at_s) for at_s in (3, 4)]


def test_done_when_another_begins(world: CourseWorld) -> None:
    """Synapse goes on to another update only when one is done."""
    world.batch("a", 1)
    world.begin("b", 2)
    assert [("a", Outcome.DONE, 2, 1)] == world.ended()
    assert "b" == world.so_far().update
    world.runs.written(world.runs.ended, NOON_S + 2)
    assert [] == world.ended()


@pytest.mark.parametrize(
    ("expected", "failure"), [(Outcome.DONE, ""), (Outcome.GONE, "told to fail")]
)
def test_ended_when_no_longer_in_the_queue(
    world: CourseWorld, expected: Outcome, failure: str
) -> None:
    """What left the queue is done; after a failure, somebody may have removed it: gone."""
    world.batch("a", 1, failure=failure)
    world.see(2, "a", "b")
    assert [] == world.ended()
    world.see(3, "b")
    assert [("a", expected, 3, 1)] == world.ended()
    assert None is world.runs.so_far(DB)


def test_failure_that_was_made_good_is_no_reason(world: CourseWorld) -> None:
    """An update that failed, then went on, and left the queue is done."""
    world.batch("a", 1, failure="told to fail")
    world.batch("a", 3)
    world.see(4)
    assert [("a", Outcome.DONE, 4, 2)] == world.ended()


def test_aborted_and_started_anew(world: CourseWorld) -> None:
    """Where Synapse gives up the update has ended; where it is started anew, it goes on."""
    for at_s in range(5):
        world.batch("a", at_s, failure="told to fail")
    world.see(6, "a", aborted=True)
    entry = world.so_far()
    assert (Outcome.ABORTED, NOON_S + 6) == (entry.outcome, entry.ended_s)
    world.see(60, "a", aborted=True)
    assert NOON_S + 6 == world.so_far().ended_s
    assert world.begin("a", 100)
    world.batch("a", 101)
    entry = world.so_far()
    assert (Outcome.RUNNING, None, 6) == (entry.outcome, entry.ended_s, entry.batches)
    assert [] == world.ended()


def test_aborted_and_taken_out_by_hand(world: CourseWorld) -> None:
    """What goes on after it says nothing of it: it is not done."""
    for at_s in range(5):
        world.batch("a", at_s, failure="told to fail")
    world.see(6, "a", aborted=True)
    world.begin("b", 3600)
    assert [("a", Outcome.GONE, 6, 5)] == world.ended()


def test_same_update_again_counts_from_zero(world: CourseWorld) -> None:
    """A second run of an update has nothing of the first one, nor its failure."""
    world.batch("a", 1, failure="of the first run")
    world.batch("a", 3)
    world.throttle.waited(DB, "a", Cause.PACE, 2.0)
    world.see(4)
    world.begin("a", 100)
    fresh = HistoryEntry(database=DB, update="a", started_s=NOON_S + 100)
    assert fresh == world.so_far()
    world.batch("a", 102, failure="of the second")
    assert (1, 1, "of the second") == (
        world.so_far().batches,
        world.so_far().failures,
        world.so_far().last_failure,
    )


def test_databases_do_not_mix(world: CourseWorld) -> None:
    """The same update of two databases has two courses."""
    world.batch("a", 1)
    world.throttle.begin("state", "a", False, 2)
    world.runs.begin("state", "a", NOON_S + 2)
    world.see(3)
    assert [("a", Outcome.DONE, 3, 1)] == world.ended()
    assert ["state"] == list(world.runs.running)


def test_newest_since(world: CourseWorld) -> None:
    """For how long the newest of those under way has been so; without any, for ever."""
    assert float("inf") == world.runs.newest_since_s(NOON_S)
    world.begin("a", 0)
    world.throttle.begin("state", "b", False, 5)
    world.runs.begin("state", "b", NOON_S + 5)
    assert 3 == world.runs.newest_since_s(NOON_S + 8)


def test_json() -> None:
    """What the HTTP API tells: times in ms, and no progress_json."""
    entry = written(ended_s=NOON_S, outcome=Outcome.DONE)
    assert {
        "database": DB,
        "update": "a",
        "started_ms": round((NOON_S - 1000) * 1000),
        "ended_ms": round(NOON_S * 1000),
        "outcome": "done",
        "items": 70,
        "batches": 7,
        "batch_time_ms": 7000,
        "waited_ms": {"pace": 30_000, "window": 5000},
        "failures": 1,
        "last_failure": "old",
    } == to_json(entry.stated())
