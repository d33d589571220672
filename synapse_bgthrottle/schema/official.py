"""What Synapse's own admin API says of background updates, on any server."""

from collections.abc import Mapping
from typing import Annotated

import attrs


@attrs.frozen(kw_only=True)
class CurrentUpdate:
    """The update that a database is at."""

    name: str
    total_item_count: Annotated[
        int, "Items since the server started; what one is depends on the update."
    ] = 0
    total_duration_ms: Annotated[float, "Time in batches, without the rests between them."] = 0.0
    average_items_per_ms: Annotated[
        float | None, "Within batches; null: no batch has ended yet."
    ] = None


@attrs.frozen(kw_only=True)
class UpdatesStatus:
    """What all databases are at: neither the queue behind it nor its progress."""

    enabled: Annotated[bool, "Synapse's own switch."]
    current_updates: Annotated[
        Mapping[str, CurrentUpdate], "By name of database; one that is at none is not there."
    ] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class Enabled:
    """The answer of the switch."""

    enabled: Annotated[bool, "How it stands now."]
