"""Progress from each shape of progress_json; None if it says nothing."""

import math
from collections.abc import Mapping
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synapse_bgthrottle.codec import to_json
from synapse_bgthrottle.core.tracking.progress import Progress, read_progress
from synapse_bgthrottle.core.tracking.table_bounds import CURSORS, Bounds

_EVENTS = Bounds(-100, 899)


def _falls(position: int, target: int = -100, **more: Any) -> dict[str, Any]:
    key, end = "max_stream_id_exclusive", "target_min_stream_id_inclusive"
    return {key: position, end: target, **more}


def _rises(position: int, end: int = 1000) -> dict[str, Any]:
    return {"min_stream_ordering_exclusive": position, "max_stream_ordering_inclusive": end}


def _ids(position: int) -> dict[str, Any]:
    return {"stream_id": position, "max_stream_id": 2000}


def _checked(**more: int) -> dict[str, Any]:
    return {"last_checked_state_group": 100, **more}


_NEW = _falls(800, rows_inserted=0)
_HALF = {"last_state_group": 50, "max_group": 100}
_GROUPS = Bounds(11, 120)
_FORGOTTEN = "sliding_sync_membership_snapshots_fix_forgotten_column_bg_update"
_ROOMS = "populate_user_directory_process_rooms"
_USERS = "populate_user_directory_process_users"
_REJECTIONS = "events_populate_state_key_rejections"
_PUSHERS = "remove_stale_pushers"
_POKES = "remove_dup_outbound_pokes"
_DEDUPE = "state_group_state_deduplication"
_UNREFERENCED = "mark_unreferenced_state_groups_for_deletion_bg_update"

# (done, total, left), update, progress_json, first, bounds
_KNOWN: list[tuple[tuple[Any, Any, Any], str, Any, Any, Bounds | None]] = [
    # Counts down; the total is what was there when it was first seen.
    ((0, 40, 40), _ROOMS, {"remaining": 40}, {"remaining": 40}, None),
    ((30, 40, 10), _ROOMS, {"remaining": 10}, {"remaining": 40}, None),
    # Nobody saw how many there were.
    ((None, None, 10), _ROOMS, {"remaining": 10}, {}, None),
    ((None, None, 10), "any", {"remaining": 10}, None, None),
    # It ends below 0, and may begin anew.
    ((40, 40, 0), _USERS, {"remaining": -3}, {"remaining": 40}, None),
    ((0, 50, 50), _USERS, {"remaining": 50}, {"remaining": 40}, None),
    # Falls to a target. Seen before it began: events that came later are not counted.
    ((0, 900, 900), "event_search", _NEW, _NEW, _EVENTS),
    ((300, 900, 600), "event_search", _falls(500), _NEW, _EVENTS),
    # Seen under way: it began at the table's highest, or at least where it was first seen.
    ((400, 1000, 600), "event_search", _falls(500), _falls(800, rows_inserted=1), _EVENTS),
    ((300, 900, 600), "event_search", _falls(500), _falls(800, rows_inserted=1), None),
    ((None, None, 600), "event_search", _falls(500), None, None),
    ((400, 1000, 600), "event_auth_state_only", _falls(500), {}, _EVENTS),
    ((0, 1000, 1000), "event_auth_state_only", {}, {}, _EVENTS),
    ((0, 1000, 1000), "room_membership_profile_update", {}, None, _EVENTS),
    ((1000, 1000, 0), "event_auth_state_only", _falls(-130), {}, _EVENTS),
    # Rises to a target.
    ((0, 1000, 1000), _REJECTIONS, _rises(0), _rises(0), None),
    ((250, 1000, 750), _REJECTIONS, _rises(250), _rises(0), None),
    ((None, None, 750), _REJECTIONS, _rises(250), None, None),
    # From 0 to the highest, which the last batch may pass.
    ((500, 2000, 1500), "populate_event_stream_ordering", _ids(500), None, None),
    ((2000, 2000, 0), "cleanup_device_federation_outbox", _ids(2099), None, None),
    ((0, 2000, 2000), "remove_dead_devices_from_device_inbox", {}, {}, Bounds(0, 2000)),
    # State groups, up and down.
    ((40, 90, 50), _DEDUPE, _HALF, {}, _GROUPS),
    ((None, None, 50), _DEDUPE, _HALF, {}, None),
    ((0, 110, 110), _DEDUPE, {}, {}, _GROUPS),
    ((21, 110, 89), _UNREFERENCED, _checked(), {}, _GROUPS),
    ((90, 110, 20), _UNREFERENCED, _checked(max_state_group=120), {}, _GROUPS),
    ((0, 110, 110), _UNREFERENCED, {}, {}, _GROUPS),
    # A cursor, and the ends of its table.
    ((0, 1000, 1000), "event_resign", {"old_key": None, "before_ts": None}, {}, _EVENTS),
    ((201, 1000, 799), "event_resign", {"last_stream_pos": 100}, {}, _EVENTS),
    ((1000, 1000, 0), "event_resign", {"last_stream_pos": 899}, {}, _EVENTS),
    ((1000, 1000, 0), _PUSHERS, {"last_pusher": 1200}, {}, Bounds(1, 1000)),
    # Rows behind it were deleted since it was first seen.
    ((450, 950, 500), _PUSHERS, {"last_pusher": 500}, {"last_pusher": 50}, Bounds(400, 1000)),
    ((500, 1000, 500), "set_device_id_for_pushers", {"pusher_id": 500}, {}, Bounds(1, 1000)),
    ((25, 100, 75), _POKES, {"last_row": {"stream_id": 25}}, {}, Bounds(1, 100)),
    ((0, 100, 100), _POKES, {}, {}, Bounds(1, 100)),
    ((25, 100, 75), _FORGOTTEN, {"last_event_stream_ordering": 25}, {}, Bounds(1, 100)),
    ((0, 1, 1), "populate_stream_ordering2", {}, {}, Bounds(7, 7)),
]  # fmt: skip


