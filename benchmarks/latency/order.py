"""In which order arms take turns."""

from __future__ import annotations

import random
from collections.abc import Sequence


def orders(arms: Sequence[str], rounds: int, seed: int) -> list[list[str]]:
    """An order for each round, in which each arm follows each other one about equally often.

    What a block leaves behind is then nobody's in particular. Williams designs: for n arms, n rows
    (2 n where n is odd) in which every pair is adjacent once (twice); drawn anew when used up.
    """
    source = random.Random(seed)
    found: list[list[str]] = []
    while len(found) < rounds:
        names = source.sample(list(arms), len(arms))
        rows = _williams(len(names))
        source.shuffle(rows)
        found += [[names[place] for place in row] for row in rows]
    return found[:rounds]


def _williams(count: int) -> list[list[int]]:
    first = [0]
    for step in range(1, count):
        first.append((first[-1] + (step if step % 2 else -step)) % count)
    rows = [[(place + shift) % count for place in first] for shift in range(count)]
    return rows + [row[::-1] for row in rows] if count % 2 else rows
