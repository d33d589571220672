"""Quantities as people write them, and back: durations, shares, times of day.

Inside the package a quantity has one unit, which its name carries (`_ms`, `_s`, `_ratio`,
`_minutes`); the conversion happens here, at the edge of the configuration.
"""

import math
import re

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
_DURATION = re.compile(r"([0-9]{1,15})(ms|[smhdwy])?", re.ASCII)
_PERCENTAGE = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,6})?) ?%", re.ASCII)
_TIME_OF_DAY = re.compile(r"([0-9]{1,2}):([0-9]{2})", re.ASCII)

MINUTES_PER_DAY = 24 * 60


def parse_duration_ms(value: object) -> int:
    """A duration in ms: an integer number of ms, or digits and one of Synapse's units or `ms`.

    Raises:
        ValueError: it is anything else (negative, empty, fractional, another unit).
    """
    if isinstance(value, int) and not isinstance(value, bool):
        if value < 0:
            raise ValueError("negative")
        return value
    if isinstance(value, str):
        match = _DURATION.fullmatch(value.strip())
        if match is not None:
            return int(match[1]) * _MS_BY_UNIT[match[2] or "ms"]
    raise ValueError("not a duration")


def parse_ratio(value: object) -> float:
    """A share between 0 and 1: a percentage such as `10%`, or a number such as `0.1`.

    Raises:
        ValueError: it is anything else, or outside 0 to 1.
    """
    ratio = math.nan
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        ratio = float(value) if abs(value) <= 1 else math.nan
    elif isinstance(value, str):
        match = _PERCENTAGE.fullmatch(value.strip())
        if match is not None:
            ratio = float(match[1]) / 100
    if not 0 <= ratio <= 1:
        raise ValueError("not a share")
    return ratio


def parse_time_of_day_minutes(value: object) -> int:
    """Minutes since midnight, 0 to 1440: `"22:00"`, or the integer 1320.

    The integer is what YAML 1.1 makes of an unquoted 22:00.

    Raises:
        ValueError: it is no time of day.
    """
    if isinstance(value, int) and not isinstance(value, bool):
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
    if duration_ms < 999.5:  # above, three digits would be 1e+03
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


def format_time_of_day(minutes: int) -> str:
    """A time of day for people: 1320 is `22:00`."""
    return f"{minutes // 60:02}:{minutes % 60:02}"


def format_size_bytes(size_bytes: float) -> str:
    """A size for people, in binary units: `512 B`, `1.5 GiB`."""
    unit = "B"
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if size_bytes < 1024 or unit == "TiB":
            break
        size_bytes /= 1024
    return f"{size_bytes:.4g} {unit}"