@pytest.mark.parametrize(("expected", "update_name", "progress_json", "first", "bounds"), _KNOWN)
def test_known(
    expected: tuple[Any, Any, Any],
    update_name: str,
    progress_json: Mapping[str, Any],
    first: Any,
    bounds: Bounds | None,
) -> None:
    """What each shape says of what is done, of the whole, and of what is left."""
    found = read_progress(update_name, progress_json, first, bounds)
    assert found is not None
    assert expected == (found.done, found.total, found.left)


_UNKNOWN: list[tuple[str, Any, Any, Bounds | None]] = [
    # Text cursors, no cursors, and numbers that are no position.
    ("event_store_labels", {"last_event_id": "$a"}, {}, None),
    ("insert_room_retention", {"room_id": "!a:b"}, {}, _EVENTS),
    ("delete_soft_failed_extremities", {}, {}, _EVENTS),
    ("chain_cover", {"current_room_id": "!a", "last_depth": 4, "last_stream": 9}, {}, _EVENTS),
    # Two phases, of which the first keeps a number that stands still.
    (
        "sliding_sync_membership_snapshots_bg_update",
        {"initial_phase": True, "last_event_stream_ordering": 9, "last_room_id": "!a"},
        {},
        _EVENTS,
    ),
    # Its table is empty, or nobody asked.
    ("event_resign", {"last_stream_pos": 100}, {}, None),
    ("event_auth_state_only", {}, {}, None),
    # It cannot run without its bounds.
    ("event_search", {}, {}, _EVENTS),
    # Wrong types.
    ("user_ips_remove_dupes", {"last_seen": None}, {}, _EVENTS),
    ("event_resign", {"last_stream_pos": "100"}, {}, _EVENTS),
    ("event_resign", {"last_stream_pos": True}, {}, _EVENTS),
    ("event_resign", {"last_stream_pos": 1.5}, {}, _EVENTS),
    (_POKES, {"last_row": [1]}, {}, _EVENTS),
    (_POKES, {"last_row": {"stream_id": {}}}, {}, _EVENTS),
    ("any", {"remaining": None}, {"remaining": 9}, None),
    ("any", {"remaining": math.nan}, {"remaining": 9}, None),
    ("any", {"remaining": 10**30}, {"remaining": 9}, None),
    ("any", [], {}, None),
    ("any", None, None, None),
    ("event_search", _falls(5) | {"max_stream_id_exclusive": "x"}, {}, _EVENTS),
    ("event_auth_state_only", _falls(5) | {"max_stream_id_exclusive": "x"}, {}, _EVENTS),
    # The end before the start.
    ("event_search", _falls(5, target=5000), _falls(10, target=5000), None),
    ("any", {"stream_id": 0, "max_stream_id": -5}, {}, None),
    ("any", _rises(20, end=10), None, None),
    ("any", _rises(20, end=10), _rises(15, end=10), None),
]


