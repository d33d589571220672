"""From a status to lines for people."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synapse_bgthrottle.cli import lines, verdicts
from synapse_bgthrottle.cli.lever_lines import history_line, lever_line, use_line
from synapse_bgthrottle.cli.status_lines import status_lines
from synapse_bgthrottle.cli.update_lines import update_line
from synapse_bgthrottle.client.decoding import decode
from synapse_bgthrottle.client.explanations import HistoryEntry
from synapse_bgthrottle.client.levers import Lever, Use
from synapse_bgthrottle.client.throttle_status import DatabaseStatus, ThrottleStatus
from tests.unit.cli_fakes import IDLE, NOW_MS, PAUSE, current, database, pending, status


def line(**more: Any) -> str:
    """The line on a database's update."""
    return update_line(decode(DatabaseStatus, database(**more)), NOW_MS)


BUILD = {"phase": "building index", "progress_ratio": 0.43}
HOLD = {"cause": "window", "is_hold": True, "reason": "windows are closed", "since_ms": NOW_MS}

BACKOFF = {
    "cause": "backoff",
    "is_hold": True,
    "reason": "the last iteration failed: next try after 60s",
    "since_ms": NOW_MS - 15_000,
    "next_try_ms": NOW_MS + 45_000,
}


@pytest.mark.parametrize(
    ("expected", "found"),
    [
        (
            "event_search 66.0% 496900/752865; running 3h12m; ETA 1h40m;"
            " throttled: active backends 26 >= 25",
            {},
        ),
        (
            "event_search 66.0% 496900/752865; running 3h12m; 1h40m once it goes on;"
            " held: windows are closed",
            {"current": current(decision=HOLD), "state": "held"},
        ),
        (
            "event_search 66.0% 496900/752865; running 3h12m; 1h40m once it goes on;"
            " held: the last iteration failed: next try after 60s (22:00:45 UTC)",
            {"current": current(decision=BACKOFF), "state": "held"},
        ),
        (
            "an_index (one-shot); running 3h12m; in a batch",
            {
                "current": current(
                    name="an_index", one_shot=True, progress=None, decision=None, is_in_batch=True
                )
            },
        ),
        (
            "e 5 items; ETA unknown; in a batch; waits for a lock 1m",
            {
                "current": {
                    "name": "e",
                    "items": 5,
                    "is_in_batch": True,
                    "lock_wait_since_ms": NOW_MS - 60_000,
                }
            },
        ),
        (
            "e 496900 items; ETA unknown; not throttled",
            {"current": {"name": "e", "items": 496_900}},
        ),
        (
            "e 5 left; ETA unknown; aborted: Synapse gave up after failures in a row",
            {
                "current": {"name": "e", "progress": {"left": 5, "done": None, "ratio": 0.5}},
                "state": "aborted",
            },
        ),
        (
            "e 7 done; ETA unknown; disabled: background updates are switched off",
            {"current": {"name": "e", "progress": {"done": 7}}, "state": "disabled"},
        ),
        ("nothing pending", IDLE),
        (
            "an_index comes next; not throttled",
            {"current": None, "pending": [pending("an_index")]},
        ),
        (
            "the queue could not be read: locked",
            {"current": None, "pending": None, "queue_problem": "locked"},
        ),
    ],
)
def test_the_line_on_an_update(expected: str, found: dict[str, Any]) -> None:
    """In gh-ost's shape: how far, since when, how long still, and what throttles it."""
    expected = expected.replace("e 5 left", "e 50.0% 5 left")
    assert expected == line(**found)


SIGNALS = [
    {"name": "backends", "class": "soft", "unit": "count", "value": 26, "threshold": 25,
     "pressure": 1.04, "age_s": 1.2},
    {"name": "lag", "class": "budget", "unit": "ms", "value": 12_000, "threshold": 10_000,
     "pressure": 1.2, "age_s": 3, "is_closed": True},
    {"name": "wal", "unit": "bytes/s", "value": 2**20, "threshold": 2**30, "is_stale": True},
    {"name": "disk_free", "unit": "bytes", "problem": "no such path"},
    {"name": "lock", "class": "panic", "unit": "yes or no", "value": 1, "threshold": 1},
]  # fmt: skip


