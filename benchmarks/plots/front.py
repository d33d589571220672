"""The front as SVG: speed against what clients feel, cell by cell, with intervals."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

import attrs

from benchmarks.latency.arms import STOCK, UNTHROTTLED
from benchmarks.latency.statistics import Estimate
from benchmarks.latency.summary import Figures

_WIDTH, _HEIGHT = 760, 440
_LEFT, _RIGHT, _TOP, _BOTTOM = 60, 170, 40, 50
_PIXELS_PER_TICK = 60
_LABEL_WIDTH, _LABEL_HEIGHT = 150, 13
_STEPS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
_SPEEDS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0)
SHOWN = (UNTHROTTLED, STOCK, "balanced")
_TITLE = "What updates do, and what they cost clients"

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
    """An arm in a cell: its speed against stock's, and latency as a ratio to no update."""

    cell: str
    arm: str
    speed: Estimate
    latency: Estimate

    @property
    def group(self) -> str:
        """`stock`, `ours` or `other`."""
        return {STOCK: "stock", UNTHROTTLED: "other"}.get(self.arm, "ours")

    @property
    def label(self) -> str:
        """What stands beside its mark: of stock nothing, where a line from ours ends."""
        return "" if self.arm == STOCK else f"{self.cell}, {self.arm}"


@attrs.frozen
class _Axis:
    """From values to pixels; ticks at round values."""

    low: float
    high: float
    from_px: float
    to_px: float
    is_logarithmic: bool = False

    def at(self, value: float) -> float:
        inside = min(max(value, self.low), self.high)
        if self.is_logarithmic:
            share = math.log(inside / self.low) / math.log(self.high / self.low)
        else:
            share = (inside - self.low) / (self.high - self.low)
        return self.from_px + share * (self.to_px - self.from_px)

    def ticks(self) -> list[float]:
        if self.is_logarithmic:
            return [speed for speed in _SPEEDS if self.low <= speed <= self.high]
        most = abs(self.to_px - self.from_px) / _PIXELS_PER_TICK
        span = self.high - self.low
        step = next((step for step in _STEPS if span / step <= most), _STEPS[-1])
        first = round(self.low / step)
        return [
            number * step
            for number in range(first, first + int(span / step) + 2)
            if self.low - 1e-9 <= number * step <= self.high + 1e-9
        ]


def points(cells: Mapping[str, Mapping[str, Figures]], arms: Sequence[str] = SHOWN) -> list[Point]:
    """Those arms of the cells that have both figures."""
    return [
        Point(cell, arm, one.of_stock, one.slowdown)
        for cell, figures in cells.items()
        for arm, one in figures.items()
        if arm in arms and one.of_stock is not None and one.slowdown is not None
    ]


def svg(shown: Sequence[Point]) -> str:
    """The picture; a line leads from stock to the arms of ours in the same cell.

    Latency is cut off at thrice no update, so that the arms that matter are told apart.
    """
    latencies = [value for point in shown for value in (point.latency.low, point.latency.high)]
    speeds = [point.speed.value for point in shown]
    fastest = next((s for s in _SPEEDS if s >= max(speeds, default=1.0)), _SPEEDS[-1])
    slowest = next((s for s in reversed(_SPEEDS) if s <= min(speeds, default=1.0)), _SPEEDS[0])
    across = _Axis(min(slowest, 0.5), max(fastest, 2.0), _LEFT, _WIDTH - _RIGHT, True)
    low, high = min(0.9, *latencies, 0.9), min(max(1.2, *latencies, 1.2), 3.0)
    up = _Axis(low, high, _HEIGHT - _BOTTOM, _TOP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img">',
        f"<title>{_TITLE}</title><style>{_STYLE}</style>",
        f'<text class="title" x="{_LEFT}" y="20">{_TITLE}</text>',
        *_grid(across, up),
    ]
    places = {(p.cell, p.arm): (across.at(p.speed.value), up.at(p.latency.value)) for p in shown}
    for point in shown:
        stock = places.get((point.cell, STOCK))
        if stock is not None and point.group == "ours":
            path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (stock, places[point.cell, point.arm]))
            parts.append(f'<polyline class="ours line" points="{path}"/>')
    for point in shown:
        parts += _mark(point, across, up)
    labels = {p.label: places[p.cell, p.arm] for p in shown if p.label}
    for name, (x, y) in label_places(labels).items():
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
            f'<text x="{x:.1f}" y="{bottom + 18}" text-anchor="middle">{value:g}</text>',
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
        "speed, stock being 1</text>",
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
