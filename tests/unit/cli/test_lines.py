"""Single lines for people: updates, levers, events, and text with control characters."""

from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synapse_bgthrottle.cli.render import text as lines
from synapse_bgthrottle.cli.render.levers import history_lines, lever_line, use_line
from synapse_bgthrottle.cli.render.status import update_line
from synapse_bgthrottle.codec import decode
from synapse_bgthrottle.schema import DatabaseStatus, HistoryEntry, Lever, Use
from tests.unit.cli.fakes import HOLD, IDLE, NOW_MS, current, database, pending


def line(**more: Any) -> str:
    """The line on a database's update."""
    return update_line(decode(DatabaseStatus, database(**more)), NOW_MS)


BACKOFF = {
    "cause": "backoff",
    "is_hold": True,
    "reason": "failed once: next try after 1m",
    "since_ms": NOW_MS - 15_000,
    "next_try_ms": NOW_MS + 45_000,
}


@pytest.mark.parametrize(
    ("expected", "found"),
    [
        (
            "event_search 66.0% 496900/752865; started 3h12m ago; ETA 1h40m;"
            " throttled: active backends 26 >= 25",
            {},
        ),
        (
            "event_search 66.0% 496900/752865; started 3h12m ago; ETA 1h40m;"
            " held: windows are closed",
            {"current": current(decision=HOLD), "state": "held"},
        ),
        (
            "event_search 66.0% 496900/752865; started 3h12m ago; 1h40m once it goes on;"
            " held: failed once: next try after 1m (22:00:45 UTC)",
            {
                "current": current(decision=BACKOFF, time_left_s={"at_this_pace": 6000}),
                "state": "held",
            },
        ),
        (
            "an_index (one-shot); started 3h12m ago; in a batch",
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
    override = Lever(
        kind="override",
        update="e",
        database="state",
        settings={"profile": "finish"},
        used_ms=NOW_MS,
    )
    assert "override e in state, profile=finish, used at 2026-01-06 22:00 UTC" == lever_line(
        override, NOW_MS
    )
    use = Use(at_ms=NOW_MS, author="@a:b", action="pause", update="*", reason="why", ends_ms=NOW_MS)
    assert "2026-01-06 22:00 UTC @a:b pause *, until 2026-01-06 22:00 UTC: why" == use_line(use)
    entry = HistoryEntry(
        update="e",
        database="m",
        started_ms=NOW_MS,
        ended_ms=NOW_MS + 5000,
        outcome="aborted",
        items=9,
        batches=3,
        batch_time_ms=50.0,
        waited_ms={"pace": 1.0},
        failures=2,
        last_failure="x",
    )
    assert [
        "started (UTC)     outcome  took  items  update",
        "2026-01-06 22:00  aborted  5s    9      e",
        "    3 batches, 50ms in all; waited: pace 1ms",
        "    2 failures, the last: x",
    ] == [line.text for line in history_lines([entry])]
    both = [entry, attrs.evolve(entry, database="state", batches=1, waited_ms={}, failures=0)]
    assert [
        "started (UTC)     outcome  took  items  database  update",
        "2026-01-06 22:00  aborted  5s    9      m         e",
        "    3 batches, 50ms in all; waited: pace 1ms",
        "    2 failures, the last: x",
        "2026-01-06 22:00  aborted  5s    9      state     e",
        "    1 batch, 50ms in all",
    ] == [line.text for line in history_lines(both)]


@given(st.text(alphabet="ab _-.", max_size=300), st.integers(1, 120))
def test_wrapping(text: str, columns: int) -> None:
    """Nothing is lost, and no word is broken that has room in a line."""
    told = lines.wrapped(text, columns)
    assert "".join(text.split()) == "".join("".join(told).split())
    if all(len(word) + 2 <= columns for word in text.split()) and not text.startswith(" "):
        assert text.split() == " ".join(told).split()
        assert all(len(each) <= columns for each in told)


def test_wrapping_examples() -> None:
    """Lines after the first go in; without a terminal nothing is wrapped."""
    assert ["  held: windows", "    are closed"] == lines.wrapped("  held: windows are closed", 16)
    assert ["a  b  c"] == lines.wrapped("a  b  c", 80)
    assert ["x " * 99] == lines.wrapped("x " * 99, None)
