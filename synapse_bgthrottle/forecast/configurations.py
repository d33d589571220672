"""The configurations that are compared: the present one, the profiles, and stock Synapse. Pure.

With what they are read from: Synapse's own section, and the limits that a server states.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from synapse_bgthrottle.core.config.keys import SETTING_KEYS
from synapse_bgthrottle.core.config.limits import Adaptive, FixedSleep, Settings
from synapse_bgthrottle.core.config.parser import Config, parse_settings
from synapse_bgthrottle.core.config.problems import InvalidConfigError
from synapse_bgthrottle.core.config.profiles import PROFILES
from synapse_bgthrottle.core.config.signal_settings import SignalSettings
from synapse_bgthrottle.forecast.models import PRESENT

STOCK = "stock"
_STOCK = Settings(pace=FixedSleep(1000.0))


def configurations(config: Config, server: Settings) -> Iterator[tuple[str, Config, Settings]]:
    """Each by name, with the settings of the server's own section.

    A profile takes the place of the pace at each level; windows and limits stay. Stock knows none.
    Signals are left out: nothing is looked at, and a budget that is configured and never seen is
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
    """What Synapse's own section `background_updates:` sets.

    What Synapse itself would not take is left out.
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


_PART = re.compile(r"([0-9.]+)(ms|[smhd])")
_MS = {"ms": 1.0, "s": 1e3, "m": 60e3, "h": 3600e3, "d": 86400e3}
_WINDOW = re.compile(r"(daily|[a-z,]+) (\d\d:\d\d) to (\d\d:\d\d)")
_DURATIONS = ("target_duration", "sleep", "max_hold")
_ADAPTIVE_ONLY = ("profile", "min_duty_cycle", "max_duty_cycle")
_COUNTS = ("default_batch_size", "min_batch_size", "max_batch_size", "max_items_per_second")


def settings_of(stated: Mapping[str, Any]) -> Settings:
    """The settings behind the texts in which a server states limits.

    Raises:
        ValueError: another version of the module states something in another way.
    """
    raw: dict[str, Any] = {}
    for key, value in stated.items():
        text = str(value)
        if key not in SETTING_KEYS:
            continue
        if key in _DURATIONS:
            raw[key] = round(_ms(text))
        elif key in _COUNTS:
            raw[key] = text if text == "off" else _number(text, key)
        elif key == "windows":
            raw[key] = text if text == "always" else [_window(part) for part in text.split("; ")]
        else:
            raw[key] = text
    if raw.get("duty_cycle") != "adaptive":  # what has no effect beside a fixed pace
        raw = {key: value for key, value in raw.items() if key not in _ADAPTIVE_ONLY}
    try:
        return parse_settings(raw, ())
    except InvalidConfigError as error:
        raise ValueError(str(error)) from None


def _ms(text: str) -> float:
    parts = _PART.findall(text)
    if "".join(f"{number}{unit}" for number, unit in parts) != text.replace(" ", ""):
        raise ValueError(f"{text!r} is no duration")
    return sum(float(number) * _MS[unit] for number, unit in parts)


def _number(text: str, key: str) -> float | int:
    number = float(text)
    return int(number) if key != "max_items_per_second" else number


def _window(text: str) -> dict[str, Any]:
    match = _WINDOW.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no window")
    days = {} if match[1] == "daily" else {"days": match[1].split(",")}
    return {**days, "start": match[2], "end": match[3]}
