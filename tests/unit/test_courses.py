"""The history of updates: what is counted, when it ends and how, what is to be written."""

from typing import Any

import pytest

from synapse_bgthrottle.config import Config
from synapse_bgthrottle.courses import WRITE_EVERY_S, Courses
from synapse_bgthrottle.decision import Cause
from synapse_bgthrottle.history import MOST_ENTRIES, HistoryEntry, Outcome
from synapse_bgthrottle.limits import FixedSleep, Settings
from synapse_bgthrottle.throttle import Throttle
from tests.unit.examples import NOON_S

_DB = "master"


class _World:
    """Updates of one database; time is in seconds since noon."""

    def __init__(self) -> None:
        self.throttle = Throttle(Config(Settings(pace=FixedSleep(0))), Settings())
        self.courses = Courses(self.throttle)

    def begin(self, name: str, at_s: float) -> bool:
        self.throttle.begin(_DB, name, False, at_s)
        return self.courses.begin(_DB, name, NOON_S + at_s)

    def batch(self, name: str, at_s: float, items: int = 10, failure: str = "") -> None:
        """An iteration with a batch of a second, that ends then."""
        self.begin(name, at_s - 1)
        self.throttle.start(_DB, name, at_s - 1)
        self.throttle.finish(_DB, name, at_s, None if failure else items, bool(failure))
        if failure:
            self.throttle.failed(_DB, name, NOON_S + at_s, failure)

    def see(self, at_s: float, *queued: str, aborted: bool = False) -> None:
        self.courses.see_recalled(_DB, frozenset(queued), NOON_S + at_s)
        self.courses.see(_DB, frozenset(queued), NOON_S + at_s, aborted=aborted)

    def so_far(self) -> HistoryEntry:
        entry = self.courses.so_far(_DB)
        assert entry is not None
        return entry

    def ended(self) -> list[tuple[str, Outcome, float, int]]:
        """Name, outcome, time and batches of those that have ended since."""
        return [
            (v.update, v.outcome, (v.ended_s or 0) - NOON_S, v.batches)
            for v in self.courses.ended()
        ]


@pytest.fixture
def world() -> _World:
    return _World()


def _entry(**changes: Any) -> HistoryEntry:
    """What was written of `a` before the restart."""
    values: dict[str, Any] = {
        "database": _DB,
        "update": "a",
        "started_s": NOON_S - 1000,
        "items": 70,
        "batches": 7,
        "batch_s": 7.0,
        "waited_s": {"pace": 30.0, "window": 5.0},
        "failures": 1,
        "last_failure": "old",
        "first_progress": '{"at": 1}',
    }
    return HistoryEntry(**{**values, **changes})


def test_counts_since_it_began(world: _World) -> None:
    """Batches, items, the time in both, the waits by cause and failures are counted."""
    world.batch("a", 1)
    world.batch("a", 3, items=5)
    world.batch("a", 5, failure="disk full")
    world.throttle.waited(_DB, "a", Cause.PACE, 2.0)
    world.throttle.waited(_DB, "a", Cause.WINDOW, 60.0)
    entry = world.so_far()
    assert (NOON_S, None, Outcome.RUNNING) == (entry.started_s, entry.ended_s, entry.outcome)
    assert (15, 3, 3.0) == (entry.items, entry.batches, entry.batch_s)
    assert {"pace": 2.0, "window": 60.0} == entry.waited_s
    assert (1, "disk full") == (entry.failures, entry.last_failure)
    assert 60.0 == world.courses.running[_DB].held_s(world.throttle.updates[_DB, "a"])


def test_begin_is_news_once(world: _World) -> None:
    """Only the first iteration of an update is news."""
    assert [True, False, False] == [world.begin("a", at_s) for at_s in (0, 1, 2)]
    assert [True, False] == [world.begin("b", at_s) for at_s in (3, 4)]


def test_done_when_another_begins(world: _World) -> None:
    """Synapse goes on to another update only when one is done."""
    world.batch("a", 1)
    world.begin("b", 2)
    assert [("a", Outcome.DONE, 2, 1)] == world.ended()
    assert "b" == world.so_far().update
    assert [] == world.ended()


