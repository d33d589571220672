"""What the runs of a cell say of each arm.

A run is cut into pieces of some seconds, which every run of the load has with the same arrivals.
Slowdown is the geometric mean of latency over that of the same requests in the control's run,
divided by the same ratio from before the update began: a machine that is in another mood in the
one run than in the other has it before too. Intervals are from rounds and, within them, pieces
drawn anew; of a single round they do not know how rounds differ.
"""

from __future__ import annotations

import random
import statistics
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs

from benchmarks.latency.arms import CONTROL, STOCK, UNTHROTTLED
from benchmarks.latency.reaction import Spans, duty, faster, slower
from benchmarks.latency.statistics import (
    Estimate,
    Pair,
    bootstrap,
    paired_mean_ratio,
    quantile,
    quantile_ratio,
)
from testbed.data.loads import LOADS

_SLOW_MS = 100.0
_COSTED_ITEMS = 1000

# Minutes from the update's beginning.
PHASES = {"minute 1": (0, 1), "2 to 5": (1, 5), "after": (5, 10**6)}

Run = Mapping[str, Any]


@attrs.frozen
class Phase:
    """A part of a run: share of time in batches, and clients' slowdown."""

    duty_ratio: float
    slowdown: Estimate | None


@attrs.frozen
class Figures:
    """What one arm did, of all of its rounds.

    Attributes:
        rounds: how many.
        seconds: the mean length of a run, with the update.
        items_per_s: the mean.
        of_unthrottled, of_stock: its speed as a share; None where that arm did not run.
        duty_ratio: share of time in batches.
        phases: by `PHASES`, those that there were.
        slowdown, p50, p95: latency against no update; None without requests or control.
        cost_s: seconds of slowdown that 1,000 items cost clients.
        base_p50_ms: what p50 is a ratio to.
        slow_ratio: share of requests above 100 ms.
        batch_p50_ms, batch_p95_ms: how long batches took.
        server_cpu, database_cpu: of the processes, 1 being a core.
        own_cpu: of our module in the reactor's thread; None: not ours.
        slower_s, faster_s: from a step of the load, up or down, to half the share of time in
            batches, or to more than half of the time; None: the load has no steps.
        done_s: how long the update took to its first end; None: it was not done.
        failed: how many requests got no good answer, by kind and status (0: none at all).
        revision: of this project's code.
    """

    rounds: int
    seconds: float
    items_per_s: float
    of_unthrottled: Estimate | None
    of_stock: Estimate | None
    duty_ratio: float
    phases: dict[str, Phase]
    slowdown: Estimate | None
    p50: Estimate | None
    p95: Estimate | None
    cost_s: Estimate | None
    base_p50_ms: float
    slow_ratio: float
    batch_p50_ms: float
    batch_p95_ms: float
    server_cpu: float
    database_cpu: float
    own_cpu: float | None
    slower_s: float | None
    faster_s: float | None
    done_s: float | None
    failed: Counter[str]
    revision: str


@attrs.frozen
class _Compared:
    """A run beside the control's, piece by piece; and the items of each piece with the update."""

    before: Sequence[Pair]
    during: Sequence[Pair]
    items_per_s: Sequence[float]

    def again(self, source: random.Random) -> _Compared:
        return _Compared(
            *(source.choices(some, k=len(some)) for some in attrs.astuple(self, recurse=False))
        )


def summarise(runs: Mapping[str, Sequence[Run]]) -> dict[str, Figures]:
    """The figures of each arm but the control, by name, of its rounds."""
    controls = runs.get(CONTROL, ())
    compared = {
        name: [_compare(run, _control_of(run, controls)) for run in some]
        for name, some in runs.items()
    }
    return {name: _figures(name, some, compared, controls) for name, some in runs.items() if some}


def _control_of(run: Run, controls: Sequence[Run]) -> Run | None:
    """That of the same round, else any: arrivals are the same in all. A control's is another."""
    others = [control for control in controls if control is not run]
    same = (control for control in others if control["round"] == run["round"])
    return next(same, others[-1] if others else None)


