"""From a status to lines for people: all of it, signals, and what is left out."""

from typing import Any

import pytest

from synapse_bgthrottle.cli.render.status import status_lines
from synapse_bgthrottle.cli.render.text import wrapped
from synapse_bgthrottle.codec import decode
from synapse_bgthrottle.schema import ThrottleStatus
from tests.unit.cli.fakes import IDLE, NOW_MS, PAUSE, current, database, pending, status

BUILD = {"phase": "building index", "progress_ratio": 0.43}
SIGNALS = [
    {"name": "backends", "class": "soft", "unit": "count", "value": 26, "threshold": 25,
     "pressure": 1.04, "age_s": 1.2},
    {"name": "lag", "class": "budget", "unit": "ms", "value": 12_000, "threshold": 10_000,
     "pressure": 1.2, "age_s": 3, "is_closed": True},
    {"name": "wal", "unit": "bytes/s", "value": 2**20, "threshold": 2**30, "is_stale": True},
    {"name": "disk_free", "unit": "bytes", "problem": "no such path"},
    {"name": "lock", "class": "panic", "unit": "yes or no", "value": 1, "threshold": 1},
]  # fmt: skip


PROBLEM = {"database": "master", "kind": "aborted", "message": "gave up", "advice": "mend it"}
QUEUE = [
    pending("event_search"),
    pending("an_index", one_shot=True, depends_on="event_search", waits_for="event_search"),
    pending("old_patch", known=False, paused=True, waits_for="an_index"),
]
FAILURE = {"at_ms": NOW_MS, "update": "event_search", "message": "deadlock"}
HOUR_MS = 3_600_000


def told(found: dict[str, Any], *, is_verbose: bool = True) -> list[str]:
    """The lines on a status."""
    lines = status_lines(decode(ThrottleStatus, found), None, is_verbose=is_verbose)
    return [line.text for line in lines]


def test_in_short() -> None:
    """Problems with when they were seen; then five lines for each database; then levers."""
    problem = PROBLEM | {"since_ms": NOW_MS - 2 * HOUR_MS, "last_ms": NOW_MS}
    found = database(pending=QUEUE, signals=SIGNALS, failures_in_row=2, last_failure=FAILURE)
    override = PAUSE | {"kind": "override", "settings": {"profile": "finish"}}
    lines = told(
        status(found, IDLE, problems=[problem], levers=[PAUSE, override]), is_verbose=False
    )
    assert [
        "PROBLEM in master: gave up",
        "  first seen 2026-01-06 20:00 UTC (2h ago), last seen 2026-01-06 22:00 UTC",
        "  do: mend it",
        "master (postgres): waiting, 3 pending",
        "  event_search 66.0% 496900/752865 stream positions",
        "  43.1 items/s; started 3h12m ago; ETA 1h40m",
        "  throttled: active backends 26 >= 25",
        "  then an_index, and 1 more",
        "master (postgres): idle",
        "levers:",
        "  override *, profile=finish, until 2026-01-07 00:00 UTC (2h left),"
        " by @admin:example.org: load test",
    ] == lines


def test_no_database() -> None:
    """A server that shows no database is not taken for one on which all is well."""
    assert ["the server shows no database"] == told(status(), is_verbose=False)


@pytest.mark.parametrize("count", [1, 3, 60, 500])
def test_it_fits_a_terminal(count: int) -> None:
    """However long the queue is: three databases and their problems have 24 lines of 80 columns."""
    name = "event_push_actions_stream_highlight_index"
    queue = [pending("event_search"), *(pending(f"{name}_{at}") for at in range(1, count))]
    busy = database(pending=queue, pending_count=1000, signals=SIGNALS)
    message = "all updates are paused by @a:b until 2026-01-07 00:00 UTC"
    pause = {"kind": "paused", "message": message,
             "advice": "End it with `bgthrottle resume`.", "since_ms": NOW_MS}  # fmt: skip
    found = status(busy, busy, busy, problems=[pause, pause], levers=[PAUSE])
    lines = [line for text in told(found, is_verbose=False) for line in wrapped(text, 80)]
    assert 24 > len(lines)
    assert 80 >= max(map(len, lines))
    assert count == 1 or f"  then {name}_1, and 998 more" in lines


