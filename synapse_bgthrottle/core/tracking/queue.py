"""A database's queue of updates: in which order Synapse will take them, and what waits for what.

Pure. Synapse takes the first, by `ordering` and name, that does not depend on another in the queue.
Nothing can be reordered or skipped: whatever holds the first holds all.
"""

from collections.abc import Iterable, Iterator

import attrs


@attrs.frozen
class QueueRow:
    """A row of Synapse's table `background_updates`.

    Attributes:
        name: of the update.
        progress_json: how far it is, in its own words.
        depends_on: the name of an update that must be done before; None: of none.
        ordering: the lower the sooner.
    """

    name: str
    progress_json: str = "{}"
    depends_on: str | None = None
    ordering: int = 0


@attrs.frozen
class Pending:
    """A row in its place.

    Attributes:
        row: the row.
        waits_for: the update that must be done before this one begins; None: it is the first.
        is_reachable: whether it will ever begin; not where updates wait for each other in a circle.
    """

    row: QueueRow
    waits_for: str | None
    is_reachable: bool = True


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


def in_order(rows: Iterable[QueueRow], current: str | None = None) -> tuple[Pending, ...]:
    """The rows as Synapse will take them, the one that it is at (`current`) first."""
    return tuple(_taken(sorted(rows, key=lambda row: (row.ordering, row.name)), current))


def _taken(rows: list[QueueRow], current: str | None) -> Iterator[Pending]:
    waiting = {row.name for row in rows}
    before: str | None = None
    while rows:
        row = next((row for row in rows if before is None and row.name == current), None)
        row = row or next((r for r in rows if r.depends_on not in waiting), None)
        if row is None:  # in a circle
            yield from (Pending(row, row.depends_on, is_reachable=False) for row in rows)
            return
        yield Pending(row, before)
        rows.remove(row)
        waiting.discard(row.name)
        before = row.name