@pytest.mark.parametrize(
    ("expected", "failure"), [(Outcome.DONE, ""), (Outcome.GONE, "told to fail")]
)
def test_ended_when_no_longer_in_the_queue(world: _World, expected: Outcome, failure: str) -> None:
    """What left the queue is done; after a failure, somebody may have removed it: gone."""
    world.batch("a", 1, failure=failure)
    world.see(2, "a", "b")
    assert [] == world.ended()
    world.see(3, "b")
    assert [("a", expected, 3, 1)] == world.ended()
    assert None is world.courses.so_far(_DB)


def test_failure_that_was_made_good_is_no_reason(world: _World) -> None:
    """An update that failed, then went on, and left the queue is done."""
    world.batch("a", 1, failure="told to fail")
    world.batch("a", 3)
    world.see(4)
    assert [("a", Outcome.DONE, 4, 2)] == world.ended()


def test_aborted_and_started_anew(world: _World) -> None:
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


def test_aborted_and_taken_out_by_hand(world: _World) -> None:
    """What goes on after it says nothing of it: it is not done."""
    for at_s in range(5):
        world.batch("a", at_s, failure="told to fail")
    world.see(6, "a", aborted=True)
    world.begin("b", 3600)
    assert [("a", Outcome.GONE, 6, 5)] == world.ended()


def test_same_update_again_counts_from_zero(world: _World) -> None:
    """A second run of an update has nothing of the first one, nor its failure."""
    world.batch("a", 1, failure="of the first run")
    world.batch("a", 3)
    world.throttle.waited(_DB, "a", Cause.PACE, 2.0)
    world.see(4)
    world.courses.ended()
    world.begin("a", 100)
    fresh = HistoryEntry(database=_DB, update="a", started_s=NOON_S + 100)
    assert fresh == world.so_far()
    world.batch("a", 102, failure="of the second")
    assert (1, 1, "of the second") == (
        world.so_far().batches,
        world.so_far().failures,
        world.so_far().last_failure,
    )


def test_databases_do_not_mix(world: _World) -> None:
    """The same update of two databases has two courses."""
    world.batch("a", 1)
    world.throttle.begin("state", "a", False, 2)
    world.courses.begin("state", "a", NOON_S + 2)
    world.see(3)
    assert [("a", Outcome.DONE, 3, 1)] == world.ended()
    assert ["state"] == list(world.courses.running)


# --- over a restart ---


@pytest.mark.parametrize("recalled_first", [True, False])
@pytest.mark.parametrize("outcome", [Outcome.RUNNING, Outcome.ABORTED])
def test_goes_on_over_a_restart(world: _World, recalled_first: bool, outcome: Outcome) -> None:
    """What was written is added to, whether it is read before or after the update begins."""
    before = _entry(outcome=outcome, ended_s=None if outcome is Outcome.RUNNING else NOON_S - 9)
    if recalled_first:
        world.courses.recall([before])
    world.batch("a", 1)
    world.throttle.waited(_DB, "a", Cause.PACE, 2.0)
    if not recalled_first:
        world.courses.recall([before])
    assert (
        _entry(items=80, batches=8, batch_s=8.0, waited_s={"pace": 32.0, "window": 5.0})
        == world.so_far()
    )
    assert 0.0 == world.courses.running[_DB].held_s(world.throttle.updates[_DB, "a"])
    world.see(9)
    assert [("a", Outcome.DONE, 9, 8)] == world.ended()


def test_newest_of_what_was_open_goes_on(world: _World) -> None:
    """Where several runs of an update had not ended, it is the last one that goes on."""
    world.courses.recall([_entry(started_s=NOON_S - 5000), _entry()])
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
    world: _World, expected: Outcome, expected_s: float, outcome: Outcome, ended_s: float | None
) -> None:
    """What is not in the queue any more after a restart has ended, also while another runs."""
    world.courses.recall([_entry(outcome=outcome, ended_s=ended_s)])
    world.begin("b", 0)
    world.courses.see_recalled("state", frozenset(), NOON_S)
    world.courses.see_recalled(_DB, frozenset({"a", "b"}), NOON_S)
    assert [] == world.ended()
    world.courses.see_recalled(_DB, frozenset({"b"}), NOON_S + 1)
    assert [("a", expected, expected_s, 7)] == world.ended()
    world.see(2, "b")
    assert [] == world.ended()


