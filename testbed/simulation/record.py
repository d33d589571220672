"""What happened in a run, and the figures that compare laws."""

import math
from collections.abc import Sequence

import attrs

from synapse_bgthrottle.core.scheduling.decision import Cause


@attrs.frozen
class Request:
    """An answered request: its arrival, the client's wait, and its kind."""

    came_s: float
    latency_s: float
    kind: str


@attrs.frozen
class Batch:
    """A batch of the update: its time, its items, and its target duration."""

    begin_s: float
    end_s: float
    items: int
    target_ms: float

    @property
    def took_s(self) -> float:
        return self.end_s - self.begin_s


@attrs.frozen
class Latencies:
    """The requests that came within a span: their number, and their latencies in seconds."""

    count: int
    p50_s: float
    p95_s: float
    mean_s: float
    geometric_mean_s: float


@attrs.define
class Record:
    """Everything that happened.

    Attributes:
        arrivals: number of requests that came.
        requests: the answered requests.
        batches: the ended batches.
        waits: when the update began to wait, for how long, and why.
        finished_s: when the last item was done; None: not done.
    """

    arrivals: int = 0
    requests: list[Request] = attrs.field(factory=list)
    batches: list[Batch] = attrs.field(factory=list)
    waits: list[tuple[float, float, Cause]] = attrs.field(factory=list)
    finished_s: float | None = None

    def items(self, begin_s: float = 0.0, end_s: float = math.inf) -> float:
        """Items done within a span, with a proportional part of batches that cross its borders."""
        return sum(
            batch.items * _overlap_s(batch, begin_s, end_s) / batch.took_s
            for batch in self.batches
            if batch.took_s > 0
        )

    def share_in_batches(self, begin_s: float, end_s: float) -> float:
        """Share of a span that was spent in batches that have ended."""
        return sum(_overlap_s(batch, begin_s, end_s) for batch in self.batches) / (end_s - begin_s)

    def latencies(
        self, begin_s: float = 0.0, end_s: float = math.inf, kind: str | None = None
    ) -> Latencies:
        """Latencies of the requests that came within a span; all 0 if there is none."""
        found = sorted(
            request.latency_s
            for request in self.requests
            if begin_s <= request.came_s < end_s and kind in (None, request.kind)
        )
        if not found:
            return Latencies(0, 0.0, 0.0, 0.0, 0.0)
        logarithms = math.fsum(math.log(max(latency_s, 1e-9)) for latency_s in found)
        return Latencies(
            len(found),
            _quantile(found, 0.5),
            _quantile(found, 0.95),
            math.fsum(found) / len(found),
            math.exp(logarithms / len(found)),
        )


def _overlap_s(batch: Batch, begin_s: float, end_s: float) -> float:
    return max(min(batch.end_s, end_s) - max(batch.begin_s, begin_s), 0.0)


def _quantile(ordered: Sequence[float], share: float) -> float:
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]
