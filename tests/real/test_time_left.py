"""The time left is true on a real server: at a steady pace, against the time that it then took."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from harness import data
from harness.kills import API
from harness.matrix import MatrixClient
from tests.real.conftest import RealServer

_TAKES_S = 40.0


def _queue_search(server: RealServer) -> int:
    """Its bound is in its progress."""
    return data.queue_search_reindex(server.synapse.database_path)


def _queue_populate(server: RealServer) -> int:
    """Its progress is a cursor; where it ends is asked of the table `events`."""
    path = server.synapse.database_path
    data.queue_update(path, "populate_stream_ordering2", {"last_stream": 0})
    return data.count_rows(path, "SELECT MAX(stream_ordering) FROM events")


@pytest.mark.parametrize("queue", [_queue_search, _queue_populate])
def test_time_left(make_server: Callable[..., RealServer], queue: Any) -> None:
    """From a quarter of the way on it is told; from a tenth on, if told, it is at most 20 % off.

    Or 3 s, near the end. Before that it is unknown: it takes some steps to know a pace.
    """
    server = make_server({"sleep": 0, "rules": [{"update": "*", "max_items_per_second": 0.1}]})
    items = queue(server)
    pace = {"update": "*", "max_items_per_second": items / _TAKES_S, "target_duration": "20ms"}
    server = make_server({"rules": [pace]})
    queue(server)
    with server.synapse:
        told, took_s = _follow(server.admin)
    assert took_s == pytest.approx(_TAKES_S, rel=0.2)
    off = [
        (at_s, left_s, took_s - at_s)
        for at_s, left_s in told
        if left_s is not None
        and at_s > took_s / 10
        and abs(left_s - (took_s - at_s)) > max(0.2 * (took_s - at_s), 3.0)
    ]
    assert [] == off
    known_s = min(at_s for at_s, left_s in told if left_s is not None)
    assert known_s < took_s / 4


def _follow(admin: MatrixClient) -> tuple[list[tuple[float, float | None]], float]:
    """What was told, each at so many seconds after the begin, and how long it all took."""
    told: list[tuple[float, float | None]] = []
    begin_s: float | None = None
    while True:
        (database,) = admin.call("GET", f"{API}/status")["databases"]
        now_s = time.monotonic()
        current = database["current"]
        if begin_s is not None and not database["pending"]:
            return told, now_s - begin_s
        if current is not None and current["batches"]:
            begin_s = now_s if begin_s is None else begin_s
            told.append((now_s - begin_s, current["time_left_s"]["at_this_pace"]))
        time.sleep(0.2)
