"""The problems in the status, each with advice."""

from typing import Any

import attrs
import pytest

from synapse_bgthrottle.codec import decode
from synapse_bgthrottle.core.config.limits import FixedSleep, Settings
from synapse_bgthrottle.core.config.signal_settings import SignalSettings
from synapse_bgthrottle.core.config.windows import Window
from synapse_bgthrottle.core.levers.lever import Levers
from synapse_bgthrottle.core.reports.problems import problems
from synapse_bgthrottle.core.scheduling.decision import Cause, Conditions
from synapse_bgthrottle.core.signals.samples import CheckSample, DatabaseSample
from synapse_bgthrottle.core.tracking.queue import QueueRow
from synapse_bgthrottle.schema import DatabaseStatus
from testbed.strategies.examples import NOON_S, lever, override
from tests.unit.core.reports.status_world import DB, StatusWorld, look


def _told(server: StatusWorld, at_s: float, **changes: Any) -> list[tuple[str, str | None, str]]:
    """Kind, database and message of each problem, with the update `a` in the queue."""
    looked = {key: changes.pop(key) for key in ("has_aborted", "queue_problem") if key in changes}
    seen = look("a", **looked, **changes.pop("look", {}))
    problems = server.status(at_s, seen, **changes)["problems"]
    for problem in problems:
        keys = ["database", "kind", "message", "advice", "since_ms", "last_ms"]
        assert keys == list(problem)
        assert problem["advice"]
    return [(problem["kind"], problem["database"], problem["message"]) for problem in problems]


def _advice(server: StatusWorld, at_s: float, **changes: Any) -> str:
    advice: str = server.status(at_s, look("a", **changes))["problems"][0]["advice"]
    return advice


@pytest.fixture
def server() -> StatusWorld:
    return StatusWorld()


def test_none(server: StatusWorld) -> None:
    """An update that runs, or rests, is no problem."""
    server.batch("a", 0)
    assert [] == _told(server, 3)


def test_store(server: StatusWorld) -> None:
    """Where nothing can be kept, that is told first, with why."""
    message = "pauses, releases and history are not stored as they should be: read-only"
    told = _told(server, 0, store_problem="read-only", enabled=False)
    assert ("store", None, message) == told[0]
    assert "disabled" == told[1][0]


def test_disabled(server: StatusWorld) -> None:
    """Synapse's own switch is told, once for all databases, and nothing else is held by it."""
    server.begin("a", 0)
    server.throttle.decide(DB, "a", Conditions(0, NOON_S, enabled=False))
    message = "background updates are switched off by Synapse's own switch, until a restart"
    assert [("disabled", None, message)] == _told(server, 86_400, enabled=False)


@pytest.mark.parametrize(
    ("expected", "changes"),
    [
        ("all updates are paused by @admin:example.org until 2026-06-01 13:00 UTC", {}),
        (
            "all updates are paused by @admin:example.org until 2026-06-01 13:00 UTC: why",
            {"reason": "why"},
        ),
        (
            "event_* is paused by @admin:example.org until 2026-06-01 13:00 UTC",
            {"update": "event_*", "database": DB},
        ),
    ],
)
def test_paused(server: StatusWorld, expected: str, changes: dict[str, Any]) -> None:
    """Each pause in force is told, with who, until when and why; overrides are not."""
    pause = lever(**changes)
    server.throttle.levers = Levers((override(Settings(), lever_id="b2"), pause))
    server.begin("a", 0)
    assert [("paused", pause.database, expected)] == _told(server, 0)
    assert [] == _told(server, 3600)


@pytest.mark.parametrize(
    ("expected", "changes"),
    [
        ("End it, and all other pauses, with `bgthrottle resume`.", {}),
        ("End it with `bgthrottle resume event_search`.", {"update": "event_search"}),
        (
            f"End it with `bgthrottle resume 'event_*' --database {DB}`.",
            {"update": "event_*", "database": DB},
        ),
    ],
)
def test_how_to_end_a_pause(server: StatusWorld, expected: str, changes: dict[str, Any]) -> None:
    """The command ends no other pauses; a pause that was made twice is told once."""
    twice = (lever(**changes), lever(**changes, lever_id="again"))
    server.throttle.levers = Levers(twice)
    (problem,) = server.status(0, look("a"))["problems"]
    assert expected == problem["advice"]


def test_failing(server: StatusWorld) -> None:
    """Failures in a row are told with the last message, until a batch ends well."""
    server.batch("a", 0, failure="one")
    server.batch("a", 10, failure="two")
    assert [("failing", DB, "a failed 2 times in a row; the last was: two")] == _told(server, 12)
    assert "`Error doing update`" in _advice(server, 12)
    server.batch("a", 60)
    assert [] == _told(server, 62)


