"""What stock Synapse does with updates, from the server's section `background_updates:`. Pure."""

from collections.abc import Mapping
from typing import Any

import attrs

from synapse_bgthrottle.core.config.limits import FixedSleep, Settings
from synapse_bgthrottle.core.units import is_number


@attrs.frozen
class StockSettings:
    """The section's values. The defaults are Synapse's."""

    sleep_ms: float = 1000  # rest after each batch; 0: none
    target_duration_ms: int = 100  # wanted duration of a batch
    default_batch_items: int = 100  # size of an update's first batch
    min_batch_items: int = 1  # least size of a later one

    def tuned(self) -> Settings:
        """The values that differ from Synapse's defaults, because the administrator chose them."""
        default = attrs.asdict(StockSettings())
        tuned = {name: v for name, v in attrs.asdict(self).items() if v != default[name]}
        if "sleep_ms" in tuned:
            tuned["pace"] = FixedSleep(tuned.pop("sleep_ms"))
        return Settings(**tuned)


# By the key of the section: the attribute, and the least value.
_KEYS = {
    "sleep_duration_ms": ("sleep_ms", 0),
    "background_update_duration_ms": ("target_duration_ms", 1),
    "default_batch_size": ("default_batch_items", 1),
    "min_batch_size": ("min_batch_items", 1),
}


def stock_settings(section: object) -> tuple[StockSettings, list[str]]:
    """The section's settings, and the keys whose values are unusable and have Synapse's default.

    Synapse does not check this section: a text there makes each batch of stock Synapse fail.
    """
    found: Mapping[Any, Any] = section if isinstance(section, Mapping) else {}
    values: dict[str, Any] = {}
    unusable = []
    for key, (name, least) in _KEYS.items():
        value: Any = found.get(key)
        if is_number(value) and least <= value < 2**31:
            values[name] = value if name == "sleep_ms" else int(value)
        elif value is not None:
            unusable.append(key)
    if not found.get("sleep_enabled", True):
        values["sleep_ms"] = 0.0
    return StockSettings(**values), unusable
