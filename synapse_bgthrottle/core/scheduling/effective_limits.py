"""The limits of an update: the configuration, and the overrides in force. Pure.

The lists below name updates that behave differently from what Synapse says. For some of them a
safe batch size overrides the configured one. Source: the handlers of Synapse 1.60.0 and 1.163.2, in
`synapse/storage/databases/`. The traps were tried on the real handlers with in-memory SQLite. Names
that are not listed were checked, too.
"""

from types import MappingProxyType

import attrs

from synapse_bgthrottle.core.config.limits import Limits, Rule, Settings, first_match, merge
from synapse_bgthrottle.core.config.parser import Config
from synapse_bgthrottle.core.levers.lever import Lever, LeverKind, Levers, UpdateKey
from synapse_bgthrottle.core.scheduling.state import UpdateState

# The first batch size of stock Synapse. No size is always safe with these handlers, but this one
# has proved itself in practice.
_STOCK_BATCH_ITEMS = 100

# With a small batch these updates end early, skip rows, or never end.
LEAST_BATCH_ITEMS = MappingProxyType(
    {
        # It returns the number of rows left after skipping, and 0 ends it. So a batch of only
        # skipped events (topics, censored messages) drops the rest of the reindex.
        "event_search": _STOCK_BATCH_ITEMS,
        # The same, with events that lack an event_json row or an origin_server_ts.
        "event_origin_server_ts": _STOCK_BATCH_ITEMS,
        # Its cursor falls by the batch size, and a cursor of exactly 0 restarts it. Backfill makes
        # orderings below 0; with those, a batch size of 1 never ends.
        "event_auth_state_only": _STOCK_BATCH_ITEMS,
        # Its cursor is only half of its key. If two rooms refer to one thread root, a batch may end
        # between them. It always returns 1, so stock Synapse shrinks its batches to 1.
        "threads_backfill": _STOCK_BATCH_ITEMS,
        # Its cursor is the room, which may have several rows: a batch may end between them.
        "insert_room_retention": _STOCK_BATCH_ITEMS,
    }
)

# Updates that do all their work in one call, although Synapse does not flag them as one-shots.
IN_ONE_GO = frozenset(
    {
        # They build an index or a table, or change a whole table: this may take long.
        "event_fix_redactions_bytes",
        "event_search_postgres_gin",
        "event_search_sqlite_delete_non_strings",
        "populate_user_directory_createtables",
        "receipts_graph_unique_index",
        "receipts_linearized_unique_index",
        "replace_stream_ordering_column",
        "sliding_sync_prefill_joined_rooms_to_recalculate_table_bg_update",
        "state_group_state_type_index",
        "user_ips_analyze",
        # They drop or alter something: short, once they have the lock.
        "device_inbox_stream_drop",
        "drop_device_list_streams_non_unique_indexes",
        "event_push_drop_null_thread_id_indexes",
        "media_repository_drop_index_wo_method_2",
        "populate_user_directory_cleanup",
        "replace_room_depth_min_depth",
        "user_ips_drop_nonunique_index",
    }
)

# The tables that batched updates use most. A vacuum of these cleans up after the update. Index
# builds and validations report their tables themselves.
_TABLES_OF_BATCHED = MappingProxyType(
    {
        "chain_cover": ("event_auth_chains", "event_auth_chain_links"),
        "cleanup_device_federation_outbox": ("device_federation_outbox",),
        "current_state_events_membership": ("current_state_events",),
        "event_arbitrary_relations": ("event_relations",),
        "event_auth_state_only": ("event_auth",),
        "event_edges_drop_invalid_rows": ("event_edges",),
        "event_fields_sender_url": ("events",),
        "event_fix_redactions_bytes": ("event_json",),
        "event_origin_server_ts": ("events",),
        "event_resign": ("event_json",),
        "event_search": ("event_search",),
        "event_search_order": ("event_search",),
        "event_search_postgres_gin": ("event_search",),
        "event_store_labels": ("event_labels",),
        "events_populate_state_key_rejections": ("events",),
        "populate_event_stream_ordering": ("receipts_linearized",),
        "populate_stream_ordering2": ("events",),
        "purged_chain_cover": ("event_auth_chains", "event_auth_chain_links"),
        "receipts_graph_unique_index": ("receipts_graph",),
        "receipts_linearized_unique_index": ("receipts_linearized",),
        "redactions_received_ts": ("redactions",),
        "redactions_recheck": ("redactions",),
        "rejected_events_metadata": ("event_auth", "state_events"),
        "remove_dead_devices_from_device_inbox": ("device_inbox",),
        "room_membership_profile_update": ("room_memberships",),
        "sliding_sync_joined_rooms_bg_update": ("sliding_sync_joined_rooms",),
        "sliding_sync_membership_snapshots_bg_update": ("sliding_sync_membership_snapshots",),
        "state_group_state_deduplication": ("state_groups_state", "state_group_edges"),
        "state_group_state_type_index": ("state_groups_state",),
        "threads_backfill": ("threads",),
        "user_ips_remove_dupes": ("user_ips",),
    }
)


def tables_of_batched(update_name: str) -> frozenset[str] | None:
    """The tables that a batched update works on; None: unknown."""
    tables = _TABLES_OF_BATCHED.get(update_name)
    return None if tables is None else frozenset(tables)


def least_batch_items(update_name: str) -> int:
    """The least batch size that is safe for this update; 1 for most."""
    return LEAST_BATCH_ITEMS.get(update_name, 1)


@attrs.frozen
class UpdateLimits:
    """Merges the levels: overrides (newest first), rule, top level, Synapse's own settings."""

    _config: Config
    _server: Settings

    def of(
        self, update_name: str, database_name: str, one_shot: bool
    ) -> tuple[Rule | None, Limits]:
        """The first matching rule and the limits of an update, without overrides."""
        one_shot = one_shot or update_name in IN_ONE_GO
        rule = first_match(self._config.rules, update_name, database_name, one_shot)
        return rule, self._merged(update_name, (), rule)

    def refresh(
        self, update: UpdateState, key: UpdateKey, levers: Levers | None, wall_s: float
    ) -> None:
        """Apply the levers to an update; None: they have not been read yet."""
        database_name, update_name = key
        # levers change seldom, but this is called for each decision
        if levers is not update.chosen_from:
            update.levers = None if levers is None else levers.about(update_name, database_name)
            update.chosen_from = levers  # last, so that a failure above is tried again
        if update.levers is None or not (update.levers.all or update.overrides):
            return
        overrides = update.levers.in_force(wall_s, LeverKind.OVERRIDE)
        if overrides != update.overrides:
            update.limits = self._merged(update_name, overrides, update.rule)
            update.overrides = overrides

    def _merged(self, update_name: str, overrides: tuple[Lever, ...], rule: Rule | None) -> Limits:
        levels = [lever.settings for lever in reversed(overrides)]
        if rule is not None:
            levels.append(rule.settings)
        levels += (self._config.settings, self._server)
        return merge(levels, least_batch_items(update_name))
