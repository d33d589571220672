"""The order in which Synapse will run the queue."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synapse_bgthrottle.core.tracking.queue import Pending, QueueRow, in_order


def row(name: str, ordering: int = 0, depends_on: str | None = None) -> QueueRow:
    return QueueRow(name, "{}", depends_on, ordering)


def told(rows: list[QueueRow], current: str | None = None) -> list[tuple[str, str | None]]:
    """Names in order, each with what it waits for."""
    return [(item.row.name, item.waits_for) for item in in_order(rows, current)]


@pytest.mark.parametrize(
    ("expected", "rows"),
    [
        ("", []),
        ("a", [row("a")]),
        ("a b c", [row("c"), row("a"), row("b")]),
        ("c a b", [row("b", 2), row("a", 1), row("c", -1)]),
        ("a b c", [row("c", 1), row("b", 1), row("a", 1)]),
        # What another one depends on goes before, whatever the ordering.
        ("b a", [row("a", 0, "b"), row("b", 9)]),
        ("c b a", [row("a", 0, "b"), row("b", 0, "c"), row("c", 9)]),
        ("b c a", [row("a", 0, "c"), row("b", 1), row("c", 2)]),
        # What is not in the queue is done.
        ("a b", [row("a", 0, "done long ago"), row("b", 1)]),
        ("a", [row("a", 0, "")]),
    ],
)
def test_order(expected: str, rows: list[QueueRow]) -> None:
    """By ordering, then by name; what depends on another comes after that."""
    assert expected.split() == [name for name, _ in told(rows)]


def test_each_waits_for_the_one_before() -> None:
    """One runs at a time, so that each waits for the one before it; the first for none."""
    rows = [row("a", 0, "b"), row("b", 1), row("c", 2)]
    assert [("b", None), ("a", "b"), ("c", "a")] == told(rows)


@pytest.mark.parametrize("current", ["b", "c"])
def test_current_comes_first(current: str) -> None:
    """The one that Synapse is at is first, even where one that sorts before it came later."""
    rows = [row("a"), row("b"), row("c", 0, "b")]
    others = [name for name in ("a", "b", "c") if name != current]
    assert [current, *others] == [name for name, _ in told(rows, current)]


def test_current_that_is_gone_changes_nothing() -> None:
    """A name that is no longer in the queue is not waited for."""
    assert [("a", None), ("b", "a")] == told([row("b"), row("a")], "gone")


@pytest.mark.parametrize(
    ("reachable", "circle", "rows"),
    [
        ([], {"a": "a"}, [row("a", 0, "a")]),
        ([], {"a": "b", "b": "a"}, [row("a", 0, "b"), row("b", 0, "a")]),
        (["c"], {"a": "b", "b": "a"}, [row("a", 0, "b"), row("b", 0, "a"), row("c", 9)]),
        # What waits for the circle never begins either.
        ([], {"a": "a", "b": "a"}, [row("a", 0, "a"), row("b", 0, "a")]),
    ],
)
def test_circles_are_never_reached(
    reachable: list[str], circle: dict[str, str], rows: list[QueueRow]
) -> None:
    """Updates that wait for each other come last, each with what it waits for, unreachable."""
    items = in_order(rows)
    assert reachable == [item.row.name for item in items if item.is_reachable]
    never = [item for item in items if not item.is_reachable]
    assert circle == {item.row.name: item.waits_for for item in never}
    assert never == list(items[len(reachable) :])


_NAMES = st.sampled_from("abcdefgh")


@st.composite
def _queues(draw: st.DrawFn) -> list[QueueRow]:
    names = draw(st.lists(_NAMES, unique=True, max_size=8))
    return [
        row(name, draw(st.integers(-1, 2)), draw(st.none() | _NAMES | st.just("gone")))
        for name in names
    ]


def _as_synapse(rows: list[QueueRow]) -> list[str]:
    """Synapse's own rule: look at the queue anew for each update, as long as one may begin."""
    queue = sorted(rows, key=lambda row: (row.ordering, row.name))
    taken: list[str] = []
    while True:
        names = {row.name for row in queue}
        free = [row for row in queue if row.depends_on is None or row.depends_on not in names]
        if not free:
            return taken
        taken.append(free[0].name)
        queue = [row for row in queue if row.name != free[0].name]


@given(_queues())
def test_order_is_synapses_own_for_any_queue(rows: list[QueueRow]) -> None:
    """The reachable ones come as Synapse takes them, and it takes no other."""
    items = in_order(rows)
    assert _as_synapse(rows) == [item.row.name for item in items if item.is_reachable]
    assert sorted(rows, key=lambda row: row.name) == sorted(
        (item.row for item in items), key=lambda row: row.name
    )


@given(_queues(), _NAMES)
def test_rest_is_synapses_own_for_any_current(rows: list[QueueRow], current: str) -> None:
    """After the one under way, the others come as if it had never been there; none is lost."""
    items = in_order(rows, current)
    names = [item.row.name for item in items if item.is_reachable]
    if current in {row.name for row in rows}:
        others = [row for row in rows if row.name != current]
        assert [current, *_as_synapse(others)] == names
        assert Pending(next(r for r in rows if r.name == current), None) == items[0]
    else:
        assert _as_synapse(rows) == names
    assert len(rows) == len(items)
