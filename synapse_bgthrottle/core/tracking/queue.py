"""A database's queue of updates: in which order Synapse will take them, and what waits for what.

Pure. Synapse takes the first, by `ordering` and name, that does not depend on another in the queue.
Nothing can be reordered or skipped: whatever holds the first holds all.
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

# In characters. Synapse's own have some hundred. The status decodes that of hundreds of updates.
LONGEST_PROGRESS = 4096


@attrs.frozen
class QueueRow:
    """A row of Synapse's table `background_updates`."""

    name: str  # of the update
    progress_json: str = "{}"  # how far it is, in its own words
    depends_on: str | None = None  # the name of an update that must be done before; None: of none
    ordering: float = 0  # the lower the sooner; infinite where it is no number

    @classmethod
    def read(cls, row: Sequence[Any]) -> "QueueRow":
        """The row as any database may have it: SQLite keeps any type in any column.

        What is no printable text is written as in Python, `b'name'` or `a\\nb`, so that people see
        what it is. Synapse cannot run it, and no update has such a name.
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
    """A row in its place."""

    row: QueueRow
    waits_for: str | None  # the update that must be done before; None: it is the first
    is_reachable: bool = True  # False: updates wait for each other in a circle


_TURN = attrgetter("ordering", "name")


def _as_text(value: object) -> str:
    if isinstance(value, str) and len(value) <= LONGEST_NAME and value.isprintable():
        return value
    value = value if isinstance(value, str) else repr(value)
    return escaped(value[:LONGEST_NAME])[:LONGEST_NAME]


def _place(ordering: object) -> float:
    """As SQLite sorts: nothing, then numbers, then all else."""
    if ordering is None:
        return -math.inf
    return ordering if isinstance(ordering, (int, float)) else math.inf


def why_it_stays(rows: Iterable[QueueRow], current: str | None) -> str:
    """Why Synapse cannot go on from the update that it is at (`current`); empty: it can.

    It never forgets what it is at: nothing but the end of that update, or of the process, does.
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
    """The rows as Synapse will take them, the one that it is at (`current`) first.

    `most` is how many are needed; None: all. Few of many rows cost little more than a sort.
    """
    in_turn = sorted(rows, key=_TURN)
    if current is not None:
        in_turn.sort(key=lambda row: row.name != current)
    return tuple(islice(_taken(in_turn, current), most))


def _taken(rows: list[QueueRow], current: str | None) -> Iterator[Pending]:
    """All of these, which are sorted: each once what it depends on has been taken."""
    waiting = {row.name for row in rows}
    behind: dict[str | None, list[int]] = {}  # places of what depends on a name
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
