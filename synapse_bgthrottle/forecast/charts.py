"""The courses as a plot of characters, 80 columns wide."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timezone

from synapse_bgthrottle.forecast.results import ConfigurationForecast, Forecast

WIDTH, HEIGHT = 80, 12
_LEFT = 6
_MARKS = {
    "observed": "o",
    "present": "*",
    "gentle": "g",
    "balanced": "b",
    "fast": "f",
    "finish": "F",
    "stock": "s",
}
_DAY_MS = 86_400_000.0

# Beyond so many times the present configuration's end, a slower one is cut off.
_WIDEST = 3.0


def shown(forecast: Forecast) -> list[ConfigurationForecast]:
    """Those that have a course, the likeliest last: it is drawn over the others."""
    found = [each for each in forecast.configurations if len(each.course) > 1]
    return found[1:] + found[:1]


def end_ms(forecast: Forecast) -> float:
    """Where the axis of time ends."""
    ends = [each.course[-1][0] for each in shown(forecast)]
    first_ms = forecast.made_ms
    best = [each.course[-1][0] for each in shown(forecast) if each is forecast.best]
    widest = first_ms + _WIDEST * (best[0] - first_ms) if best else max(ends)
    return min(max(ends), widest)


def done_at(course: Sequence[tuple[float, float]], at_ms: float) -> float:
    """The share of the work that is done at a time."""
    before = course[0]
    for point in course:
        if point[0] >= at_ms:
            width = point[0] - before[0]
            far = (at_ms - before[0]) / width if width else 1.0
            return before[1] + (point[1] - before[1]) * far
        before = point
    return before[1]


def plot(forecast: Forecast) -> Iterator[str]:
    """The share of the work that is done over time; nothing where nothing ends."""
    courses = shown(forecast)
    if not courses:
        return
    columns = WIDTH - _LEFT
    last_ms, first_ms = end_ms(forecast), forecast.made_ms
    rows = [[" "] * columns for _ in range(HEIGHT)]
    for each in courses:
        for column in range(columns):
            at_ms = first_ms + (last_ms - first_ms) * (column + 0.5) / columns
            if at_ms > each.course[-1][0]:
                break
            row = min(int(done_at(each.course, at_ms) * HEIGHT), HEIGHT - 1)
            rows[HEIGHT - 1 - row][column] = _MARKS.get(each.name, "?")
    for number, marks in enumerate(rows):
        share = f"{100 - number * 100 // HEIGHT:>4}%" if number % 3 == 0 else " " * 5
        yield f"{share}|{''.join(marks)}".rstrip()
    yield f"{'0%':>5}+{'-' * columns}"
    left, right = (time_text(at_ms, last_ms - first_ms) for at_ms in (first_ms, last_ms))
    yield f"{' ' * _LEFT}{left}{right:>{columns - len(left)}}"
    drawn = [each.name for each in courses[-1:] + courses[:-1]]
    yield f"{' ' * _LEFT}{', '.join(f'{_MARKS.get(name)} {name}' for name in drawn)}"


def time_text(at_ms: float, span_ms: float) -> str:
    """A time on the axis, in UTC as all times that are told, as exact as the span allows."""
    at = datetime.fromtimestamp(at_ms / 1000, timezone.utc)
    return f"{at:%Y-%m-%d} UTC" if span_ms > 14 * _DAY_MS else f"{at:%Y-%m-%d %H:%M} UTC"
