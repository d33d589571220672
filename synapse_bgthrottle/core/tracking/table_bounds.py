"""Updates whose progress has their position, but not their end.

A query of the update's table finds the end. Source: the handlers of Synapse 1.163.2. Each query was
tried on the schema of a new server, on SQLite and on PostgreSQL. It reads only the two ends of an
index.

Other updates have no cursor, or a text (a room, a user, an event). Only a count of all rows would
show how much of these is left, so it stays unknown.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import attrs

# SQLite and PostgreSQL have integers of 64 bits.
_LARGEST = 2**63

STREAM_POSITIONS = "stream positions"
STATE_GROUPS = "state groups"


@attrs.frozen
class Bounds:
    """The lowest and the highest value of the update's column, both inclusive."""

    low: int
    high: int


@attrs.frozen
class Cursor:
    """How an update goes through a column."""

    # The keys in progress_json under which the cursor is. Before the first batch there is none: the
    # handler begins at one end of the column.
    path: tuple[str, ...]
    # Whether it goes towards the highest value. The cursor is the last value that is done, so it
    # begins one below the lowest value, or one above the highest.
    rises: bool
    bounds_sql: str  # returns one row: lowest and highest value, both NULL if there are no rows
    unit: str = STREAM_POSITIONS  # what is counted, in the plural
    origin: int | None = None  # where it always begins; None: at the end of the column


def _ends(table: str, column: str) -> str:
    # Two queries in one: for both values in one query SQLite reads the whole index.
    return f"SELECT (SELECT MIN({column}) FROM {table}), (SELECT MAX({column}) FROM {table})"


def _from_zero(table: str, column: str) -> str:
    # The handlers below go from 0 through all numbers, used or not. So the lowest is not needed. In
    # tables that are queues that query may be slow: PostgreSQL reads all deleted rows first.
    return f"SELECT 0, (SELECT MAX({column}) FROM {table})"


_EVENTS = _ends("events", "stream_ordering")
_STATE_GROUPS = _ends("state_groups", "id")
_PUSHERS = _ends("pushers", "id")
_DEVICE_INBOX = _from_zero("device_inbox", "stream_id")
_DEVICE_OUTBOX = _from_zero("device_federation_outbox", "stream_id")
_RECEIPTS = _from_zero("receipts_linearized", "stream_id")

_FALLING = ("max_stream_id_exclusive",)
_STREAM_ID = ("stream_id",)

CURSORS: Mapping[str, Cursor] = MappingProxyType(
    {
        # No bound in progress_json, ever.
        #
        # It only takes this server's own events, so the cursor may jump at both ends. New events
        # move the end, here and for the next one.
        "event_resign": Cursor(("last_stream_pos",), True, _EVENTS),
        "populate_stream_ordering2": Cursor(("last_stream",), True, _EVENTS),
        # In the state database, whose queue has the update. An earlier version of it rose, and had
        # its end in progress_json: `progress` knows that shape.
        "mark_unreferenced_state_groups_for_deletion_bg_update": Cursor(
            ("last_checked_state_group",), False, _STATE_GROUPS, STATE_GROUPS
        ),
        # Two of them only process pushers of one kind, and numbers have gaps: do not call these
        # numbers pushers.
        "remove_stale_pushers": Cursor(("last_pusher",), True, _PUSHERS, "pusher numbers"),
        "remove_deleted_email_pushers": Cursor(("last_pusher",), True, _PUSHERS, "pusher numbers"),
        "set_device_id_for_pushers": Cursor(("pusher_id",), True, _PUSHERS, "pusher numbers"),
        # It only stops at duplicates, so it may jump far.
        "remove_dup_outbound_pokes": Cursor(
            ("last_row", "stream_id"), True, _ends("device_lists_outbound_pokes", "stream_id")
        ),
        # It only stops at forgotten rooms.
        "sliding_sync_membership_snapshots_fix_forgotten_column_bg_update": Cursor(
            ("last_event_stream_ordering",),
            True,
            _ends("sliding_sync_membership_snapshots", "event_stream_ordering"),
        ),
        # By the time of the last request: recent days have more of them. Synapse makes the index
        # before, with user_ips_last_seen_only_index.
        "user_ips_remove_dupes": Cursor(
            ("last_seen",), True, _ends("user_ips", "last_seen"), "milliseconds of requests"
        ),
        # A bound in progress_json from the first batch on, and {} before.
        "event_auth_state_only": Cursor(_FALLING, False, _EVENTS),
        "room_membership_profile_update": Cursor(_FALLING, False, _EVENTS),
        "state_group_state_deduplication": Cursor(
            ("last_state_group",), True, _STATE_GROUPS, STATE_GROUPS
        ),
        "cleanup_device_federation_outbox": Cursor(_STREAM_ID, True, _DEVICE_OUTBOX, origin=0),
        "populate_event_stream_ordering": Cursor(_STREAM_ID, True, _RECEIPTS, origin=0),
        "remove_dead_devices_from_device_inbox": Cursor(_STREAM_ID, True, _DEVICE_INBOX, origin=0),
    }
)

# They have a bound in progress_json when they are queued. The table only shows where they began, if
# that was not seen.
_FALL_ALONG_EVENTS = frozenset(
    {"event_fields_sender_url", "event_origin_server_ts", "event_search", "event_search_order"}
)


def bounds_sql(update_name: str) -> str | None:
    """The query for the bounds of an update; None: there is none.

    Run it in the database of the update's queue, and only for the current update: an earlier one
    may build the index that makes it cheap.
    """
    if update_name in _FALL_ALONG_EVENTS:
        return _EVENTS
    cursor = CURSORS.get(update_name)
    return None if cursor is None else cursor.bounds_sql


def read_bounds(row: object) -> Bounds | None:
    """The bounds from a row of `bounds_sql`; None: there are no rows, or no valid values."""
    if not isinstance(row, Sequence) or len(row) != 2:
        return None
    low, high = whole(row[0]), whole(row[1])
    return None if low is None or high is None or high < low else Bounds(low, high)


def whole(value: object) -> int | None:
    """The value if it can be a position: an integer of 64 bits. `True` is none."""
    return value if type(value) is int and abs(value) <= _LARGEST else None
