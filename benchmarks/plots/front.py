"""The front as SVG: speed against what clients feel, every arm with its intervals.

`python -m benchmarks.plots.front RESULT.json FRONT.svg [--load steady]` draws the cells of one
load.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

import attrs

from benchmarks.latency.statistics import Estimate
from benchmarks.latency.summary import Figures, summarise

_WIDTH, _HEIGHT = 720, 420
_LEFT, _RIGHT, _TOP, _BOTTOM = 60, 110, 40, 50
_PIXELS_PER_TICK = 60
_LABEL_WIDTH, _LABEL_HEIGHT = 90, 13
_STEPS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)

# Readable on light and on dark ground: the page's own colour, and two of middling lightness.
_STYLE = (
    "text{font:12px sans-serif;fill:#24292f}.axis{stroke:#8c959f;fill:none}"
    ".grid{stroke:#8c959f;stroke-opacity:.25}.stock{stroke:#bc6c00;fill:#bc6c00}"
    ".ours{stroke:#0a7f5a;fill:#0a7f5a}.other{stroke:#6e7781;fill:#6e7781}"
    ".line{fill:none}.title{font-weight:bold}"
    "@media(prefers-color-scheme:dark){text{fill:#e6edf3}"
    ".stock{stroke:#f0a24a;fill:#f0a24a}.ours{stroke:#3fcf9b;fill:#3fcf9b}}"
)


@attrs.frozen
class Point:
    """An arm: its speed as a share of unthrottled, and latency as a ratio to no update."""

    name: str
    speed: Estimate
    latency: Estimate

    @property
    def group(self) -> str:
        """`stock`, whose settings make a front, `ours` or `other`."""
        if self.name.startswith("stock"):
            return "stock"
        return "other" if self.name in ("unthrottled", "nice") else "ours"


@attrs.frozen
class _Axis:
    """From values to pixels; ticks at round values."""

    low: float
    high: float
    from_px: float
    to_px: float

    def at(self, value: float) -> float:
        inside = min(max(value, self.low), self.high)
        share = (inside - self.low) / (self.high - self.low)
        return self.from_px + share * (self.to_px - self.from_px)

    def ticks(self) -> list[float]:
        most = abs(self.to_px - self.from_px) / _PIXELS_PER_TICK
        span = self.high - self.low
        step = next((step for step in _STEPS if span / step <= most), _STEPS[-1])
        first = round(self.low / step)
        return [
            number * step
            for number in range(first, first + int(span / step) + 2)
            if self.low - 1e-9 <= number * step <= self.high + 1e-9
        ]


def points(figures: Mapping[str, Figures]) -> list[Point]:
    """The arms that have both, those without batches left out."""
    return [
        Point(name, arm.of_unthrottled, arm.mean)
        for name, arm in figures.items()
        if arm.of_unthrottled is not None and arm.mean is not None and arm.duty_ratio > 0
    ]


def svg(title: str, shown: Sequence[Point], noise: Estimate | None = None) -> str:
    """The picture; `noise` is the latency of the control arm, drawn as a band.

    Latency is cut off at thrice no update, so that the arms that matter are told apart.
    """
    latencies = [value for point in shown for value in (point.latency.low, point.latency.high)]
    across = _Axis(0.0, max(1.0, *(p.speed.high for p in shown)), _LEFT, _WIDTH - _RIGHT)
    low, high = min(0.9, *latencies), min(max(1.2, *latencies), 3.0)
    up = _Axis(low, high, _HEIGHT - _BOTTOM, _TOP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img">',
        f"<title>{escape(title)}</title><style>{_STYLE}</style>",
        f'<text class="title" x="{_LEFT}" y="20">{escape(title)}</text>',
        *_grid(across, up),
    ]
    if noise is not None:
        top, bottom = up.at(noise.high), up.at(noise.low)
        parts.append(
            f'<rect x="{_LEFT}" y="{top:.1f}" width="{_WIDTH - _LEFT - _RIGHT}"'
            f' height="{bottom - top:.1f}" fill="#8c959f" fill-opacity="0.2"/>'
        )
    front = sorted((p for p in shown if p.group == "stock"), key=lambda p: p.speed.value)
    path = " ".join(f"{across.at(p.speed.value):.1f},{up.at(p.latency.value):.1f}" for p in front)
    parts.append(f'<polyline class="stock line" points="{path}"/>')
    for point in shown:
        parts += _mark(point, across, up)
    places = {p.name: (across.at(p.speed.value), up.at(p.latency.value)) for p in shown}
    for name, (x, y) in label_places(places).items():
        parts.append(f'<text x="{x:.1f}" y="{y:.1f}">{escape(name)}</text>')
    return "\n".join([*parts, "</svg>\n"])


def label_places(marks: Mapping[str, tuple[float, float]]) -> dict[str, tuple[float, float]]:
    """Where the names go: beside their marks, and above each other where marks are close."""
    places: dict[str, tuple[float, float]] = {}
    for name, (mark_x, mark_y) in sorted(marks.items(), key=lambda mark: -mark[1][1]):
        x, y = mark_x + 7, mark_y - 6
        while any(
            abs(x - other_x) < _LABEL_WIDTH and abs(y - other_y) < _LABEL_HEIGHT
            for other_x, other_y in places.values()
        ):
            y -= 1
        places[name] = x, y
    return places


def _grid(across: _Axis, up: _Axis) -> list[str]:
    right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM
    parts = []
    for value in across.ticks():
        x = across.at(value)
        parts += [
            f'<path class="grid" d="M{x:.1f} {_TOP}V{bottom}"/>',
            f'<text x="{x:.1f}" y="{bottom + 18}" text-anchor="middle">{value:.0%}</text>',
        ]
    for value in up.ticks():
        y = up.at(value)
        parts += [
            f'<path class="grid" d="M{_LEFT} {y:.1f}H{right}"/>',
            f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{value:.2f}</text>',
        ]
    return [
        *parts,
        f'<path class="axis" d="M{_LEFT} {_TOP}V{bottom}H{right}"/>',
        f'<text x="{(_LEFT + right) / 2}" y="{_HEIGHT - 12}" text-anchor="middle">'
        "speed, unthrottled being 100 %</text>",
        f'<text x="16" y="{(_TOP + bottom) / 2}" text-anchor="middle"'
        f' transform="rotate(-90 16 {(_TOP + bottom) / 2})">latency, no update being 1</text>',
    ]


def _mark(point: Point, across: _Axis, up: _Axis) -> list[str]:
    x, y = across.at(point.speed.value), up.at(point.latency.value)
    cross = (
        f"M{across.at(point.speed.low):.1f} {y:.1f}H{across.at(point.speed.high):.1f}"
        f"M{x:.1f} {up.at(point.latency.low):.1f}V{up.at(point.latency.high):.1f}"
    )
    return [
        f'<path class="{point.group}" d="{cross}"/>',
        f'<circle class="{point.group}" cx="{x:.1f}" cy="{y:.1f}" r="4"/>',
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("result", type=Path)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--load", default="steady")
    parser.add_argument("--update", default="event_search")
    options = parser.parse_args()
    for cell in json.loads(options.result.read_text())["cells"]:
        if (cell["load"], cell["update"]) == (options.load, options.update):
            figures = summarise(cell)
            title = f"{cell['update']}, {cell['database']}, {cell['load']} load"
            control = figures["control"].mean if "control" in figures else None
            options.picture.write_text(svg(title, points(figures), control))


if __name__ == "__main__":
    main()
