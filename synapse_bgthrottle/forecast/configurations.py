"""The configurations to compare: the present one, the profiles, and stock Synapse. Pure.

It also reads Synapse's own section, on which stock Synapse depends.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from synapse_bgthrottle.core.config.limits import Adaptive, FixedSleep, Settings
from synapse_bgthrottle.core.config.parser import Config
from synapse_bgthrottle.core.config.profiles import PROFILES
from synapse_bgthrottle.core.config.signal_settings import SignalSettings
from synapse_bgthrottle.forecast.models import PRESENT

STOCK = "stock"
_STOCK = Settings(pace=FixedSleep(1000.0))


def configurations(config: Config, server: Settings) -> Iterator[tuple[str, Config, Settings]]:
    """Name, configuration and settings of Synapse's own section.

    A profile replaces the pace at each level; windows and limits stay. Stock Synapse has neither.
    Signals are left out: nothing is measured, and a configured budget without a value would be
    closed.
    """
    config = attrs.evolve(config, signals=SignalSettings())
    yield PRESENT, config, server
    for name in PROFILES:
        yield name, _with_profile(config, name), server
    yield STOCK, Config(), _stock(server)


def _with_profile(config: Config, name: str) -> Config:
    def changed(settings: Settings) -> Settings:
        return attrs.evolve(settings, pace=Adaptive(), profile=name)

    return attrs.evolve(
        config,
        settings=changed(config.settings),
        rules=tuple(attrs.evolve(rule, settings=changed(rule.settings)) for rule in config.rules),
    )


def _stock(server: Settings) -> Settings:
    pace = server.pace if isinstance(server.pace, FixedSleep) else _STOCK.pace
    return attrs.evolve(server, pace=pace)


def settings_of_section(section: object) -> Settings:
    """The settings in Synapse's own section `background_updates:`.

    Values that Synapse itself would not accept are left out.
    """
    found: Mapping[Any, Any] = section if isinstance(section, Mapping) else {}
    sleep_ms = _section_number(found, "sleep_duration_ms", 0)
    if found.get("sleep_enabled") is False:
        sleep_ms = 0.0
    default, least = (
        _section_number(found, f"{name}_batch_size", 1) for name in ("default", "min")
    )
    return Settings(
        target_duration_ms=_section_number(found, "background_update_duration_ms", 1),
        pace=None if sleep_ms is None else FixedSleep(sleep_ms),
        default_batch_items=None if default is None else int(default),
        min_batch_items=None if least is None else int(least),
    )


def _section_number(section: Mapping[Any, Any], key: str, least: float) -> float | None:
    value = section.get(key)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if least <= value < 2**31 else None
