"""From a status to lines for people: all of it, signals, and what is left out."""

from synapse_bgthrottle.cli.render.status import status_lines
from synapse_bgthrottle.schema import ThrottleStatus, decode
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
        " last batch 98ms; target 100ms; 43.1 items/s; ETA between 1h6m and 2h30m;"
        " unthrottled 7m left",
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
