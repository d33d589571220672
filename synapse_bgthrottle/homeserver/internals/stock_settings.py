"""What stock Synapse does with updates, as it parsed the section `background_updates:`."""

import logging
from typing import Any

from synapse_bgthrottle.core.config import stock
from synapse_bgthrottle.homeserver.internals.guard import get

logger = logging.getLogger(__name__)

# By the key of the section, as Synapse's configuration has it.
_ATTRIBUTES = {
    "sleep_enabled": "sleep_enabled",
    "sleep_duration_ms": "sleep_duration_ms",
    "background_update_duration_ms": "update_duration_ms",
    "default_batch_size": "default_batch_size",
    "min_batch_size": "min_batch_size",
}


def stock_settings(section: Any) -> stock.StockSettings:
    """The section as Synapse parsed it, with defaults for missing or unusable values."""
    values = {key: get(section, name) for key, name in _ATTRIBUTES.items()}
    given = {key: value for key, value in values.items() if value is not None}
    settings, unusable = stock.stock_settings(given)
    for key in unusable:
        logger.warning("Ignoring %s: %r in the server's background_updates", key, given[key])
    return settings
