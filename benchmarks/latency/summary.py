"""What the blocks of a cell say of each arm."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import attrs

from benchmarks.latency.reaction import Spans, faster, slower
from benchmarks.latency.statistics import (
    Estimate,
    Latencies,
    Pair,
    bootstrap,
    median_ratio,
    paired_mean_ratio,
    quantile,
    quantile_ratio,
)

BASE = "none"
_FASTEST = "unthrottled"
_STOCK = "stock"
_SLOW_MS = 100.0

# Blocks by arm and number of the round.
ByArm = Mapping[str, Mapping[int, Mapping[str, Any]]]


@attrs.frozen
class Figures:
    """What one arm did.

    Attributes:
        items_per_s: median of its blocks.
        of_unthrottled, of_stock: its speed as a share; None where that arm did not run.
        duty_ratio: share of time in batches.
        mean, p50, p95: latency against no update: the geometric mean of the same requests, and
            quantiles of all; None without requests.
        kinds: the geometric mean by kind of request.
        base_p50_ms: what p50 is a ratio to.
        slow_ratio: share of requests above 100 ms.
        batch_p50_ms, batch_p95_ms: how long batches took.
        cpu_ratio: CPU of the server's process, 1 being a core.
        own_cpu_ratio: CPU of our module in the reactor's thread; None: not ours.
        slower_s, faster_s: from a step of the load, up or down, to half the share of time in
            batches, or to more than half of the time; None: the load has no steps.
        blocks: how many blocks this is from.
        failed: how many requests got no good answer, by kind and status (0: none at all).
    """

    items_per_s: float
    of_unthrottled: Estimate | None
    of_stock: Estimate | None
    duty_ratio: float
    mean: Estimate | None
    p50: Estimate | None
    p95: Estimate | None
    kinds: dict[str, Estimate]
    base_p50_ms: float
    slow_ratio: float
    batch_p50_ms: float
    batch_p95_ms: float
    cpu_ratio: float
    own_cpu_ratio: float | None
    slower_s: Estimate | None
    faster_s: Estimate | None
    blocks: int
    failed: Mapping[str, int]


def summarise(cell: Mapping[str, Any]) -> dict[str, Figures]:
    """The figures of each arm, in the order of `cell["arms"]`.

    Blocks whose update had nothing left to do are not counted.
    """
    by_arm: dict[str, dict[int, Mapping[str, Any]]] = {name: {} for name in cell["arms"]}
    for block in cell["blocks"]:
        if not block["ran_dry"]:
            by_arm[block["arm"]][block["round"]] = block
    return {name: _figures(cell, name, by_arm) for name in cell["arms"]}


def _figures(cell: Mapping[str, Any], name: str, by_arm: ByArm) -> Figures:
    blocks = list(by_arm[name].values())
    latencies = [latency for block in blocks for _, _, latency in block["requests"]]
    discarded_ms = cell["discarded_s"] * 1000
    batches_ms = [
        end_ms - start_ms
        for block in blocks
        for start_ms, end_ms in block["batches_ms"]
        if end_ms > discarded_ms
    ]
    pairs = list(_pairs(by_arm, name, BASE))
    requests = [Pair.of(_latencies(own), _latencies(base)) for own, base in pairs]
    kinds = sorted({kind for block in blocks for _, kind, _ in block["requests"]})
    return Figures(
        items_per_s=statistics.median([block["items_per_s"] for block in blocks] or [0.0]),
        of_unthrottled=_speed(by_arm, name, _FASTEST),
        of_stock=_speed(by_arm, name, _STOCK),
        duty_ratio=_mean(blocks, "duty_ratio"),
        mean=bootstrap(requests, paired_mean_ratio),
        p50=bootstrap(requests, quantile_ratio(0.5)),
        p95=bootstrap(requests, quantile_ratio(0.95)),
        kinds={
            kind: estimate
            for kind in kinds
            if (
                estimate := bootstrap(
                    [Pair.of(_latencies(own, kind), _latencies(base, kind)) for own, base in pairs],
                    paired_mean_ratio,
                )
            )
        },
        base_p50_ms=quantile([ms for pair in requests for ms in pair.base_ms], 0.5),
        slow_ratio=sum(latency > _SLOW_MS for latency in latencies) / max(len(latencies), 1),
        batch_p50_ms=quantile(batches_ms, 0.5),
        batch_p95_ms=quantile(batches_ms, 0.95),
        cpu_ratio=_mean(blocks, "cpu_share"),
        own_cpu_ratio=cell["own_cpu_share"].get(name),
        slower_s=bootstrap(_reactions(cell, blocks, slower), _median),
        faster_s=bootstrap(_reactions(cell, blocks, faster), _median),
        blocks=len(blocks),
        failed=sum((Counter(block["failed"]) for block in blocks), Counter()),
    )


def _pairs(
    by_arm: ByArm, name: str, base: str
) -> Iterator[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """The blocks of an arm with those of the base, round by round."""
    others = by_arm.get(base, {})
    for number, block in by_arm[name].items():
        if number in others:
            yield block, others[number]


def _speed(by_arm: ByArm, name: str, base: str) -> Estimate | None:
    pairs = _pairs(by_arm, name, base)
    speeds = [(own["items_per_s"], other["items_per_s"]) for own, other in pairs]
    return bootstrap(speeds, median_ratio)


def _reactions(
    cell: Mapping[str, Any],
    blocks: Sequence[Mapping[str, Any]],
    reaction: Callable[[Spans, float], float | None],
) -> list[float]:
    """Of each block in which there was anything to react with, in s."""
    if cell["busy_s"] is None:
        return []
    step_s = cell["busy_s"][0 if reaction is slower else 1]
    spans = (
        [(start_ms / 1000, end_ms / 1000) for start_ms, end_ms in block["batches_ms"]]
        for block in blocks
    )
    return [reacted_s for some in spans if (reacted_s := reaction(some, step_s)) is not None]


def _median(values: Sequence[float]) -> float | None:
    return statistics.median(values) if values else None


def _latencies(block: Mapping[str, Any], only: str | None = None) -> Latencies:
    return {index: ms for index, kind, ms in block["requests"] if only in (None, kind)}


def _mean(blocks: Sequence[Mapping[str, Any]], key: str) -> float:
    return statistics.fmean(block[key] for block in blocks) if blocks else 0.0