@pytest.mark.parametrize("queue", [(), ("b",)], ids=["empty", "next"])
def test_failure_of_what_is_over(server: StatusWorld, queue: tuple[str, ...]) -> None:
    """A connection lost after the last batch was done: nothing is tried again, nothing fails."""
    server.batch("a", 0, failure="server closed the connection")
    for name in queue:
        server.begin(name, 10)
    told = server.status(86_400, look(*queue))
    assert [] == told["problems"]
    (database,) = told["databases"]
    assert (0, "a") == (database["failures_in_row"], database["last_failure"]["update"])
    assert [("failing", DB)] == [problem[:2] for problem in _told(server, 86_400)]


def test_aborted(server: StatusWorld) -> None:
    """That Synapse gave up is told in place of the failures, with how to start anew."""
    for at_s in range(0, 500, 100):
        server.batch("a", at_s, failure="disk full")
    message = f"Synapse gave up on {DB} after five failures in a row; the last was: disk full"
    assert [("aborted", DB, message)] == _told(server, 500, has_aborted=True)
    advice = _advice(server, 500, has_aborted=True)
    assert "`bgthrottle resume`" in advice
    assert "/_synapse/admin/v1/background_updates/enabled" in advice


@pytest.mark.parametrize(
    ("queue", "advice"),
    [
        ((), "Synapse is still at a, which is no longer in the queue. Restart Synapse"),
        (("b",), "Synapse is still at a, which is no longer in the queue. Restart Synapse"),
        (
            ("a", "b"),
            "The module does not start them by itself. Repair the cause, then start the updates",
        ),
        (
            None,
            "The module does not start them by itself. Repair the cause, then start the updates",
        ),
    ],
)
def test_aborted_at_what_was_deleted(queue: tuple[str, ...] | None, advice: str) -> None:
    """Started anew it would abort again: Synapse goes on to no other update before a restart."""
    rows = None if queue is None else tuple(QueueRow(name) for name in queue)
    seen = look(rows=rows, current="a", has_aborted=True)
    (problem,) = StatusWorld().status(0, seen)["problems"]
    assert "aborted" == problem["kind"]
    assert problem["advice"].startswith(advice)


def test_queue_that_cannot_be_read(server: StatusWorld) -> None:
    """A queue that cannot be read is told with why."""
    problem = ("database", DB, f"the queue of {DB} cannot be read: gone")
    assert [problem] == _told(server, 0, queue_problem="gone", look={"rows": None})


@pytest.mark.parametrize(
    ("expected", "known"),
    [
        ([], {"a", "b"}),
        ([], set()),
        (["this server does not know b, and stops there"], {"a"}),
        (["this server does not know a, b, and stops there"], {"c"}),
    ],
)
def test_unknown_update(server: StatusWorld, expected: list[str], known: set[str]) -> None:
    """Names that the server does not know are told together; where none is known, none."""
    rows = (QueueRow("a"), QueueRow("b"))
    seen = {"rows": rows, "known": frozenset(known)}
    told = _told(server, 0, look=seen)
    assert [("unknown_update", DB, message) for message in expected] == told
    if expected:
        assert f"in the database {DB}. Then restart Synapse" in _advice(server, 0, **seen)


def test_approval_is_told_at_once() -> None:
    """What waits for somebody is told to somebody without an hour of waiting."""
    server = StatusWorld(Settings(needs_approval=True))
    server.begin("a", 0)
    reason = "approval is required by the configuration: release it to let it go"
    assert [("held", DB, f"a has been held for 0ms: {reason}")] == _told(server, 0)
    assert "`bgthrottle release a`" in _advice(server, 0)


def test_held_is_told_after_an_hour() -> None:
    """A window that holds an update is told when it has done so for an hour."""
    server = StatusWorld(Settings(pace=FixedSleep(0), windows=(Window((6,), 0, 1440),)))
    server.begin("a", 0)
    assert [] == _told(server, 3599)
    ((kind, database, message),) = _told(server, 3600)
    assert ("held", DB) == (kind, database)
    assert message.startswith("a has been held for 1h: windows are closed; next open: Sun")


