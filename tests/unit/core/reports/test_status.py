"""The status: its shape, its states, and the pending updates."""

from typing import Any

import pytest

from synapse_bgthrottle._version import __version__
from synapse_bgthrottle.codec import to_json
from synapse_bgthrottle.core.config.limits import DutyCycle, Rule, Settings
from synapse_bgthrottle.core.levers.lever import Levers
from synapse_bgthrottle.core.scheduling.decision import Cause
from synapse_bgthrottle.core.tracking.expected_pace import Range, Shares
from synapse_bgthrottle.core.tracking.progress import Progress
from synapse_bgthrottle.core.tracking.queue import QueueRow
from synapse_bgthrottle.core.tracking.time_left import Estimate
from synapse_bgthrottle.core.tracking.timeline import Job
from synapse_bgthrottle.schema import LimitValues, TimeLeft
from testbed.strategies.examples import NOON_S, lever
from tests.unit.core.reports.status_world import DB, NOON_MS, StatusWorld, look

_LEFT_S = TimeLeft(expected=90.0, earliest=60.0, latest=200.0, at_this_pace=80.0, unthrottled=9.0)
_JOB = Job(
    update="event_search",
    items=90.0,
    per_batch_s=10.0,
    speed_error=0.1,
    shares=Shares(Range.exactly(1.0), Range(0.2, 0.1, 0.3)),
)


def test_whole_status() -> None:
    """Every key, with an update under way, one behind it, and a pause."""
    rule = Rule(0, patterns=("event_*",), settings=Settings(pace=DutyCycle(0.5)))
    server = StatusWorld(None, rule)
    pause = lever(update="redactions*")
    server.throttle.levers = Levers((pause, lever(lever_id="old", ends_s=NOON_S)))
    server.batch("event_search", 0)
    server.batch("event_search", 4)
    server.begin("event_search", 6)
    server.throttle.updates[DB, "event_search"].cost.record(100, 2.0)
    server.throttle.waited(DB, "event_search", Cause.PACE, 2.5)
    seen = look(
        "redactions_recheck",
        "event_search",
        engine="postgres",
        current="event_search",
        known=frozenset({"event_search", "redactions_recheck"}),
        one_shots=frozenset({"redactions_recheck"}),
        progress={"event_search": Progress(30, 0, 120, "events")},
        estimate=Estimate(_LEFT_S, 7.5, _JOB, 0.5),
    )
    progress = {"ratio": 0.25, "done": 30, "total": 120, "left": 90, "unit": "events"}
    assert {
        "version": __version__,
        "server_name": "example.org",
        "now_ms": NOON_MS + 7000,
        "enabled": True,
        "duty_cycle_ratio": 0.5,
        "databases": [
            {
                "name": DB,
                "engine": "postgres",
                "state": "waiting",
                "pending": [
                    {
                        "name": "event_search",
                        "depends_on": None,
                        "waits_for": None,
                        "is_reachable": True,
                        "known": True,
                        "one_shot": False,
                        "progress": progress,
                        "paused": False,
                        "started_ms": NOON_MS,
                    },
                    {
                        "name": "redactions_recheck",
                        "depends_on": None,
                        "waits_for": "event_search",
                        "is_reachable": True,
                        "known": True,
                        "one_shot": True,
                        "progress": None,
                        "paused": True,
                        "started_ms": None,
                    },
                ],
                "pending_count": 2,
                "queue_problem": "",
                "current": {
                    "name": "event_search",
                    "one_shot": False,
                    "since_ms": NOON_MS,
                    "batches": 2,
                    "items": 20,
                    "batch_time_ms": 4000,
                    "last_batch_ms": 2000.0,
                    "target_duration_ms": 100.0,
                    "items_per_second": 7.5,
                    "waited_ms": {"pace": 2500},
                    "progress": progress,
                    "time_left_s": {
                        "expected": 90.0,
                        "earliest": 60.0,
                        "latest": 200.0,
                        "at_this_pace": 80.0,
                        "unthrottled": 9.0,
                    },
                    "pace": {
                        "left": 90.0,
                        "per_batch_second": 10.0,
                        "speed_error": 0.1,
                        "without_clients": {"likely": 1.0, "low": 1.0, "high": 1.0},
                        "with_clients": {"likely": 0.2, "low": 0.1, "high": 0.3},
                        "with_clients_ratio": 1.0,
                        "clients_ratio": 0.5,
                        "slope": None,
                        "fixed_s": 0.0,
                        "item_s": None,
                    },
                    "decision": {
                        "cause": "pace",
                        "is_hold": False,
                        "reason": "resting 2s: duty cycle 50%",
                        "since_ms": NOON_MS,
                        "next_try_ms": None,
                    },
                    "is_in_batch": False,
                    "batch_since_ms": None,
                    "lock_wait_since_ms": None,
                    "duty_cycle_ratio": 0.5,
                    "limits": "duty cycle 50%, target duration 100ms; rule 0 (event_*)",
                    "limit_values": to_json(
                        LimitValues(
                            pace="duty_cycle",
                            duty_cycle_ratio=0.5,
                            default_batch_items=100,
                            min_batch_items=100,
                        )
                    ),
                    "rule": "rule 0 (event_*)",
                    "learned": ["a batch takes 20ms for each item"],
                    "index_build": None,
                },
                "failures_in_row": 0,
                "last_failure": None,
                "restart": None,
                "signals": server.status(7.0, seen)["databases"][0]["signals"],
            }
        ],
        "levers": [to_json(pause.stated())],
        "missing": [],
        "problems": server.status(7.0, seen)["problems"],
    } == server.status(7.0, seen)


