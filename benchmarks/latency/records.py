"""What the logs say of each block, less its discarded part."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import attrs

from testbed.observe.batch_log import Batch

DISCARDED_S = 1.0  # of each block: what the one before left behind


@attrs.define
class Block:
    """What is to be known of a block before the logs are read."""

    arm: str
    round_number: int
    begin_s: float
    cpu_share: float = 0.0
    ran_dry: bool = False


def records(
    blocks: Sequence[Block],
    block_s: float,
    lines: Sequence[Sequence[str]],
    done: Sequence[Batch],
) -> list[dict[str, Any]]:
    """Each block with what the logs have of it, less its discarded part."""
    requests: list[list[Any]] = [[] for _ in blocks]
    failed: list[Counter[str]] = [Counter() for _ in blocks]
    for place, index, offset_s, latency_ms, kind, status in lines:
        if int(place) < 0:  # of a warm-up
            continue
        if status != "200":
            failed[int(place)][f"{kind} {status}"] += 1
        elif float(offset_s) >= DISCARDED_S:
            requests[int(place)].append([int(index), kind, float(latency_ms)])
    found = []
    for number, block in enumerate(blocks):
        low_s, high_s = block.begin_s + DISCARDED_S, block.begin_s + block_s
        all_of_it = [b for b in done if block.begin_s < b.end_s and b.start_s < high_s]
        inside = [b for b in all_of_it if low_s < b.end_s]
        shares = [_share_inside(b, low_s, high_s) for b in inside]
        items = sum(b.items * share for b, share in zip(inside, shares, strict=True))
        busy_s = sum(b.took_s * share for b, share in zip(inside, shares, strict=True))
        found.append(
            {
                "arm": block.arm,
                "round": block.round_number,
                "ran_dry": block.ran_dry,
                "items_per_s": items / (high_s - low_s),
                "duty_ratio": busy_s / (high_s - low_s),
                "batches_ms": [
                    [round((moment - block.begin_s) * 1000) for moment in (b.start_s, b.end_s)]
                    for b in all_of_it
                ],
                "cpu_share": block.cpu_share,
                "failed": failed[number],
                "requests": sorted(requests[number]),
            }
        )
    return found


def _share_inside(batch: Batch, low_s: float, high_s: float) -> float:
    if batch.took_s <= 0:
        return 1.0
    return (min(batch.end_s, high_s) - max(batch.start_s, low_s)) / batch.took_s
