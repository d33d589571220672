"""What Synapse's own admin API tells of background updates, on any server."""

from collections.abc import Mapping

import attrs


@attrs.frozen
class CurrentUpdate:
    """The update that a database is at.

    Attributes:
        name: of the update.
        total_item_count: items since the server started; what one is depends on the update.
        total_duration_ms: time in batches, without the rests between them.
        average_items_per_ms: within batches; None: no batch has ended yet.
    """

    name: str
    total_item_count: int = 0
    total_duration_ms: float = 0.0
    average_items_per_ms: float | None = None


@attrs.frozen
class UpdatesStatus:
    """What the official API tells: neither the queue behind the current update nor its progress.

    Attributes:
        enabled: Synapse's own switch.
        current_updates: by name of database; a database that is at none is not there.
    """

    enabled: bool
    current_updates: Mapping[str, CurrentUpdate] = attrs.field(factory=dict)


@attrs.frozen
class Enabled:
    """The answer of the switch.

    Attributes:
        enabled: how it stands now.
    """

    enabled: bool
