"""How far an update is, from its progress_json and the bounds of its table.

What is unknown is None, never a guess. Synapse's progress_json has another shape for nearly every
update, and may change with every version.
"""

import math
from collections.abc import Mapping
from types import MappingProxyType

import attrs

from synapse_bgthrottle import schema
from synapse_bgthrottle.core.tracking.table_bounds import (
    CURSORS,
    STATE_GROUPS,
    STREAM_POSITIONS,
    Bounds,
    Cursor,
    whole,
)

_ITEMS_OF_REMAINING = MappingProxyType(
    {
        "populate_user_directory_process_rooms": "rooms",
        "populate_user_directory_process_users": "users",
    }
)


@attrs.frozen
class Progress:
    """The position of an update between its start and its end, in `unit`."""

    position: float | None
    start: float | None  # None: unknown, then only what is left is known
    end: float | None  # below the start if the position falls
    unit: str  # what is counted, in the plural

    @property
    def total(self) -> float | None:
        """The distance from start to end."""
        return _distance(self.start, self.end)

    @property
    def left(self) -> float | None:
        """How much is still to do; never more than the total."""
        position = self.position
        if position is not None and self.start is not None and self.end is not None:
            # A last batch may step beyond the end: its cursor moves by the batch size.
            low, high = sorted((self.start, self.end))
            position = min(max(position, low), high)
        return _distance(position, self.end)

    @property
    def done(self) -> float | None:
        """How much is done."""
        return None if self.total is None or self.left is None else self.total - self.left

    @property
    def ratio(self) -> float | None:
        """The share that is done, 0..1. If there is nothing to do, it is 1."""
        if self.total is None or self.done is None:
            return None
        return self.done / self.total if self.total else 1.0

    def stated(self) -> schema.Progress:
        """As the HTTP API states it; None is unknown."""
        return schema.Progress(
            ratio=self.ratio,
            done=_rounded(self.done),
            total=_rounded(self.total),
            left=_rounded(self.left),
            unit=self.unit,
        )


@attrs.frozen
class _Shape:
    """Two keys of progress_json: one moves towards the other."""

    moving: str
    end: str
    rises: bool
    unit: str = STREAM_POSITIONS
    origin: int | None = None  # where every update of this shape begins


# Recognised by the keys, so that updates of other versions are known, too.
_SHAPES = (
    _Shape("max_stream_id_exclusive", "target_min_stream_id_inclusive", rises=False),
    _Shape("min_stream_ordering_exclusive", "max_stream_ordering_inclusive", rises=True),
    _Shape("stream_id", "max_stream_id", rises=True, origin=0),
    _Shape("last_state_group", "max_group", rises=True, unit=STATE_GROUPS),
    # How an earlier version looked for unreferenced state groups.
    _Shape("last_checked_state_group", "max_state_group", rises=True, unit=STATE_GROUPS),
)


def read_progress(
    update_name: str, progress_json: object, first: object, bounds: Bounds | None
) -> Progress | None:
    """How far the update is; None: unknown. It never raises.

    `progress_json` is what Synapse stores of it now, decoded. `first` is the first one that was
    seen and was not empty, to know the start; None: unknown. `bounds` is the answer to
    `bounds_sql`, if any.
    """
    if not isinstance(progress_json, Mapping):
        return None
    earlier: Mapping[object, object] = first if isinstance(first, Mapping) else {}
    if "remaining" in progress_json:
        return _read_remaining(update_name, progress_json, earlier)
    for shape in _SHAPES:
        if shape.moving in progress_json and shape.end in progress_json:
            return _read_shape(shape, progress_json, earlier, bounds)
    cursor = CURSORS.get(update_name)
    if cursor is None or bounds is None:
        return None
    return _read_cursor(cursor, progress_json, earlier, bounds)


def _read_remaining(
    update_name: str, progress_json: Mapping[object, object], first: Mapping[object, object]
) -> Progress | None:
    remaining = whole(progress_json["remaining"])
    if remaining is None:
        return None
    # Synapse leaves the first batch out of the count, and subtracts it: it ends below 0.
    remaining = max(remaining, 0)
    before = whole(first.get("remaining"))
    start = None if before is None else max(before, remaining)
    return Progress(remaining, start, 0, _ITEMS_OF_REMAINING.get(update_name, "items"))


def _read_shape(
    shape: _Shape,
    progress_json: Mapping[object, object],
    first: Mapping[object, object],
    bounds: Bounds | None,
) -> Progress | None:
    position, end = whole(progress_json[shape.moving]), whole(progress_json[shape.end])
    if position is None or end is None:
        return None
    before = whole(first.get(shape.moving))
    if before is not None and first.get("rows_inserted") == 0:
        bounds = None  # seen before it began; it does not process events that came later
    return _on_its_way(position, before, end, bounds, shape)


def _read_cursor(
    cursor: Cursor,
    progress_json: Mapping[object, object],
    first: Mapping[object, object],
    bounds: Bounds,
) -> Progress | None:
    end = bounds.high if cursor.rises else bounds.low
    found = _value_at(progress_json, cursor.path)
    before = whole(_value_at(first, cursor.path))
    position = _outermost(cursor, None, bounds) if found is _NOTHING else whole(found)
    return None if position is None else _on_its_way(position, before, end, bounds, cursor)


def _on_its_way(
    position: int, before: int | None, end: int, bounds: Bounds | None, way: _Shape | Cursor
) -> Progress | None:
    start = _outermost(way, before, bounds)
    sign = 1 if way.rises else -1
    if start is None:
        return None if (end - position) * sign < 0 else Progress(position, None, end, way.unit)
    if (position - start) * sign < 0:
        start = position  # it began anew, or rows came in behind it
    return None if (end - start) * sign < 0 else Progress(position, start, end, way.unit)


def _outermost(way: _Shape | Cursor, before: int | None, bounds: Bounds | None) -> int | None:
    # The known start that is farthest from the end, because rows behind an update are deleted.
    if way.origin is not None:
        return way.origin
    known = [] if before is None else [before]
    if bounds is not None:
        known.append(bounds.low - 1 if way.rises else bounds.high + 1)
    return min(known, default=None) if way.rises else max(known, default=None)


_NOTHING = object()


def _value_at(tree: object, path: tuple[str, ...]) -> object:
    for key in path:
        if not isinstance(tree, Mapping):
            return None  # there is a value, but it cannot contain a cursor
        if key not in tree:
            return _NOTHING
        tree = tree[key]
    return tree


def _distance(one: float | None, other: float | None) -> float | None:
    if one is None or other is None:
        return None
    distance = abs(other - one)
    return distance if math.isfinite(distance) else None


def _rounded(number: float | None) -> int | None:
    return None if number is None else round(number)