def test_nothing_pending() -> None:
    """A server with nothing to do is idle, without problems."""
    told = StatusWorld().status(0, look())
    database = told["databases"][0]
    assert ("idle", [], None) == (database["state"], database["pending"], database["current"])
    assert ([], None) == (told["problems"], told["duty_cycle_ratio"])


_PAUSED = Levers((lever(),))


@pytest.mark.parametrize(
    ("expected", "changes"),
    [
        ("waiting", {"began": False}),
        ("waiting", {}),
        ("running", {"in_batch": True}),
        ("held", {"levers": _PAUSED}),
        ("disabled", {"enabled": False}),
        ("disabled", {"enabled": False, "in_batch": True}),
        ("aborted", {"look": {"has_aborted": True}}),
        ("idle", {"look": {"rows": ()}}),
        ("idle", {"look": {"rows": ()}, "enabled": False}),
        ("running", {"look": {"rows": None, "queue_problem": "gone"}, "in_batch": True}),
        ("waiting", {"look": {"rows": None, "queue_problem": "gone"}, "began": False}),
    ],
)
def test_state(expected: str, changes: dict[str, Any]) -> None:
    """What a database does, in one word."""
    server = StatusWorld()
    server.throttle.levers = changes.get("levers", Levers())
    if changes.get("began", True):
        server.begin("a", 0)
    if changes.get("in_batch"):
        server.throttle.start(DB, "a", 0.0)
    seen = look("a", **changes.get("look", {}))
    told = server.status(1, seen, enabled=changes.get("enabled", True))
    assert expected == told["databases"][0]["state"]


def test_queue_that_cannot_be_read() -> None:
    """What is pending is then unknown, and the update under way is told all the same."""
    server = StatusWorld()
    server.batch("a", 0)
    told = server.status(2, look(rows=None, queue_problem="gone"))["databases"][0]
    assert (None, "gone", "a") == (told["pending"], told["queue_problem"], told["current"]["name"])


def test_update_that_has_just_ended_is_not_current() -> None:
    """What is no longer in the queue is not under way, whatever came last."""
    server = StatusWorld()
    server.batch("a", 0)
    told = server.status(2, look("b"))["databases"][0]
    assert (None, "waiting") == (told["current"], told["state"])


@pytest.mark.parametrize(
    ("expected", "name", "known"),
    [
        ((True, False), "a", {"a"}),
        ((True, True), "user_ips_analyze", {"user_ips_analyze"}),
        ((False, None), "a", {"b"}),
        ((None, None), "a", set()),
    ],
)
def test_known_and_one_shot(
    expected: tuple[bool | None, bool | None], name: str, known: set[str]
) -> None:
    """An update in one go is told so; of one that is not known, or may be, it is not."""
    told = StatusWorld().status(0, look(name, known=frozenset(known)))["databases"][0]["pending"][0]
    assert expected == (told["known"], told["one_shot"])


def test_current_of_synapse_comes_first_before_its_first_batch() -> None:
    """Where no iteration has been seen yet, Synapse's own word says which is the first."""
    told = StatusWorld().status(0, look("a", "b", current="b"))["databases"][0]["pending"]
    assert ["b", "a"] == [pending["name"] for pending in told]


def test_many_pending_updates() -> None:
    """Two hundred updates that depend on each other are told in order."""
    rows = [QueueRow(f"u{n:03}", "{}", f"u{n + 1:03}", n) for n in range(200)]
    told = StatusWorld().status(0, look(rows=rows))["databases"][0]["pending"]
    assert [f"u{n:03}" for n in range(199, -1, -1)] == [pending["name"] for pending in told]