@pytest.mark.parametrize(
    ("expected", "cause", "closed"),
    [
        ("bgthrottle release a", "window", []),
        ("bgthrottle release a", "calm", []),
        ("bgthrottle release a", "budget", ["replica_lag"]),
        ("Remove the file", "budget", ["pause_file"]),
        ("Free space", "budget", ["replica_lag", "disk_free"]),
        ("when the database answers", "database", []),
        ("tried again", "backoff", ["pause_file"]),
    ],
)
def test_what_ends_a_hold(expected: str, cause: str, closed: list[str]) -> None:
    """A release is advised only where it ends the hold."""
    current = {
        "name": "a",
        "decision": {"cause": cause, "is_hold": True, "reason": "", "since_ms": 0},
    }
    database = {
        "name": DB, "state": "held", "failures_in_row": 0, "last_failure": None,
        "queue_problem": "", "pending": [], "current": current,
        "signals": [
            {"name": name, "is_closed": True, "value": 1.0, "is_stale": False} for name in closed
        ],
    }  # fmt: skip
    stated = decode(DatabaseStatus, database)
    (problem,) = problems(True, "", [stated], {}, [], 3_600_000)
    assert expected in problem.advice


@pytest.mark.parametrize("name", ["sql", "http", "disk_free", "pause_file"])
@pytest.mark.parametrize(
    "seen",
    [{}, {"at_s": 3600.0, "problem": "Permission denied"}, {"at_s": 0.0, "value": 2.0}],
    ids=["never", "not", "stale"],
)
def test_what_ends_a_hold_by_what_cannot_be_read(name: str, seen: dict[str, Any]) -> None:
    """No release does; nor need the disk be full, or the file be there."""
    server = StatusWorld(signals=SignalSettings(thresholds={name: 1.0}))
    server.begin("a", 0)
    if seen:
        server.throttle.observe(DB, CheckSample(name=name, **seen))
    assert Cause.BUDGET is server.begin("a", 3600)
    (problem,) = server.status(3600, look("a"))["problems"]
    assert "held" == problem["kind"]
    expected = f"Make it readable again, or take `signals.{name}` out of the configuration"
    assert problem["advice"].startswith(expected)


@pytest.mark.parametrize("one_shot", [True, False])
def test_stuck(one_shot: bool) -> None:
    """A batch that has been running for an hour is told; a one-shot may take its time."""
    server = StatusWorld()
    name = "user_ips_analyze" if one_shot else "a"
    seen = {"rows": (QueueRow(name),)}
    server.begin(name, 0)
    server.throttle.start(DB, name, 0.0)
    assert [] == _told(server, 3599, look=seen)
    message = "a batch of a has been running for 1h"
    expected = [] if one_shot else [("stuck", DB, message)]
    assert expected == _told(server, 3600, look=seen)


def test_stuck_behind_a_lock() -> None:
    """Where it is seen to wait for somebody's lock, that is told with it."""
    server = StatusWorld()
    server.begin("a", 0)
    server.throttle.start(DB, "a", 0.0)
    for at_s in (3599.0, 3600.0):
        sample = DatabaseSample(at_s=at_s, lock_wait_s=at_s - 60, batch_transactions=1)
        server.throttle.observe(DB, sample)
    message = "a batch of a has been running for 1h, of which it has waited for a lock for 59m"
    assert [("stuck", DB, message)] == _told(server, 3600, look={"rows": (QueueRow("a"),)})


def test_since_when(server: StatusWorld) -> None:
    """A hold and a pause have their beginning, failures the moment of the last."""
    pause = lever()
    server.throttle.levers = Levers((pause,))
    server.batch("a", 0, failure="one")
    server.batch("a", 10, failure="two")
    failing, paused = server.status(12, look("a"))["problems"]
    assert (None, round((NOON_S + 12) * 1000)) == (failing["since_ms"], failing["last_ms"])
    assert (round(pause.created_s * 1000), None) == (paused["since_ms"], paused["last_ms"])
    held = StatusWorld(Settings(needs_approval=True))
    held.begin("a", 0)
    (problem,) = held.status(60, look("a"))["problems"]
    assert (round(NOON_S * 1000), None) == (problem["since_ms"], problem["last_ms"])


def test_worst_first(server: StatusWorld) -> None:
    """Of the server, then of the databases in their order, then the pauses."""
    server.throttle.levers = Levers((lever(),))
    server.batch("a", 0, failure="x")
    seen = look("a", known=frozenset("b"), queue_problem="half read")
    other = attrs.evolve(seen, name="state", has_aborted=True)
    told = server.status(2, seen, other, enabled=False, store_problem="x")["problems"]
    assert [
        ("store", None),
        ("disabled", None),
        ("failing", DB),
        ("database", DB),
        ("unknown_update", DB),
        ("aborted", "state"),
        ("database", "state"),
        ("unknown_update", "state"),
        ("paused", None),
    ] == [(problem["kind"], problem["database"]) for problem in told]
