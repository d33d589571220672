"""Synapse's own section `background_updates:` of homeserver.yaml, as settings."""

from collections.abc import Mapping
from typing import Any

from synapse_bgthrottle.core.config.limits import FixedSleep, Settings


def settings_of_section(section: object) -> Settings:
    """What it sets; what Synapse itself would not take is left out."""
    found: Mapping[Any, Any] = section if isinstance(section, Mapping) else {}
    sleep_ms = _number(found, "sleep_duration_ms", 0)
    if found.get("sleep_enabled") is False:
        sleep_ms = 0.0
    default, least = (_number(found, f"{name}_batch_size", 1) for name in ("default", "min"))
    return Settings(
        target_duration_ms=_number(found, "background_update_duration_ms", 1),
        pace=None if sleep_ms is None else FixedSleep(sleep_ms),
        default_batch_items=None if default is None else int(default),
        min_batch_items=None if least is None else int(least),
    )


def _number(section: Mapping[Any, Any], key: str, least: float) -> float | None:
    value = section.get(key)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if least <= value < 2**31 else None