def _figures(
    name: str,
    runs: Sequence[Run],
    compared: Mapping[str, Sequence[_Compared]],
    controls: Sequence[Run],
) -> Figures:
    own = compared[name]
    requests = [request for run in runs for request in _requests(run, *run["during_s"])]
    batches_ms = [(end - start) * 1000 for run in runs for start, end, _ in _batches(run)]
    slowdown = _bootstrap(own, _slowdown(paired_mean_ratio))
    done = [run["done_s"][0] for run in runs if run["done_s"]]
    return Figures(
        rounds=len(runs),
        seconds=statistics.fmean(_length_s(run) for run in runs),
        items_per_s=_speed(own),
        of_unthrottled=_speed_ratio(own, compared.get(UNTHROTTLED)),
        of_stock=_speed_ratio(own, compared.get(STOCK)),
        duty_ratio=statistics.fmean(_duty(run, *run["during_s"]) for run in runs),
        phases=_phases(runs, controls),
        slowdown=slowdown,
        p50=_bootstrap(own, _slowdown(quantile_ratio(0.5))),
        p95=_bootstrap(own, _slowdown(quantile_ratio(0.95))),
        cost_s=_bootstrap(own, _cost),
        base_p50_ms=quantile(
            [ms for one in own for pair in one.during for ms in pair.base_ms], 0.5
        ),
        slow_ratio=sum(ms > _SLOW_MS for *_, ms in requests) / max(len(requests), 1),
        batch_p50_ms=quantile(batches_ms, 0.5),
        batch_p95_ms=quantile(batches_ms, 0.95),
        server_cpu=statistics.fmean(run["server_cpu"] for run in runs),
        database_cpu=statistics.fmean(run["database_cpu"] for run in runs),
        own_cpu=_mean([run["own_cpu"] for run in runs if run["own_cpu"] is not None]),
        slower_s=_reaction(runs, 0, slower),
        faster_s=_reaction(runs, 1, faster),
        done_s=_mean(done),
        failed=sum((Counter(p["failed"]) for run in runs for p in run["pieces"]), Counter()),
        revision=", ".join(sorted({run["revision"] for run in runs})),
    )


def _compare(run: Run, control: Run | None) -> _Compared:
    low_s, high_s = run["during_s"]
    pieces = range(int((high_s - low_s) / run["piece_s"]) or 1)
    edges = [(low_s + p * run["piece_s"], low_s + (p + 1) * run["piece_s"]) for p in pieces]
    edges[-1] = (edges[-1][0], high_s)
    return _Compared(
        _pairs(run, control, *run["before_s"]),
        _pairs(run, control, *run["during_s"]),
        [_items(run, *edge) / (edge[1] - edge[0]) for edge in edges],
    )


def _pairs(run: Run, control: Run | None, low_s: float, high_s: float) -> list[Pair]:
    """The pieces of this time that both have, with requests in them."""
    if control is None:
        return []
    found = []
    for number, (own, base) in enumerate(zip(run["pieces"], control["pieces"], strict=False)):
        begin_s = number * run["piece_s"]
        latencies = [
            {
                index: ms
                for index, offset_s, _, ms in piece["requests"]
                if low_s <= begin_s + offset_s < high_s
            }
            for piece in (own, base)
        ]
        if all(latencies):
            found.append(Pair.of(*latencies))
    return found


def _bootstrap(
    rounds: Sequence[_Compared], figure: Callable[[Sequence[_Compared]], float | None]
) -> Estimate | None:
    return bootstrap(rounds, figure, lambda source, one: one.again(source))


def _slowdown(
    figure: Callable[[Sequence[Pair]], float | None],
) -> Callable[[Sequence[_Compared]], float | None]:
    """This figure of the time with the update, in which the machine's mood is divided out."""

    def of(rounds: Sequence[_Compared]) -> float | None:
        during = figure([pair for one in rounds for pair in one.during])
        before = paired_mean_ratio([pair for one in rounds for pair in one.before])
        return during / before if during and before else None

    return of


def _speed(rounds: Sequence[_Compared]) -> float:
    return statistics.fmean(statistics.fmean(one.items_per_s) for one in rounds)


