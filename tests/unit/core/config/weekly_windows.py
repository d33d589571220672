"""Windows for the tests, and when they are open."""

from zoneinfo import ZoneInfo

from synapse_bgthrottle.core.config.windows import Window, is_open
from testbed.strategies.strategies import utc_s, utc_text

UTC = ZoneInfo("UTC")
DAILY = tuple(range(7))
MON, FRI, SAT, SUN = (0,), (4,), (5,), (6,)
WEEKDAYS = (0, 1, 2, 3, 4)


def _hm(text: str) -> int:
    hours, minutes = text.split(":")
    return int(hours) * 60 + int(minutes)


def weekly(days: tuple[int, ...], start: str, end: str) -> Window:
    """On these days, from one time of day to another."""
    return Window(days, _hm(start), _hm(end))


def stretches(window: Window, zone: ZoneInfo, first: str, last: str) -> list[str]:
    """The times, in UTC, between which the window is open, by looking at every minute."""
    edges: list[str] = []
    was_open = False
    for minute in range(int(utc_s(first)) // 60, int(utc_s(last)) // 60):
        now_open = is_open((window,), zone, minute * 60.0)
        if now_open is not was_open:
            edges.append(str(utc_text(minute * 60.0)))
            was_open = now_open
    return edges
