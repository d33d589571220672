"""What stock Synapse does with updates, from the server's section `background_updates:`."""

import logging
from typing import Any

import attrs

from synapse_bgthrottle.core.config.limits import FixedSleep, Settings
from synapse_bgthrottle.homeserver.internals.guard import get

logger = logging.getLogger(__name__)


@attrs.frozen
class StockSettings:
    """The section's values; `BUILT_IN` has Synapse's defaults.

    Attributes:
        sleep_ms: rest after each batch; 0: none.
        target_duration_ms: wanted duration of a batch.
        default_batch_items: size of an update's first batch.
        min_batch_items: least size of a later one.
    """

    sleep_ms: float
    target_duration_ms: int
    default_batch_items: int
    min_batch_items: int

    def tuned(self) -> Settings:
        """The values that differ from Synapse's defaults, because the administrator chose them."""

        def unless_default(name: str) -> Any:
            value = getattr(self, name)
            return value if value != getattr(BUILT_IN, name) else None

        sleep_ms = unless_default("sleep_ms")
        return Settings(
            target_duration_ms=unless_default("target_duration_ms"),
            pace=None if sleep_ms is None else FixedSleep(sleep_ms),
            default_batch_items=unless_default("default_batch_items"),
            min_batch_items=unless_default("min_batch_items"),
        )


BUILT_IN = StockSettings(1000, 100, 100, 1)


def stock_settings(section: Any) -> StockSettings:
    """The section as Synapse parsed it, with defaults for missing or unusable values."""
    sleep_ms = _number(get(section, "sleep_duration_ms"), 0, BUILT_IN.sleep_ms)
    return StockSettings(
        sleep_ms=sleep_ms if get(section, "sleep_enabled", default=True) else 0.0,
        target_duration_ms=int(
            _number(get(section, "update_duration_ms"), 1, BUILT_IN.target_duration_ms)
        ),
        default_batch_items=int(
            _number(get(section, "default_batch_size"), 1, BUILT_IN.default_batch_items)
        ),
        min_batch_items=int(_number(get(section, "min_batch_size"), 1, BUILT_IN.min_batch_items)),
    )


def _number(value: Any, least: float, default: float) -> float:
    # Synapse does not check this section: a string there makes each batch of stock Synapse fail.
    if value is None or (isinstance(value, (int, float)) and least <= value < 2**31):
        return default if value is None else value
    logger.warning("Ignoring %r in the server's background_updates: using %s", value, default)
    return default
