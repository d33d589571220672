"""Reads Synapse's own metrics from memory, with the values of its metrics endpoint.

They are found by name; the names are the same in all versions. `collect` is not used, because it
makes an object for each bucket: thousands for the requests. None means unreadable.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from prometheus_client import REGISTRY, CollectorRegistry

from synapse_bgthrottle.homeserver.internals.guard import call, get

# Requests that say nothing about clients: long polls, which wait on purpose, and requests for the
# status of the server or the updates. Those must not slow updates down.
NOT_COUNTED = frozenset(
    {
        "EventStreamRestServlet",
        "HealthResource",
        "MetricsResource",
        "SlidingSyncRestServlet",
        "SyncRestServlet",
        "BackgroundUpdateRestServlet",
        "ThrottleResource",
    }
)

_POOL_WAIT = "synapse_storage_schedule_time"
_TICK = "python_twisted_reactor_tick_time"
_RESPONSE_TIME = "synapse_http_server_response_time_seconds"
_RESPONSES = "synapse_http_server_response_count"


class ServerMetrics:
    """Sums and counts of all servers in this process, since its start."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self._by_name: Mapping[str, Any] = get(registry, "_names_to_collectors", default={})

    def pool_wait(self) -> tuple[float, float] | None:
        """Seconds that transactions waited for a connection, and their number."""
        return self._sum_and_count(_POOL_WAIT)

    def ticks(self) -> tuple[float, float] | None:
        """Seconds of the reactor's turns, and their number; None: not measured."""
        ticks = self._sum_and_count(_TICK)
        return ticks if ticks is not None and ticks[1] else None

    def responses(self) -> dict[str, tuple[float, float]] | None:
        """By servlet that counts: seconds of its responses, and their number."""
        return call(self._responses)

    def answered(self) -> int:
        """Number of answered requests that count; 0: not measured."""
        return int(call(self._answered) or 0)

    def unreadable(self) -> Iterator[tuple[str, str]]:
        """The metrics that cannot be read, and what the module loses by that."""
        if self.pool_wait() is None:
            yield _POOL_WAIT, "the signal pool_wait is not observable"
        if self._sum_and_count(_TICK) is None:
            yield _TICK, "the signal reactor_tick is not observable"
        compared = "moments with and without batches are not compared: harm to clients is not seen"
        if call(self._answered) is None:
            yield _RESPONSES, f"{compared}, nor a request that comes and goes between two looks"
        elif self.responses() is None:
            yield _RESPONSE_TIME, compared

    def _answered(self) -> float:
        counts = _by_servlet(self._by_name[f"{_RESPONSES}_total"], "_value")
        return sum(count for servlet, count in counts.items() if servlet not in NOT_COUNTED)

    def _sum_and_count(self, name: str) -> tuple[float, float] | None:
        histogram = self._by_name.get(f"{name}_sum")
        return None if histogram is None else call(_sum_and_count, histogram)

    def _responses(self) -> dict[str, tuple[float, float]]:
        # Take the count from the separate counter: the histogram's count is a sum of fifteen.
        seconds = _by_servlet(self._by_name[f"{_RESPONSE_TIME}_sum"], "_sum")
        counts = _by_servlet(self._by_name[f"{_RESPONSES}_total"], "_value")
        return {
            servlet: (seconds[servlet], count)
            for servlet, count in counts.items()
            if servlet in seconds and servlet not in NOT_COUNTED
        }


def _sum_and_count(histogram: Any) -> tuple[float, float]:
    children = histogram._metrics.values() if histogram._labelnames else (histogram,)
    seconds = count = 0.0
    for child in list(children):
        seconds += child._sum.get()
        count += sum(bucket.get() for bucket in child._buckets)
    return seconds, count


def _by_servlet(metric: Any, part: str) -> dict[str, float]:
    index = metric._labelnames.index("servlet")
    sums: dict[str, float] = {}
    for labels, child in list(metric._metrics.items()):
        servlet = labels[index]
        sums[servlet] = sums.get(servlet, 0.0) + getattr(child, part).get()
    return sums
