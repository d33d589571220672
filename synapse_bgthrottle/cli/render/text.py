"""Lines for people: what is made of a status, before anything is printed. Pure."""

import math
import textwrap
from collections.abc import Mapping
from datetime import datetime, timezone

import attrs

from synapse_bgthrottle.core.units import format_duration_ms, format_size_bytes


@attrs.frozen
class Line:
    """One line."""

    text: str  # as it came, control characters included: `escape` takes them out at the end
    style: str = ""  # `problem`, `held`, `good`, `title`, `faint`, or empty
    # Of a bar behind the text, 0 to 1, where bars are drawn; None: no bar.
    ratio: float | None = None


def escape(text: str) -> str:
    """The text without anything that a terminal obeys: control characters, line ends, direction.

    A name or a reason comes from somebody else, and must neither move the cursor nor make a line.
    """
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape", "replace").decode("ascii")
        for char in text
    )


def wrapped(text: str, columns: int | None) -> list[str]:
    """The text in lines no wider than this, those after the first indented. None: one line."""
    if columns is None or len(text) <= columns:
        return [text]
    indent = " " * (len(text) - len(text.lstrip()))
    return textwrap.wrap(
        text.strip(),
        columns,
        initial_indent=indent,
        subsequent_indent=f"{indent}  ",
        break_on_hyphens=False,
    )


def duration(duration_ms: float | None) -> str:
    """A span without blanks: `3h12m`."""
    if duration_ms is None:
        return "unknown"
    return format_duration_ms(max(duration_ms, 0.0)).replace(" ", "")


def since(at_ms: float | None, now_ms: float | None) -> float | None:
    """How long ago that was, in ms; None: unknown."""
    return None if at_ms is None or now_ms is None else now_ms - at_ms


def moment(at_ms: float | None) -> str:
    """A time, in UTC: `2026-01-05 21:58 UTC`."""
    if at_ms is None:
        return "unknown"
    return _in_utc(at_ms, "%Y-%m-%d %H:%M")


def time_of_day(at_ms: float) -> str:
    """A time within hours, in UTC: `21:58:30 UTC`."""
    return _in_utc(at_ms, "%H:%M:%S")


def _in_utc(at_ms: float, shape: str) -> str:
    try:
        return f"{datetime.fromtimestamp(at_ms / 1000, timezone.utc):{shape}} UTC"
    except (ValueError, OverflowError, OSError):
        return "unknown"


def number(value: float | None) -> str:
    """A count without a needless point: `752865`."""
    if value is None or not math.isfinite(value):
        return "unknown"
    return f"{value:.0f}" if float(value).is_integer() or abs(value) >= 100 else f"{value:.3g}"


def quantity(value: float | None, unit: str) -> str:
    """A signal's value in its unit."""
    if value is None:
        return "unknown"
    if unit == "ms":
        return duration(value)
    if unit == "bytes":
        return format_size_bytes(value)
    if unit == "bytes/s":
        return f"{format_size_bytes(value)}/s"
    if unit == "yes or no":
        return "yes" if value else "no"
    return f"{number(value)} times" if unit == "times" else number(value)


def share(ratio: float | None) -> str:
    """A share: `66.0%`."""
    return "unknown" if ratio is None else f"{ratio * 100:.1f}%"


def waited(waited_ms: Mapping[str, float]) -> str:
    """Times waited, longest first."""
    longest = sorted(waited_ms.items(), key=lambda item: -item[1])
    return ", ".join(f"{cause} {duration(time_ms)}" for cause, time_ms in longest)
