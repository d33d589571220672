"""A cell for people, as Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.latency.summary import Figures

_HEAD = (
    "arm",
    "items/s",
    "of unthrottled",
    "of stock",
    "in batches",
    "batch p50, p95 ms",
    "mean",
    "p50",
    "p95",
    "over 100 ms",
    "server's CPU",
)


def table(cell: Mapping[str, Any], figures: Mapping[str, Figures]) -> str:
    """All arms; `mean`, `p50` and `p95` are latencies against no update."""
    some = next(iter(figures.values()))
    has_requests = some.mean is not None
    said = (
        f"no update: p50 {some.base_p50_ms:.1f} ms; the load's own CPU {cell['load_cpu_share']:.1%}"
        if has_requests
        else "no requests"
    )
    lines = [
        f"{cell['database']}, {cell['update']}, {cell['load']}: {cell['rounds']} rounds, blocks of"
        f" {cell['block_s']:g} s; {said}",
        "",
        f"| {' | '.join(_HEAD)} |",
        "|" + "---|" * len(_HEAD),
    ]
    for name, arm in figures.items():
        cells = (
            name,
            f"{arm.items_per_s:.0f}",
            arm.of_unthrottled,
            arm.of_stock,
            f"{arm.duty_ratio:.0%}",
            f"{arm.batch_p50_ms:.0f}, {arm.batch_p95_ms:.0f}",
            arm.mean,
            arm.p50,
            arm.p95,
            f"{arm.slow_ratio:.1%}" if has_requests else "",
            f"{arm.cpu_ratio:.2f}",
        )
        lines.append(f"| {' | '.join('' if cell is None else str(cell) for cell in cells)} |")
    lines += _remarks(cell, figures)
    return "\n".join(lines)


def _remarks(cell: Mapping[str, Any], figures: Mapping[str, Figures]) -> list[str]:
    remarks = []
    for name, arm in figures.items():
        if arm.own_cpu_ratio is not None:
            remarks.append(f"{name}: its own CPU in the reactor {arm.own_cpu_ratio:.2%} of a core")
            if arm.slower_s is not None:
                remarks.append(f"{name}: half the share {arm.slower_s} s after a step up")
            if arm.faster_s is not None:
                remarks.append(f"{name}: more than half {arm.faster_s} s after a step down")
        if arm.blocks < cell["rounds"]:
            left_out = cell["rounds"] - arm.blocks
            remarks.append(f"{name}: {left_out} blocks left out, which had nothing left to do")
        if arm.failed:
            what = ", ".join(f"{count} {kind}" for kind, count in sorted(arm.failed.items()))
            remarks.append(f"{name}: requests without a good answer, by status: {what}")
    return ["", *(f"- {remark}" for remark in remarks)] if remarks else []