# The pieces' speeds of each round, of an arm and of the one that it is compared with.
_Sides = tuple[Sequence[Sequence[float]], Sequence[Sequence[float]]]


def _speed_ratio(own: Sequence[_Compared], base: Sequence[_Compared] | None) -> Estimate | None:
    if not base:
        return None
    if own is base:
        return Estimate(1.0, 1.0, 1.0)
    sides: _Sides = [one.items_per_s for one in own], [one.items_per_s for one in base]
    return bootstrap([sides], _ratio_of_means, _sides_again)


def _ratio_of_means(drawn: Sequence[_Sides]) -> float | None:
    ((own, base),) = drawn
    means = [statistics.fmean(statistics.fmean(one) for one in side) for side in (own, base)]
    return means[0] / means[1] if means[1] else None


def _sides_again(source: random.Random, sides: _Sides) -> _Sides:
    own, base = (
        [source.choices(one, k=len(one)) for one in source.choices(side, k=len(side))]
        for side in sides
    )
    return own, base


def _cost(rounds: Sequence[_Compared]) -> float | None:
    slowdown, items_per_s = _slowdown(paired_mean_ratio)(rounds), _speed(rounds)
    return (slowdown - 1) / items_per_s * _COSTED_ITEMS if slowdown and items_per_s else None


def _phases(runs: Sequence[Run], controls: Sequence[Run]) -> dict[str, Phase]:
    found = {}
    for name, (first, last) in PHASES.items():
        shares: list[float] = []
        compared = []
        for run in runs:
            begin_s, end_s = run["during_s"]
            low_s, high_s = begin_s + first * 60, min(begin_s + last * 60, end_s)
            if high_s - low_s < run["piece_s"]:
                continue
            shares.append(_duty(run, low_s, high_s))
            control = _control_of(run, controls)
            before = _pairs(run, control, *run["before_s"])
            compared.append(_Compared(before, _pairs(run, control, low_s, high_s), [0.0]))
        if shares:
            slowdown = _bootstrap(compared, _slowdown(paired_mean_ratio))
            found[name] = Phase(statistics.fmean(shares), slowdown)
    return found


def _requests(run: Run, low_s: float, high_s: float) -> list[Sequence[Any]]:
    return [
        request
        for number, piece in enumerate(run["pieces"])
        for request in piece["requests"]
        if low_s <= number * run["piece_s"] + request[1] < high_s
    ]


def _batches(run: Run) -> list[tuple[float, float, int]]:
    low_s, high_s = run["during_s"]
    return [(start, end, items) for start, end, items in run["batches"] if low_s <= start < high_s]


def _length_s(run: Run) -> float:
    return float(run["during_s"][1] - run["during_s"][0])


def _duty(run: Run, low_s: float, high_s: float) -> float:
    return duty([(start, end) for start, end, _ in run["batches"]], low_s, high_s)


def _items(run: Run, low_s: float, high_s: float) -> float:
    """A batch counts as far as it is inside."""
    found = 0.0
    for start_s, end_s, items in run["batches"]:
        inside_s = min(end_s, high_s) - max(start_s, low_s)
        if inside_s >= 0:
            found += items * (inside_s / (end_s - start_s) if end_s > start_s else 1.0)
    return found


def _reaction(
    runs: Sequence[Run], edge: int, reaction: Callable[[Spans, float], float | None]
) -> float | None:
    """The median over the load's steps in which there was anything to react with, in s."""
    found = []
    for run in runs:
        steps = LOADS[run["load"]].busy_s
        if steps is None:
            return None
        spans = [(start, end) for start, end, _ in run["batches"]]
        low_s, high_s = run["during_s"]
        for number in range(len(run["pieces"])):
            at_s = number * run["piece_s"] + steps[edge]
            if low_s <= at_s - steps[0] and at_s + steps[0] <= high_s:
                found.append(reaction(spans, at_s))
    return statistics.median([s for s in found if s is not None] or [0.0]) if any(found) else None


def _mean(values: Sequence[float]) -> float | None:
    return statistics.fmean(values) if values else None
