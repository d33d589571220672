"""Reads and writes quantities: durations, shares, sizes, times of day.

Inside the package each quantity has one unit, which its name carries (`_ms`, `_s`, `_ratio`,
`_bytes`, `_minutes`). This module converts at the edge of the configuration.
"""

import math
import re
from collections.abc import Mapping
from typing import Any, TypeGuard

_SECOND_MS = 1000
_MS_BY_UNIT = {
    "ms": 1,
    "s": _SECOND_MS,
    "m": 60 * _SECOND_MS,
    "h": 3600 * _SECOND_MS,
    "d": 24 * 3600 * _SECOND_MS,
    "w": 7 * 24 * 3600 * _SECOND_MS,
    "y": 365 * 24 * 3600 * _SECOND_MS,
}
_DIGITS = re.compile(r"[0-9]{1,15}", re.ASCII)
# Larger units first, each at most once, as `format_duration_ms` writes them.
_DURATION = re.compile(
    " ?".join(f"(?:([0-9]{{1,15}}){unit})?" for unit in reversed(_MS_BY_UNIT)), re.ASCII
)
_BYTES_BY_UNIT = {
    "B": 1,
    "kB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
}
_SIZE = re.compile(r"([0-9]{1,15}) ?(B|[kMGT]B|[KMGT]iB)?", re.ASCII)
_PERCENTAGE = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,6})?) ?%", re.ASCII)
_TIME_OF_DAY = re.compile(r"([0-9]{1,2}):([0-9]{2})", re.ASCII)

MINUTES_PER_DAY = 24 * 60


def is_whole(value: object) -> TypeGuard[int]:
    """Whether it is an integer. For Python a bool is one, too."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: object) -> TypeGuard[float]:
    """Whether it is an integer or a float, and no bool."""
    return is_whole(value) or isinstance(value, float)


def parse_duration_ms(value: object) -> int:
    """A duration in ms: an integer number of ms, or digits with Synapse's units or `ms`.

    Several units go from the larger to the smaller, each once: `2h30m`, `1m 30s`. Raises
    ValueError if it is anything else (negative, empty, fractional, another unit or order).
    """
    if is_whole(value) and value >= 0:
        return value
    if isinstance(value, str):
        written = value.strip()
        if _DIGITS.fullmatch(written):
            return int(written)
        match = _DURATION.fullmatch(written) if written else None
        if match is not None:
            counts = zip(match.groups(), reversed(_MS_BY_UNIT.values()), strict=True)
            return sum(int(count) * unit_ms for count, unit_ms in counts if count)
    raise ValueError("not a duration")


def parse_ratio(value: object) -> float:
    """A share between 0 and 1: a percentage such as `10%`, or a number such as `0.1`.

    Raises ValueError if it is anything else, or outside 0 to 1.
    """
    if is_number(value) and 0 <= value <= 1:
        return float(value)
    match = _PERCENTAGE.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None or float(match[1]) > 100:
        raise ValueError("not a share")
    return float(match[1]) / 100


def parse_size_bytes(value: object) -> int:
    """A size in bytes: an integer, or digits and a unit, `B` to `TB` or `TiB`.

    Raises ValueError if it is anything else (negative, empty, fractional, another unit).
    """
    if is_whole(value) and value >= 0:
        return value
    match = _SIZE.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise ValueError("not a size")
    return int(match[1]) * _BYTES_BY_UNIT[match[2] or "B"]


def parse_rate_bytes_per_s(value: object) -> int:
    """A rate in bytes per second: a size as text, followed by `/s`. Raises ValueError otherwise."""
    text = value.strip() if isinstance(value, str) else ""
    if not text.endswith("/s"):
        raise ValueError("not a rate")
    return parse_size_bytes(text.removesuffix("/s"))


def parse_time_of_day_minutes(value: object) -> int:
    """Minutes since midnight, 0 to 1440: `"22:00"`, or the integer 1320.

    YAML 1.1 reads an unquoted 22:00 as that integer. Raises ValueError if it is no time of day.
    """
    if is_whole(value):
        minutes = value
    else:
        match = _TIME_OF_DAY.fullmatch(value.strip()) if isinstance(value, str) else None
        if match is None or int(match[2]) > 59:
            raise ValueError("not a time of day")
        minutes = int(match[1]) * 60 + int(match[2])
    if not 0 <= minutes <= MINUTES_PER_DAY:
        raise ValueError("not within a day")
    return minutes


def format_duration_ms(duration_ms: float) -> str:
    """A duration for people, its two largest units: `250ms`, `1.5s`, `3m 20s`, `2d 4h`."""
    if not math.isfinite(duration_ms):
        return "unknown"
    if duration_ms < 999.5:  # from here on, three digits would be 1e+03
        return f"{duration_ms:.3g}ms"
    if duration_ms < 59_950:
        return f"{duration_ms / 1000:.1f}s".replace(".0s", "s")
    parts: list[str] = []
    rest_s = round(duration_ms / 1000)
    for unit, size_s in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count, rest_s = divmod(rest_s, size_s)
        if count or parts:
            parts.append(f"{count}{unit}" if count else "")
        if len(parts) == 2:
            break
    return " ".join(part for part in parts if part)


def format_ratio(ratio: float) -> str:
    """A share for people: `10%`, `0.5%`."""
    return f"{ratio * 100:.4g}%"


def format_size_bytes(size_bytes: float) -> str:
    """A size for people, in its largest binary unit: `512B`, `1GiB`, `476.8MiB`."""
    if not math.isfinite(size_bytes):
        return "unknown"
    unit, factor = "B", 1
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if size_bytes < 1023.95 * factor:  # from here on, one decimal would be 1024.0
            break
        unit, factor = larger, _BYTES_BY_UNIT[larger]
    return f"{size_bytes / factor:.1f}".removesuffix(".0") + unit


def format_time_of_day(minutes: int) -> str:
    """A time of day for people: 1320 is `22:00`."""
    return f"{minutes // 60:02}:{minutes % 60:02}"


def settings_in_words(settings: Mapping[str, Any]) -> str:
    """`profile=finish windows=[{days: [sat, sun], start: 22:00}]`, as the command accepts it."""
    return " ".join(f"{key}={written(value)}" for key, value in settings.items())


def written(value: object) -> str:
    """A value of JSON without Python's quotes and words."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {written(each)}" for key, each in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(written, value)) + "]"
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    return str(value)
