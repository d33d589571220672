"""Charts of the progress over time: as text, 80 columns wide, and as a picture. Pure."""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timezone
from html import escape

from synapse_bgthrottle.forecast.models import PRESENT, ConfigurationForecast, Forecast

WIDTH, HEIGHT = 80, 12
_LEFT = 6
# By configuration: the mark of the text, and the colour of the picture, readable on light and dark.
_LOOKS = {
    "present": ("*", "#d1242f"),
    "gentle": ("g", "#0a7f5a"),
    "balanced": ("b", "#1f6feb"),
    "fast": ("f", "#bc6c00"),
    "finish": ("F", "#8250df"),
    "stock": ("s", "#6e7781"),
}
_OTHER = ("?", "#6e7781")
_DAY_MS = 86_400_000.0

# A slower configuration is cut off after so many times the present one's duration.
_WIDEST = 3.0


def shown(forecast: Forecast) -> list[ConfigurationForecast]:
    """The configurations with a course. The present one comes last, to be drawn on top."""
    found = [each for each in forecast.configurations if len(each.course) > 1]
    return found[1:] + found[:1]


def end_ms(forecast: Forecast) -> float:
    """Where the time axis ends."""
    runs = shown(forecast)
    last_ms = max(each.course[-1][0] for each in runs)
    if runs[-1] is not forecast.configurations[0]:
        return last_ms
    took_ms = runs[-1].course[-1][0] - forecast.made_ms
    return min(last_ms, forecast.made_ms + _WIDEST * took_ms)


def done_at(course: Sequence[tuple[float, float]], at_ms: float) -> float:
    """The share of the work that is done at a time."""
    after = bisect_left(course, at_ms, key=lambda point: point[0])
    if after in (0, len(course)):
        return course[min(after, len(course) - 1)][1]
    (before_ms, before), (after_ms, done) = course[after - 1], course[after]
    return before + (done - before) * (at_ms - before_ms) / (after_ms - before_ms)


def plot(forecast: Forecast) -> Iterator[str]:
    """The share of the work done over time; nothing if no update ends."""
    runs = shown(forecast)
    if not runs:
        return
    columns = WIDTH - _LEFT
    last_ms, first_ms = end_ms(forecast), forecast.made_ms
    rows = [[" "] * columns for _ in range(HEIGHT)]
    for each in runs:
        for column in range(columns):
            at_ms = first_ms + (last_ms - first_ms) * (column + 0.5) / columns
            if at_ms > each.course[-1][0]:
                break
            row = min(int(done_at(each.course, at_ms) * HEIGHT), HEIGHT - 1)
            rows[HEIGHT - 1 - row][column] = _LOOKS.get(each.name, _OTHER)[0]
    for number, marks in enumerate(rows):
        share = f"{100 - number * 100 // HEIGHT:>4}%" if number % 3 == 0 else " " * 5
        yield f"{share}|{''.join(marks)}".rstrip()
    yield f"{'0%':>5}+{'-' * columns}"
    left, right = (time_text(at_ms, last_ms - first_ms) for at_ms in (first_ms, last_ms))
    yield f"{' ' * _LEFT}{left}{right:>{columns - len(left)}}"
    drawn = [each.name for each in runs[-1:] + runs[:-1]]
    yield f"{' ' * _LEFT}{', '.join(f'{_LOOKS.get(name, _OTHER)[0]} {name}' for name in drawn)}"


def time_text(at_ms: float, span_ms: float) -> str:
    """A time on the axis, in UTC like all times shown, as exact as the span allows."""
    at = datetime.fromtimestamp(at_ms / 1000, timezone.utc)
    return f"{at:%Y-%m-%d} UTC" if span_ms > 14 * _DAY_MS else f"{at:%Y-%m-%d %H:%M} UTC"


_SVG_WIDTH, _SVG_HEIGHT = 720, 380
_SVG_LEFT, _RIGHT, _TOP, _BOTTOM = 55, 95, 40, 45

_Places = list[tuple[float, float]]

_STYLE = (
    "text{font:12px sans-serif;fill:#24292f}.grid{stroke:#8c959f;stroke-opacity:.3}"
    ".line{fill:none;stroke-width:2}.range{stroke-width:6;stroke-opacity:.35}"
    "@media(prefers-color-scheme:dark){text{fill:#e6edf3}}"
)


def svg(forecast: Forecast) -> str:
    """The share of the work done over time, with the range of each end."""
    title = f"Pending background updates, load {forecast.load}"
    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg"'
        f' viewBox="0 0 {_SVG_WIDTH} {_SVG_HEIGHT}" role="img">',
        f"<title>{escape(title)}</title><style>{_STYLE}</style>",
        f'<text x="{_SVG_LEFT}" y="22" font-weight="bold">{escape(title)}</text>',
        *_grid(),
    ]
    runs = shown(forecast)
    if runs:
        last_ms = end_ms(forecast)
        span_ms = last_ms - forecast.made_ms

        def x_of(at_ms: float) -> float:
            far = (at_ms - forecast.made_ms) / max(span_ms, 1.0)
            return _SVG_LEFT + min(max(far, 0.0), 1.0) * (_SVG_WIDTH - _SVG_LEFT - _RIGHT)

        names: _Places = []
        for each in runs:
            parts += _line(each, last_ms, x_of, names)
        for far, anchor in ((0.0, "start"), (0.5, "middle"), (1.0, "end")):
            at_ms = forecast.made_ms + far * span_ms
            parts.append(
                f'<text x="{x_of(at_ms):.1f}" y="{_SVG_HEIGHT - _BOTTOM + 20}"'
                f' text-anchor="{anchor}">{escape(time_text(at_ms, span_ms))}</text>'
            )
    return "\n".join([*parts, "</svg>\n"])


def _y(share: float) -> float:
    return _SVG_HEIGHT - _BOTTOM - share * (_SVG_HEIGHT - _TOP - _BOTTOM)


def _grid() -> Iterator[str]:
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        y = _y(share)
        yield f'<path class="grid" d="M{_SVG_LEFT} {y:.1f}H{_SVG_WIDTH - _RIGHT}"/>'
        yield f'<text x="{_SVG_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{share:.0%}</text>'


def _line(
    each: ConfigurationForecast, last_ms: float, x_of: Callable[[float], float], names: _Places
) -> Iterator[str]:
    colour = _LOOKS.get(each.name, _OTHER)[1]
    points = [point for point in each.course if point[0] <= last_ms] or each.course[:1]
    path = " ".join(f"{x_of(at_ms):.1f},{_y(done):.1f}" for at_ms, done in points)
    dashes = "" if each.name == PRESENT else ' stroke-dasharray="6 3"'
    yield f'<polyline class="line" stroke="{colour}"{dashes} points="{path}"/>'
    if each.earliest_ms is not None and each.latest_ms is not None:
        low, high = x_of(each.earliest_ms), x_of(each.latest_ms)
        yield f'<path class="range" stroke="{colour}" d="M{low:.1f} {_y(1):.1f}H{high:.1f}"/>'
    x, y = x_of(points[-1][0]) + 6, _y(points[-1][1]) + 4
    while any(abs(x - one) < 60 and abs(y - other) < 13 for one, other in names):
        y += 13
    names.append((x, y))
    yield f'<text x="{x:.1f}" y="{y:.1f}" style="fill:{colour}">{escape(each.name)}</text>'
