"""The courses as a picture."""

from collections.abc import Iterator
from html import escape

from synapse_bgthrottle.forecast.charts import end_ms, shown, time_text
from synapse_bgthrottle.forecast.results import OBSERVED, PRESENT, ConfigurationForecast, Forecast

_WIDTH, _HEIGHT = 720, 380
_LEFT, _RIGHT, _TOP, _BOTTOM = 55, 95, 40, 45

_Places = list[tuple[float, float]]

# Readable on light and on dark ground.
_COLOURS = {
    "observed": "#bf3989",
    "present": "#d1242f",
    "gentle": "#0a7f5a",
    "balanced": "#1f6feb",
    "fast": "#bc6c00",
    "finish": "#8250df",
    "stock": "#6e7781",
}
_STYLE = (
    "text{font:12px sans-serif;fill:#24292f}.grid{stroke:#8c959f;stroke-opacity:.3}"
    ".line{fill:none;stroke-width:2}.range{stroke-width:6;stroke-opacity:.35}"
    "@media(prefers-color-scheme:dark){text{fill:#e6edf3}}"
)


def svg(forecast: Forecast) -> str:
    """The share of the work that is done over time, with the range of each end."""
    title = f"Pending background updates, load {forecast.load}"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img">',
        f"<title>{escape(title)}</title><style>{_STYLE}</style>",
        f'<text x="{_LEFT}" y="22" font-weight="bold">{escape(title)}</text>',
        *_grid(),
    ]
    courses = shown(forecast)
    if courses:
        axis = _Axis(forecast.made_ms, end_ms(forecast))
        names: _Places = []
        for each in courses:
            parts += _line(each, axis, names)
        parts += _times(forecast, axis)
    return "\n".join([*parts, "</svg>\n"])


class _Axis:
    def __init__(self, first_ms: float, last_ms: float) -> None:
        self.first_ms, self.last_ms = first_ms, last_ms

    def x(self, at_ms: float) -> float:
        far = (at_ms - self.first_ms) / max(self.last_ms - self.first_ms, 1.0)
        return _LEFT + min(max(far, 0.0), 1.0) * (_WIDTH - _LEFT - _RIGHT)


def _y(share: float) -> float:
    return _HEIGHT - _BOTTOM - share * (_HEIGHT - _TOP - _BOTTOM)


def _grid() -> Iterator[str]:
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        y = _y(share)
        yield f'<path class="grid" d="M{_LEFT} {y:.1f}H{_WIDTH - _RIGHT}"/>'
        yield f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{share:.0%}</text>'


def _line(each: ConfigurationForecast, axis: _Axis, names: _Places) -> Iterator[str]:
    colour = _COLOURS.get(each.name, "#6e7781")
    points = [point for point in each.course if point[0] <= axis.last_ms] or each.course[:1]
    path = " ".join(f"{axis.x(at_ms):.1f},{_y(done):.1f}" for at_ms, done in points)
    dashes = "" if each.name in (OBSERVED, PRESENT) else ' stroke-dasharray="6 3"'
    yield f'<polyline class="line" stroke="{colour}"{dashes} points="{path}"/>'
    if each.earliest_ms is not None and each.latest_ms is not None:
        low, high = axis.x(each.earliest_ms), axis.x(each.latest_ms)
        yield f'<path class="range" stroke="{colour}" d="M{low:.1f} {_y(1):.1f}H{high:.1f}"/>'
    x, y = axis.x(points[-1][0]) + 6, _y(points[-1][1]) + 4
    while any(abs(x - one) < 60 and abs(y - other) < 13 for one, other in names):
        y += 13
    names.append((x, y))
    yield f'<text x="{x:.1f}" y="{y:.1f}" style="fill:{colour}">{escape(each.name)}</text>'


def _times(forecast: Forecast, axis: _Axis) -> Iterator[str]:
    span_ms = axis.last_ms - axis.first_ms
    for far, anchor in ((0.0, "start"), (0.5, "middle"), (1.0, "end")):
        at_ms = axis.first_ms + far * span_ms
        text = escape(time_text(at_ms, span_ms))
        x, y = axis.x(at_ms), _HEIGHT - _BOTTOM + 20
        yield f'<text x="{x:.1f}" y="{y}" text-anchor="{anchor}">{text}</text>'
