"""The configurations to compare: the present one, the profiles, and stock Synapse. Pure."""

from collections.abc import Iterator

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
