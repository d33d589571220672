"""A database's queue of updates: their order, and which update waits for which. Pure.

Synapse takes the first update, by `ordering` and name, that depends on no other in the queue. None
can be reordered or skipped: what holds the first one holds all.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from heapq import heappop, heappush
from itertools import islice
from operator import attrgetter
from typing import Any

import attrs

from synapse_bgthrottle.core.config.problems import LONGEST_NAME
from synapse_bgthrottle.core.levers.request import escaped

# In characters. Synapse's have some hundreds. The status decodes those of hundreds of updates.
LONGEST_PROGRESS = 4096


@attrs.frozen
class QueueRow:
    """A row of Synapse's table `background_updates`."""

    name: str  # of the update
    progress_json: str = "{}"
    depends_on: str | None = None  # the name of an update that must be done before; None: none
    ordering: float = 0  # lower ones come first; infinite if it is no number

    @classmethod
    def read(cls, row: Sequence[Any]) -> "QueueRow":
        """The row as a database returns it. SQLite stores any type in any column.

        A name that is no printable text is escaped as in Python, `b'name'` or `a\\nb`, so that
        people see it. Synapse cannot run such an update.
        """
        name, progress_json, depends_on, ordering = row
        is_read = isinstance(progress_json, str) and len(progress_json) <= LONGEST_PROGRESS
        return cls(
            _as_text(name),
            progress_json if is_read else "",
            None if depends_on is None else _as_text(depends_on),
            _place(ordering),
        )


@attrs.frozen
class Pending:
    """An update in its place in the queue."""

    row: QueueRow
    waits_for: str | None  # the update that must be done before; None: it is the first
    is_reachable: bool = True  # False: it is in a circle of updates that wait for each other


_TURN = attrgetter("ordering", "name")


def _as_text(value: object) -> str:
    if isinstance(value, str) and len(value) <= LONGEST_NAME and value.isprintable():
        return value
    value = value if isinstance(value, str) else repr(value)
    return escaped(value[:LONGEST_NAME])[:LONGEST_NAME]


def _place(ordering: object) -> float:
    """The order of SQLite: NULL, then numbers, then all other values."""
    if ordering is None:
        return -math.inf
    return ordering if isinstance(ordering, (int, float)) else math.inf


def why_it_stays(rows: Iterable[QueueRow], current: str | None) -> str:
    """Why Synapse cannot continue after its current update; empty: it can.

    Synapse only leaves its current update when that ends, or when the process ends.
    """
    by_name = {row.name: row for row in rows}
    if current is None:
        return ""
    if current not in by_name:
        return f"Synapse is still at {current}, which is no longer in the queue"
    needed = by_name[current].depends_on
    if needed and needed in by_name:
        return (
            f"Synapse is still at {current}, which depends on {needed}, and {needed} is in the"
            " queue again: Synapse takes that first only after a restart"
        )
    return ""


def in_order(
    rows: Iterable[QueueRow], current: str | None = None, most: int | None = None
) -> tuple[Pending, ...]:
    """The rows in the order in which Synapse will take them, its current update first.

    `most` is how many are needed; None: all. A few of many rows cost little more than a sort.
    """
    in_turn = sorted(rows, key=_TURN)
    if current is not None:
        in_turn.sort(key=lambda row: row.name != current)
    return tuple(islice(_taken(in_turn, current), most))


def _taken(rows: list[QueueRow], current: str | None) -> Iterator[Pending]:
    """The sorted rows, each as soon as the one that it depends on was taken."""
    waiting = {row.name for row in rows}
    behind: dict[str | None, list[int]] = {}  # by name, the places of the rows that depend on it
    ready: list[int] = []  # a heap of places
    before: str | None = None
    for place, row in enumerate(rows):
        if row.name != current and row.depends_on in waiting:
            behind.setdefault(row.depends_on, []).append(place)
            continue
        ready.append(place)
        while ready:
            taken = rows[heappop(ready)]
            yield Pending(taken, before)
            before = taken.name
            waiting.discard(before)
            for freed in behind.pop(before, ()):
                heappush(ready, freed)
    for place in sorted(place for places in behind.values() for place in places):  # in a circle
        yield Pending(rows[place], rows[place].depends_on, is_reachable=False)
