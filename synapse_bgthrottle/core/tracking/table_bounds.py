"""Updates whose progress says where they are, but not how far they have to go.

The ends are asked of the table that the update walks along. Read from the handlers of Synapse
1.163.2; each statement was tried on the schema of a fresh server on SQLite and on PostgreSQL, where
it reads the two ends of an index and nothing between.

Not here, because their cursor is text (a room, a user, an event) whose distance to the end only a
count of the rows would tell, or because they keep no cursor: for those it stays unknown.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import attrs

# SQLite and PostgreSQL count in 64 bits: what is beyond is no position.
_LARGEST = 2**63

STREAM_POSITIONS = "stream positions"
STATE_GROUPS = "state groups"


@attrs.frozen
class Bounds:
    """The lowest and the highest value of the column that an update walks along, both inclusive."""

    low: int
    high: int


@attrs.frozen
class Cursor:
    """How an update walks along a column."""

    # The keys in progress_json below which the cursor is. Before the first batch there is none, and
    # the handler then begins at the column's end.
    path: tuple[str, ...]
    # Whether it walks towards the column's highest value. The cursor is the last value that is
    # done: one that rises begins one below the lowest, one that falls one above the highest.
    rises: bool
    bounds_sql: str  # answers one row: lowest and highest value, null both when there are no rows
    unit: str = STREAM_POSITIONS  # what is counted, in the plural
    origin: int | None = None  # where it begins in any case; None: at the column's end


def _ends(table: str, column: str) -> str:
    # Two questions in one: asked for both at once, SQLite reads the whole index.
    return f"SELECT (SELECT MIN({column}) FROM {table}), (SELECT MAX({column}) FROM {table})"


def _from_zero(table: str, column: str) -> str:
    # The handlers below walk from 0 through all numbers, there or not. That spares the question for
    # the lowest, which may be slow in tables that work as queues: PostgreSQL walks over the dead.
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
        # It takes this server's own events only, so that the cursor may leap at both ends. New
        # events move the end, as they do for the next.
        "event_resign": Cursor(("last_stream_pos",), True, _EVENTS),
        "populate_stream_ordering2": Cursor(("last_stream",), True, _EVENTS),
        # In the database of the state, where the update stands in the queue, too. An earlier
        # version of it rose, and wrote its end beside the cursor: `progress` knows that shape.
        "mark_unreferenced_state_groups_for_deletion_bg_update": Cursor(
            ("last_checked_state_group",), False, _STATE_GROUPS, STATE_GROUPS
        ),
        # Only pushers of one kind for two of them, and with gaps: numbers, not pushers.
        "remove_stale_pushers": Cursor(("last_pusher",), True, _PUSHERS, "pusher numbers"),
        "remove_deleted_email_pushers": Cursor(("last_pusher",), True, _PUSHERS, "pusher numbers"),
        "set_device_id_for_pushers": Cursor(("pusher_id",), True, _PUSHERS, "pusher numbers"),
        # It stops at duplicates only: few of them make great leaps.
        "remove_dup_outbound_pokes": Cursor(
            ("last_row", "stream_id"), True, _ends("device_lists_outbound_pokes", "stream_id")
        ),
        # It stops at forgotten rooms only.
        "sliding_sync_membership_snapshots_fix_forgotten_column_bg_update": Cursor(
            ("last_event_stream_ordering",),
            True,
            _ends("sliding_sync_membership_snapshots", "event_stream_ordering"),
        ),
        # Along the time of the last request, of which recent days have more than old ones. The
        # index is made by user_ips_last_seen_only_index, which Synapse runs before.
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

# A bound in progress_json from when they were queued, and the handler fails without. From the table
# comes only where they began, if that was not seen.
_FALL_ALONG_EVENTS = frozenset(
    {"event_fields_sender_url", "event_origin_server_ts", "event_search", "event_search_order"}
)


def bounds_sql(update_name: str) -> str | None:
    """The statement that answers the bounds of an update; None: nothing to ask.

    To be asked in the database in whose queue the update is, and only of the one that is current:
    the index that makes it cheap may be built by an update before it.
    """
    if update_name in _FALL_ALONG_EVENTS:
        return _EVENTS
    cursor = CURSORS.get(update_name)
    return None if cursor is None else cursor.bounds_sql


def read_bounds(row: object) -> Bounds | None:
    """The answer to `bounds_sql`, a row; None: there are no rows, or it makes no sense."""
    if not isinstance(row, Sequence) or len(row) != 2:
        return None
    low, high = whole(row[0]), whole(row[1])
    return None if low is None or high is None or high < low else Bounds(low, high)


def whole(value: object) -> int | None:
    """The value if it can be a position: an integer of 64 bits. `True` is none."""
    return value if type(value) is int and abs(value) <= _LARGEST else None