def test_many_problems() -> None:
    """The worst four are shown, and how many more there are; all of them if all is asked for."""
    problems = [PROBLEM | {"message": f"problem {number}"} for number in range(9)]
    found = status(IDLE, problems=problems)
    lines = told(found, is_verbose=False)
    assert "PROBLEM in master: problem 3" in lines
    assert "and 5 more that are less urgent: bgthrottle status -v" in lines
    assert "PROBLEM in master: problem 8" in told(found)


def test_a_one_shot() -> None:
    """It has no pace and no time left, but the progress of its index build, where there is one."""
    found = current(name="an_index", one_shot=True, progress=None, index_build=BUILD)
    lines = told(status(database(current=found)), is_verbose=False)
    assert "  an_index (one-shot): building index 43.0%" in lines
    assert "  started 3h12m ago" in lines


def test_what_comes_next_is_told_once() -> None:
    """An update that has not begun is not among those behind it."""
    found = status(database(current=None, pending=QUEUE))
    assert [
        "master (postgres): waiting, 3 pending",
        "  event_search comes next; not throttled",
        "  then an_index, and 1 more",
    ] == told(found, is_verbose=False)
    assert 1 == "\n".join(told(found)).count("event_search comes next")
    assert "    2. an_index (one-shot; depends on event_search)" in told(found)


def test_the_whole_status() -> None:
    """Verbose: the queue, work, limits, failures, signals and all levers too."""
    found = database(
        pending=QUEUE,
        signals=SIGNALS,
        failures_in_row=2,
        last_failure=FAILURE,
    )
    assert [
        "PROBLEM in master: gave up",
        "  do: mend it",
        "example.org, module 0.1.0",
        "master (postgres): waiting, 3 pending",
        "  event_search 66.0% 496900/752865 stream positions",
        "  43.1 items/s; started 3h12m ago; ETA 1h40m",
        "  throttled: active backends 26 >= 25",
        "    1200 batches, 496900 items, 2m in batches; duty cycle 7% at most now;"
        " last batch 98ms; target 100ms; ETA between 1h6m and 2h30m; unthrottled 7m left",
        "    waited: pace 2h46m, gap 20s",
        "    limits: duty cycle adaptive, balanced; rule 0 (event_search)",
        "  then:",
        "    2. an_index (one-shot; depends on event_search)",
        "    3. old_patch (paused; not known to this version of Synapse)",
        "  last failure: event_search at 2026-01-06 22:00 UTC, 2 in a row: deadlock",
        "  backends: 26, threshold 25, smoothed pressure 1.04, 1.2s ago (soft)",
        "  lag: 12s, threshold 10s, pressure 1.20, 3s ago (budget, CLOSED)",
        "  pressures (threshold 1), and their age: wal (stale), lock",
        "  not observable: disk_free (no such path)",
        "levers:",
        "  pause *, until 2026-01-07 00:00 UTC (2h left), by @admin:example.org: load test",
    ] == told(status(found, problems=[PROBLEM], levers=[PAUSE]))


def test_signals_of_a_database_that_is_held() -> None:
    """Most are not read then, which is told as no fault."""
    lines = told(status(database(state="held", signals=SIGNALS)))
    assert "  not read while it is held: wal" in lines
    assert not [text for text in lines if "stale" in text]


def test_budget_that_holds_unread() -> None:
    """A budget that holds because it cannot be read is told as one that holds."""
    unread = {"name": "sql", "class": "budget", "unit": "count", "threshold": 5, "age_s": 2,
              "pressure": 0, "is_closed": True, "problem": "no such table"}  # fmt: skip
    lines = told(status(database(state="held", signals=[unread])))
    line = "  sql: unknown, threshold 5, pressure 0.00, 2s ago (budget, CLOSED, no such table)"
    assert line in lines
    assert not [text for text in lines if "not observable" in text]


def test_which_override_counts() -> None:
    """Of several the newest, which is told where there are several."""
    said = "of overrides that match an update the newest counts, key by key"
    override = PAUSE | {"kind": "override", "settings": {"windows": [{"days": ["sat"]}]}}
    for count in (1, 2):
        lines = told(status(IDLE, levers=[override] * count))
        assert (count > 1) is (said in lines)
        assert "  override *, windows=[{days: [sat]}], until" in "\n".join(lines)


def test_what_this_synapse_lacks() -> None:
    """It comes last, a line each with what it costs."""
    found = status(IDLE, missing=[{"name": "Pool.engine", "cost": "no gaps on SQLite"}])
    assert "this Synapse has no Pool.engine: no gaps on SQLite" == told(found)[-1]