def test_the_whole_status() -> None:
    """Problems first, with advice; then each database in full; then levers with author and end."""
    problem = {"database": "master", "kind": "aborted", "message": "gave up", "advice": "mend it"}
    queue = [
        pending("event_search"),
        pending("an_index", one_shot=True, depends_on="event_search", waits_for="event_search"),
        pending("old_patch", known=False, paused=True, waits_for="an_index"),
    ]
    failure = {"at_ms": NOW_MS, "update": "event_search", "message": "deadlock"}
    found = database(
        pending=queue,
        signals=SIGNALS,
        failures_in_row=2,
        last_failure=failure,
        current=current(index_build=BUILD),
    )
    told = status_lines(
        decode(ThrottleStatus, status(found, problems=[problem], levers=[PAUSE])), None
    )
    assert [
        "PROBLEM in master: gave up",
        "  do: mend it",
        "example.org, module 0.1.0, duty cycle 7%",
        "master (postgres): waiting (pace), 3 pending",
        "  event_search 66.0% 496900/752865; running 3h12m; ETA 1h40m;"
        " throttled: active backends 26 >= 25",
        "    1200 batches, 496900 items, 2m in batches; progress in stream positions;"
        " last batch 98ms; target 100ms; 43.1 items/s; unthrottled 7m left",
        "    waited: pace 2h46m, gap 20s",
        "    limits: duty cycle adaptive, balanced; rule 0 (event_search)",
        "    index build: building index, 43.0% done",
        "  then:",
        "    2. an_index: one-shot; depends on event_search",
        "    3. old_patch: paused; not known to this version of Synapse; waits behind an_index",
        "  last failure: event_search at 2026-01-06 22:00 UTC, 2 in a row: deadlock",
        "  backends: 26 of 25, pressure 1.04, 1.2s ago (soft)",
        "  lag: 12s of 10s, pressure 1.20, 3s ago (budget, CLOSED)",
        "  pressures, and their age: wal (stale), lock",
        "  not observable: disk_free (no such path)",
        "levers:",
        "  pause *, until 2026-01-07 00:00 UTC (2h left), by @admin:example.org: load test",
    ] == [line.text for line in told]


def test_signals_of_a_database_that_is_held() -> None:
    """Most are not read then, which is told as no fault."""
    found = status(database(state="held", signals=SIGNALS))
    told = [line.text for line in status_lines(decode(ThrottleStatus, found), None)]
    assert "  not read while it is held: wal" in told
    assert not [text for text in told if "stale" in text]


def test_budget_that_holds_unread() -> None:
    """A budget that holds because it cannot be read is told as one that holds."""
    unread = {"name": "sql", "class": "budget", "unit": "count", "threshold": 5, "age_s": 2,
              "pressure": 0, "is_closed": True, "problem": "no such table"}  # fmt: skip
    found = status(database(state="held", signals=[unread]))
    told = [line.text for line in status_lines(decode(ThrottleStatus, found), None)]
    line = "  sql: unknown of 5, pressure 0.00, 2s ago (budget, CLOSED, no such table)"
    assert line in told
    assert not [text for text in told if "not observable" in text]


def test_which_override_counts() -> None:
    """Of several the newest, which is told where there are several."""
    said = "of overrides that match an update the newest counts, key by key"
    override = PAUSE | {"kind": "override", "settings": {"windows": [{"days": ["sat"]}]}}
    for count in (1, 2):
        found = decode(ThrottleStatus, status(IDLE, levers=[override] * count))
        told = [line.text for line in status_lines(found, None)]
        assert (count > 1) is (said in told)
        assert "  override *, windows=[{days: [sat]}], until" in "\n".join(told)


def test_what_this_synapse_lacks() -> None:
    """It comes last, a line each with what it costs."""
    found = status(IDLE, missing=[{"name": "Pool.engine", "cost": "no gaps on SQLite"}])
    told = list(status_lines(decode(ThrottleStatus, found), None))
    assert "this Synapse has no Pool.engine: no gaps on SQLite" == told[-1].text


def test_a_long_queue_is_cut() -> None:
    """Where there is little room, the rest of the queue is a count."""
    queue = [pending(f"u{number}") for number in range(57)]
    told = [
        line.text
        for line in status_lines(decode(ThrottleStatus, status(database(pending=queue))), None, 2)
    ]
    assert "    and 55 more" in told


@given(st.text())
def test_escape(text: str) -> None:
    """No text keeps anything that a terminal obeys, and what is harmless stays as it is."""
    escaped = lines.escape(text)
    assert escaped.isprintable()
    assert (escaped == text) == text.isprintable()


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        (r"\x1b[2J", "\x1b[2J"),
        (r"a\nb", "a\nb"),
        (r"\x9b2J", "\x9b2J"),
        (r"\u202egnp", "\u202egnp"),
        (r"\ud800", "\ud800"),
        ("grün", "grün"),
    ],
)
def test_escape_examples(expected: str, text: str) -> None:
    """Escape sequences, line ends, 8-bit controls, right-to-left marks and half characters."""
    assert expected == lines.escape(text)