@pytest.mark.parametrize(("update_name", "progress_json", "first", "bounds"), _UNKNOWN)
def test_unknown(update_name: str, progress_json: Any, first: Any, bounds: Bounds | None) -> None:
    """What says nothing, or no sense, is unknown and no guess."""
    assert read_progress(update_name, progress_json, first, bounds) is None


@pytest.mark.parametrize(
    ("unit", "update_name", "progress_json"),
    [
        ("rooms", "populate_user_directory_process_rooms", {"remaining": 1}),
        ("users", "populate_user_directory_process_users", {"remaining": 1}),
        ("items", "of_another_version", {"remaining": 1}),
        ("stream positions", "event_search", _falls(5)),
        ("state groups", "any", {"last_state_group": 5, "max_group": 10}),
        ("pusher numbers", "remove_stale_pushers", {"last_pusher": 5}),
    ],
)
def test_unit(unit: str, update_name: str, progress_json: Mapping[str, Any]) -> None:
    """The numbers say what they count."""
    found = read_progress(update_name, progress_json, None, Bounds(1, 10))
    assert found is not None
    assert unit == found.unit


@pytest.mark.parametrize(
    ("expected", "progress"),
    [
        ((0.25, 25, 100, 75), Progress(25, 0, 100, "")),
        ((0.25, 25, 100, 75), Progress(75, 100, 0, "")),
        ((0.0, 0, 100, 100), Progress(-5, 0, 100, "")),
        ((1.0, 100, 100, 0), Progress(105, 0, 100, "")),
        ((1.0, 0, 0, 0), Progress(5, 5, 5, "")),
        ((None, None, None, 75), Progress(25, None, 100, "")),
        ((None, None, None, None), Progress(25, 0, None, "")),
        ((None, None, 100, None), Progress(None, 0, 100, "")),
        ((None, None, None, None), Progress(25, math.nan, math.inf, "")),
    ],
)
def test_json(expected: tuple[float | None, ...], progress: Progress) -> None:
    """The answer of the API, with null for what is unknown."""
    names = ("ratio", "done", "total", "left")
    assert {**dict(zip(names, expected, strict=True)), "unit": ""} == to_json(progress.stated())


_number = st.one_of(st.none(), st.floats(), st.integers(-(2**70), 2**70).map(float))


def _makes_sense(progress: Progress) -> None:
    ratio, done, total, left = progress.ratio, progress.done, progress.total, progress.left
    assert ratio is None or 0 <= ratio <= 1
    for number in (done, total, left):
        assert number is None or 0 <= number < math.inf
    if total is not None and done is not None and left is not None:
        assert total == pytest.approx(done + left)
    assert set(to_json(progress.stated())) == {"ratio", "done", "total", "left", "unit"}


@given(_number, _number, _number)
def test_never_outside(position: float | None, start: float | None, end: float | None) -> None:
    """Whatever the numbers, the share is in 0..1 and nothing is negative."""
    _makes_sense(Progress(position, start, end, ""))


_KEYS = [
    "remaining",
    "max_stream_id_exclusive",
    "target_min_stream_id_inclusive",
    "min_stream_ordering_exclusive",
    "max_stream_ordering_inclusive",
    "stream_id",
    "max_stream_id",
    "max_group",
    "max_state_group",
    "rows_inserted",
    *sorted({key for cursor in CURSORS.values() for key in cursor.path}),
]
_value = st.one_of(
    st.integers(-10, 10),
    st.integers(),
    st.integers(-(2**66), 2**66),
    st.floats(),
    st.booleans(),
    st.none(),
    st.text(max_size=3),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.sampled_from(["stream_id", "x"]), st.integers(), max_size=2),
)
_json = st.one_of(st.dictionaries(st.sampled_from(_KEYS), _value, max_size=5), _value)
_bounds = st.one_of(
    st.none(),
    st.tuples(st.integers(-100, 100), st.integers(0, 10**20)).map(
        lambda ends: Bounds(ends[0], ends[0] + ends[1])
    ),
)


@settings(max_examples=500)
@given(
    st.sampled_from([*CURSORS, "event_search", "populate_user_directory_process_users", "new"]),
    _json,
    _json,
    _bounds,
)
def test_hostile(name: str, progress_json: object, first: object, bounds: Bounds | None) -> None:
    """Whatever stands in progress_json, it is read without an error, to sense or to None."""
    found = read_progress(name, progress_json, first, bounds)
    if found is not None:
        assert all(number is None or math.isfinite(number) for number in attrs.astuple(found)[:3])
        _makes_sense(found)
