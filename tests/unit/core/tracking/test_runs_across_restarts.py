"""The history of updates: runs across a restart, and what is due to be written."""

import pytest

from synapse_bgthrottle.core.scheduling.decision import Cause
from synapse_bgthrottle.core.tracking.history import MOST_ENTRIES, Outcome
from synapse_bgthrottle.core.tracking.runs import WRITE_EVERY_S
from testbed.strategies.examples import NOON_S
from tests.unit.core.tracking.runs_world import DB, CourseWorld, written


@pytest.fixture
def world() -> CourseWorld:
    return CourseWorld()


# --- over a restart ---


@pytest.mark.parametrize("recalled_first", [True, False])
@pytest.mark.parametrize("outcome", [Outcome.RUNNING, Outcome.ABORTED])
def test_goes_on_over_a_restart(world: CourseWorld, recalled_first: bool, outcome: Outcome) -> None:
    """What was written is added to, whether it is read before or after the update begins."""
    before = written(outcome=outcome, ended_s=None if outcome is Outcome.RUNNING else NOON_S - 9)
    if recalled_first:
        world.runs.recall([before])
    world.batch("a", 1)
    world.throttle.waited(DB, "a", Cause.PACE, 2.0)
    if not recalled_first:
        world.runs.recall([before])
    assert (
        written(items=80, batches=8, batch_s=8.0, waited_s={"pace": 32.0, "window": 5.0})
        == world.so_far()
    )
    assert 0.0 == world.runs.running[DB].held_s(world.throttle.updates[DB, "a"])
    world.see(9)
    assert [("a", Outcome.DONE, 9, 8)] == world.ended()


def test_newest_of_what_was_open_goes_on(world: CourseWorld) -> None:
    """Where several runs of an update had not ended, it is the last one that goes on."""
    world.runs.recall([written(started_s=NOON_S - 5000), written()])
    world.begin("a", 0)
    assert NOON_S - 1000 == world.so_far().started_s


@pytest.mark.parametrize(
    ("expected", "expected_s", "outcome", "ended_s"),
    [
        (Outcome.DONE, 1, Outcome.RUNNING, None),
        # Only a hand removes what Synapse has given up.
        (Outcome.GONE, -9, Outcome.ABORTED, NOON_S - 9),
    ],
)
def test_ended_while_the_server_did_not_look(
    world: CourseWorld,
    expected: Outcome,
    expected_s: float,
    outcome: Outcome,
    ended_s: float | None,
) -> None:
    """What is not in the queue any more after a restart has ended, also while another runs."""
    world.runs.recall([written(outcome=outcome, ended_s=ended_s)])
    world.begin("b", 0)
    world.runs.see_recalled("state", frozenset(), NOON_S)
    world.runs.see_recalled(DB, frozenset({"a", "b"}), NOON_S)
    assert [] == world.ended()
    world.runs.see_recalled(DB, frozenset({"b"}), NOON_S + 1)
    assert [("a", expected, expected_s, 7)] == world.ended()
    world.see(2, "b")
    assert [("a", expected, expected_s, 7)] == world.ended()


# --- what is to be written ---


def test_written_once_a_minute(world: CourseWorld) -> None:
    """An update that goes on is written when it is new, and then once a minute."""
    assert 60 == WRITE_EVERY_S
    assert [] == world.write(0)
    world.begin("a", 0)
    due = {at_s: bool(world.write(at_s)) for at_s in (1, 2, 60, 61, 62, 120, 121)}
    assert [1, 61, 121] == [at_s for at_s, is_due in due.items() if is_due]


def test_written_at_once_when_it_is_new_or_aborted(world: CourseWorld) -> None:
    """What is news is not kept for a minute."""
    world.begin("a", 0)
    assert 1 == len(world.write(0))
    world.see(1, "a", aborted=True)
    assert [Outcome.ABORTED] == [entry.outcome for entry in world.write(1)]
    world.begin("b", 2)
    assert ["b"] == [entry.update for entry in world.write(2)]


def test_clock_that_is_set_back_stops_no_writing(world: CourseWorld) -> None:
    """Where the clock on the wall is set back by a day, it is written all the same."""
    world.begin("a", 0)
    world.write(0)
    assert 1 == len(world.write(-86_400))


def test_what_ended_is_kept_until_it_is_written(world: CourseWorld) -> None:
    """In the order of the ends, also while some of it is being written; never more than is kept."""
    world.batch("a", 1)
    world.begin("b", 2)
    in_writing = world.runs.ended
    world.begin("c", 3)
    assert ["a", "b"] == [entry.update for entry in world.runs.ended]
    world.runs.written(in_writing, NOON_S + 3)
    assert ["b"] == [entry.update for entry in world.runs.ended]
    world.runs.recall([written(update=str(n)) for n in range(MOST_ENTRIES + 5)])
    world.see(4, "c")
    kept = world.runs.ended
    assert (MOST_ENTRIES, str(MOST_ENTRIES + 4)) == (len(kept), kept[-1].update)


@pytest.mark.parametrize("aborted", [False, True])
def test_due_until_it_is_written(world: CourseWorld, aborted: bool) -> None:
    """Not only after a minute: an update that was aborted may be looked at no more."""
    world.begin("a", 0)
    if aborted:
        world.write(0)
        world.see(1, "a", aborted=True)
    due = world.runs.due(NOON_S + 1)
    assert due == world.write(2)
    assert [] == world.runs.due(NOON_S + 3)


@pytest.mark.parametrize("begins", [False, True])
def test_what_changed_while_it_was_being_written_is_due(world: CourseWorld, begins: bool) -> None:
    """An abort, or another run of the same update, is not written by what was due before it."""
    world.begin("a", 0)
    due = world.runs.due(NOON_S)
    world.see(1, *([] if begins else ["a"]), aborted=not begins)
    if begins:
        world.begin("a", 2)
    world.runs.written(due, NOON_S + 3)
    assert [world.so_far()] == world.runs.due(NOON_S + 4)


def test_first_progress_is_kept(world: CourseWorld) -> None:
    """How far it was when it was first seen, and what an item does, stay with it to the end."""
    world.begin("a", 0)
    world.runs.first_seen(DB, '{"at": 5}')
    world.runs.measured(DB, 2.0)
    assert '{"at": 5}' == world.so_far().first_progress
    world.see(1)
    (entry,) = world.runs.ended
    assert ('{"at": 5}', 2.0) == (entry.first_progress, entry.progress_per_item)
