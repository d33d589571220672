"""The limits that a server states in texts (`explanation`), as settings again."""

import re
from collections.abc import Mapping
from typing import Any

from synapse_bgthrottle.config import parse_settings
from synapse_bgthrottle.config_keys import SETTING_KEYS
from synapse_bgthrottle.limits import Settings
from synapse_bgthrottle.problems import InvalidConfigError

_PART = re.compile(r"([0-9.]+)(ms|[smhd])")
_MS = {"ms": 1.0, "s": 1e3, "m": 60e3, "h": 3600e3, "d": 86400e3}
_WINDOW = re.compile(r"(daily|[a-z,]+) (\d\d:\d\d) to (\d\d:\d\d)")
_DURATIONS = ("target_duration", "sleep", "max_hold")
_ADAPTIVE_ONLY = ("profile", "min_duty_cycle", "max_duty_cycle")
_COUNTS = ("default_batch_size", "min_batch_size", "max_batch_size", "max_items_per_second")


def settings_of(stated: Mapping[str, Any]) -> Settings:
    """The settings behind these texts.

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
