"""What stock Synapse does with updates, from the server's section `background_updates:`."""

import logging
from typing import Any

import attrs

from synapse_bgthrottle.core.config.limits import FixedSleep, Settings
from synapse_bgthrottle.homeserver.internals.guard import get

logger = logging.getLogger(__name__)


@attrs.frozen
class StockSettings:
    """The section's values. The defaults are Synapse's.

    Attributes:
        sleep_ms: rest after each batch; 0: none.
        target_duration_ms: wanted duration of a batch.
        default_batch_items: size of an update's first batch.
        min_batch_items: least size of a later one.
    """

    sleep_ms: float = 1000
    target_duration_ms: int = 100
    default_batch_items: int = 100
    min_batch_items: int = 1

    def tuned(self) -> Settings:
        """The values that differ from Synapse's defaults, because the administrator chose them."""
        default = attrs.asdict(StockSettings())
        tuned = {name: v for name, v in attrs.asdict(self).items() if v != default[name]}
        if "sleep_ms" in tuned:
            tuned["pace"] = FixedSleep(tuned.pop("sleep_ms"))
        return Settings(**tuned)


def stock_settings(section: Any) -> StockSettings:
    """The section as Synapse parsed it, with defaults for missing or unusable values."""
    default = StockSettings()
    sleep_ms = _number(get(section, "sleep_duration_ms"), 0, default.sleep_ms)
    target_ms = _number(get(section, "update_duration_ms"), 1, default.target_duration_ms)
    first_items = _number(get(section, "default_batch_size"), 1, default.default_batch_items)
    min_items = _number(get(section, "min_batch_size"), 1, default.min_batch_items)
    is_asleep = get(section, "sleep_enabled", default=True)
    return StockSettings(
        sleep_ms if is_asleep else 0.0, int(target_ms), int(first_items), int(min_items)
    )


def _number(value: Any, least: float, default: float) -> float:
    # Synapse does not check this section: a string there makes each batch of stock Synapse fail.
    if value is None or (isinstance(value, (int, float)) and least <= value < 2**31):
        return default if value is None else value
    logger.warning("Ignoring %r in the server's background_updates: using %s", value, default)
    return default