# --- what is to be written ---


def test_written_once_a_minute(world: _World) -> None:
    """An update that goes on is written when it is new, and then once a minute."""
    assert 60 == WRITE_EVERY_S
    assert [] == world.courses.due(NOON_S)
    world.begin("a", 0)
    due = {at_s: bool(world.courses.due(NOON_S + at_s)) for at_s in (1, 2, 60, 61, 62, 120, 121)}
    assert [1, 61, 121] == [at_s for at_s, is_due in due.items() if is_due]


def test_written_at_once_when_it_is_new_or_aborted(world: _World) -> None:
    """What is news is not kept for a minute."""
    world.begin("a", 0)
    assert 1 == len(world.courses.due(NOON_S))
    world.see(1, "a", aborted=True)
    assert [Outcome.ABORTED] == [entry.outcome for entry in world.courses.due(NOON_S + 1)]
    world.begin("b", 2)
    assert ["b"] == [entry.update for entry in world.courses.due(NOON_S + 2)]


def test_clock_that_is_set_back_stops_no_writing(world: _World) -> None:
    """Where the clock on the wall is set back by a day, it is written all the same."""
    world.begin("a", 0)
    world.courses.due(NOON_S)
    assert 1 == len(world.courses.due(NOON_S - 86_400))


def test_what_could_not_be_written_comes_again_in_order(world: _World) -> None:
    """What is put back is asked for again, before what ended since; never more than is kept."""
    world.batch("a", 1)
    world.begin("b", 2)
    ended = world.courses.ended()
    world.begin("c", 3)
    world.courses.put_back(ended)
    assert ["a", "b"] == [entry.update for entry in world.courses.unwritten]
    assert ["a", "b"] == [entry.update for entry in world.courses.ended()]
    world.courses.put_back([_entry(update=str(n)) for n in range(MOST_ENTRIES + 5)])
    kept = world.courses.ended()
    assert (MOST_ENTRIES, str(MOST_ENTRIES + 4)) == (len(kept), kept[-1].update)


@pytest.mark.parametrize("aborted", [False, True])
def test_what_was_due_and_could_not_be_written_is_due_again(world: _World, aborted: bool) -> None:
    """Not only after a minute: an update that was aborted may be looked at no more."""
    world.begin("a", 0)
    if aborted:
        world.courses.due(NOON_S)
        world.see(1, "a", aborted=True)
    due = world.courses.due(NOON_S + 1)
    world.courses.put_back((), due)
    assert due == world.courses.due(NOON_S + 2)
    assert [] == world.courses.due(NOON_S + 3)


def test_first_progress_is_kept(world: _World) -> None:
    """How far it was when it was first seen stays with it to the end."""
    world.begin("a", 0)
    world.courses.first_seen(_DB, '{"at": 5}')
    assert '{"at": 5}' == world.so_far().first_progress
    world.see(1)
    assert ['{"at": 5}'] == [entry.first_progress for entry in world.courses.ended()]


def test_newest_since(world: _World) -> None:
    """For how long the newest of those under way has been so; without any, for ever."""
    assert float("inf") == world.courses.newest_since_s(NOON_S)
    world.begin("a", 0)
    world.throttle.begin("state", "b", False, 5)
    world.courses.begin("state", "b", NOON_S + 5)
    assert 3 == world.courses.newest_since_s(NOON_S + 8)


def test_json() -> None:
    """What the HTTP API tells: times in ms, and no progress_json."""
    entry = _entry(ended_s=NOON_S, outcome=Outcome.DONE)
    assert {
        "database": _DB,
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
    } == entry.to_json()