@pytest.mark.parametrize("at_ms", [None, 10**30, -(10**18)])
def test_impossible_times(at_ms: int | None) -> None:
    """A time that no calendar has is unknown."""
    assert "unknown" == lines.moment(at_ms)


def test_levers_uses_and_history() -> None:
    """Each has one line, with who, until when and why."""
    override = Lever("b2", "override", "e", "state", {"profile": "finish"}, used_ms=NOW_MS)
    assert "override e in state, profile=finish, used at 2026-01-06 22:00 UTC" == lever_line(
        override, NOW_MS
    )
    use = Use(NOW_MS, "@a:b", "pause", "*", None, "why", ends_ms=NOW_MS)
    assert "2026-01-06 22:00 UTC @a:b pause *, until 2026-01-06 22:00 UTC: why" == use_line(use)
    entry = HistoryEntry(
        "e", "m", NOW_MS, NOW_MS + 5000, "aborted", 9, 3, 50.0, {"pace": 1.0}, 2, "x"
    )
    assert (
        "2026-01-06 22:00 UTC e in m: aborted after 5s; 9 items in 3 batches, 50ms;"
        " waited: pace 1ms; 2 failures, the last: x"
    ) == history_line(entry)


@pytest.mark.parametrize(
    ("expected", "found"),
    [
        ([], status(IDLE)),
        (["2 updates are pending in master: event_search, an_index"], status(database())),
        (["the server tells of no database"], status()),
        (
            ["the queue of master could not be read: locked"],
            status(IDLE | {"pending": None, "queue_problem": "locked"}),
        ),
        (
            [
                "1 update is pending in master: x",
                "x in master is not known to this version of Synapse",
            ],
            status(IDLE | {"pending": [pending("x", known=False)]}),
        ),
        (
            ["updates of master are aborted: Synapse gave up after failures in a row"],
            status(IDLE | {"state": "aborted"}),
        ),
        (["* is paused by @admin:example.org: load test"], status(IDLE, levers=[PAUSE])),
        (
            ["* is paused in state by @admin:example.org: load test"],
            status(IDLE, levers=[PAUSE | {"database": "state"}]),
        ),
        (
            [
                "1 update is pending in master: e",
                "updates of master are held: windows are closed",
            ],
            status(database(state="held", pending=[pending("e")], current=current(decision=HOLD))),
        ),
        (["background updates are switched off"], status(IDLE, enabled=False)),
        (["master: no batch for 2h"], status(IDLE, problems=[
            {"kind": "stuck", "database": "master", "message": "no batch for 2h"}])),
    ],
)  # fmt: skip
def test_reasons_against_an_upgrade(expected: list[str], found: Any) -> None:
    """Pending, unreadable, unknown, aborted, paused or switched off: each is a reason."""
    assert expected == list(verdicts.against_upgrade(decode(ThrottleStatus, found)))


@pytest.mark.parametrize(
    ("expected", "found"),
    [
        (True, status(IDLE)),
        (False, status()),
        (False, status(IDLE, database())),
        (False, status(IDLE | {"pending": None})),
    ],
)
def test_done(expected: bool, found: Any) -> None:
    """Only queues that were read and are empty are done."""
    assert expected is verdicts.is_done(decode(ThrottleStatus, found))


APPROVAL = {"cause": "approval", "is_hold": True, "reason": "approval is required", "since_ms": 0}
OTHERS = [
    PAUSE | {"update": "an_*", "author": "@other:x"},
    PAUSE | {"database": "state", "author": "@state:x"},
    PAUSE | {"update": "event_*", "database": "master"},
]


@pytest.mark.parametrize(
    ("expected", "found"),
    [
        ([], status(database())),
        (
            ["master: event_search needs approval: bgthrottle release event_search"],
            status(database(current=current(decision=APPROVAL))),
        ),
        (
            ["master: event_search is paused by @admin:example.org"],
            status(database(pending=[pending("event_search", paused=True)]), levers=OTHERS),
        ),
        (
            ["master: x is not known to this version of Synapse, which stops there"],
            status(database(pending=[pending("x", known=False)])),
        ),
        (
            ["master: x will never begin: updates wait for each other"],
            status(database(pending=[pending("x", is_reachable=False)])),
        ),
    ],
)
def test_what_does_not_end_by_itself(expected: list[str], found: Any) -> None:
    """A pause, by whoever paused that very update, an approval, and names that cannot run."""
    assert expected == list(verdicts.stopped(decode(ThrottleStatus, found)))
