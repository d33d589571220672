"""The time left is true on a real server: at a steady pace, against the time that it then took."""

import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from testbed.faults import sqlite_data
from testbed.faults.restarts import API
from testbed.servers.matrix import MatrixClient
from tests.end_to_end.conftest import RealServer
from tests.end_to_end.databases.templates import Template

# A steady pace is what it is about: nothing else may run beside it.
pytestmark = pytest.mark.alone

_TAKES_S = 25.0
_PUSHERS = 8000
_COLUMNS = "id, user_name, access_token, profile_tag, kind, app_id, app_display_name"
_MORE = "device_display_name, pushkey, ts, enabled"


def _queue_search(path: Path) -> int:
    """Its bound is in its progress."""
    return sqlite_data.queue_search_reindex(path)


def _queue_pushers(path: Path) -> int:
    """Its progress is a cursor; where that ends is asked of the table `pushers`."""
    sqlite_data.change(
        path,
        f"INSERT INTO pushers ({_COLUMNS}, {_MORE}) WITH RECURSIVE numbers(n) AS"
        f" (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {_PUSHERS})"
        " SELECT n, '@admin:bgthrottle.test', 1, '', 'none', 'app', 'app', '', n, 0, 0"
        " FROM numbers",
    )
    sqlite_data.queue_update(path, "set_device_id_for_pushers", {})
    return _PUSHERS


def test_time_left(
    template: Template, make_server: Callable[..., RealServer], tmp_path: Path
) -> None:
    """From a tenth of the way on it is at most 20 % off, or 3 s near the end.

    From a quarter on it is told. Before that it may be unknown: it takes steps to know a pace.
    """
    servers = []
    for queue in (_queue_search, _queue_pushers):
        items = queue(Path(shutil.copy(template.database, tmp_path / "counted.db")))
        # Steady: no adaptive pace that compares moments with and without batches, and no growing
        # batches, of which each rests for the smaller one before it.
        pace = {"duty_cycle": "100%", "max_items_per_second": items / _TAKES_S}
        server = make_server({"rules": [{"update": "*", "max_batch_size": 100, **pace}]})
        queue(server.synapse.database_path)
        servers.append(server)
    # Side by side: at these rates both together hardly use a processor.
    with ThreadPoolExecutor() as threads:
        for told, took_s in threads.map(_lived, servers):
            _check(told, took_s)


def _lived(server: RealServer) -> tuple[list[tuple[float, float | None]], float]:
    with server.synapse:
        return _follow(server.admin)


def _check(told: list[tuple[float, float | None]], took_s: float) -> None:
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
