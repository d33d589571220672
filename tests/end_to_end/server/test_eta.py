"""On a real server the time left is right, known at once, and agrees with the forecast."""

import math
import shutil
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from testbed.faults import sqlite_data
from testbed.faults.restarts import API
from testbed.servers.matrix import MatrixClient
from testbed.waiting import wait_until
from tests.end_to_end.command.test_forecast import foretold
from tests.end_to_end.conftest import RealServer
from tests.end_to_end.databases.templates import Template

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


@pytest.mark.alone  # a steady pace is what it is about
def test_time_left(
    template: Template, make_server: Callable[..., RealServer], tmp_path: Path
) -> None:
    """From a tenth of the way on it is at most 20 % off, or 3 s near the end.

    From a quarter on it is told.
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


def _now(admin: MatrixClient) -> dict[str, Any] | None:
    """The update under way, once its progress is known."""
    (database,) = admin.call("GET", f"{API}/status")["databases"]
    current: dict[str, Any] | None = database["current"]
    return current if current is not None and current["progress"] is not None else None


def _first(admin: MatrixClient, limit: int) -> dict[str, Any]:
    """The first status with a time left while this limit of items a second is in force."""
    found: list[dict[str, Any]] = []

    def is_told() -> bool:
        told = _now(admin)
        is_in_force = told is not None and told["limit_values"]["max_items_per_second"] == limit
        # It is missing for some milliseconds after a start, while pauses are still read.
        if told is not None and is_in_force and told["time_left_s"]["expected"] is not None:
            found.append(told)
        return bool(found)

    wait_until(is_told)
    return found[0]


def _override(admin: MatrixClient, limit: int) -> dict[str, Any]:
    """Sets it; answers what is told first."""
    settings = {"max_items_per_second": limit}
    body = {"update": "event_search", "settings": settings, "for": "1h"}
    admin.call("POST", f"{API}/override", body)
    return _first(admin, limit)


def test_known_at_once_and_one_number(
    make_server: Callable[..., RealServer], tmp_path: Path
) -> None:
    """With a limit of items a second it is a division, told at once, by the forecast too.

    A new limit counts at once, and so it does after kill -9.
    """
    server = make_server({"sleep": 0, "max_items_per_second": 100, "max_batch_size": 50})
    admin = server.admin
    sqlite_data.queue_search_reindex(server.synapse.database_path)
    with server.synapse:
        told = _first(admin, 100)
        left = told["progress"]["left"]
        assert left / 100 == pytest.approx(told["time_left_s"]["expected"], rel=0.2)
        told = _override(admin, 4)
        left = told["progress"]["left"]
        assert left / 4 == pytest.approx(told["time_left_s"]["expected"], rel=0.2)
        forecast = foretold(server, tmp_path, "--update", "event_search")
        (update,) = forecast["updates"]
        assert "present" == forecast["configurations"][0]["name"]
        assert update["ends_ms"] == forecast["configurations"][0]["ends_ms"]
        ahead_s = (update["ends_ms"] - forecast["made_ms"]) / 1000
        assert told["time_left_s"]["expected"] == pytest.approx(ahead_s, rel=0.02)
        assert server.synapse.process is not None
        server.synapse.process.kill()
        server.synapse.process.wait()
    with server.synapse:
        told = _first(admin, 4)
        left = told["progress"]["left"]
        assert left / 4 == pytest.approx(told["time_left_s"]["expected"], rel=0.2)


@pytest.mark.alone
def test_ends_within_the_range(make_server: Callable[..., RealServer]) -> None:
    """With a limit of items a second the update ends within the range that was told."""
    server = make_server({"sleep": 0, "max_items_per_second": 4, "max_batch_size": 50})
    admin = server.admin
    sqlite_data.queue_search_reindex(server.synapse.database_path)
    with server.synapse:
        left = _first(admin, 4)["progress"]["left"]
        told = _override(admin, round(left / 15))  # so that it takes a quarter of a minute
        began_s = time.monotonic()
        pending = "SELECT 1 FROM background_updates WHERE update_name = 'event_search'"
        wait_until(lambda: not sqlite_data.rows(server.synapse.database_path, pending))
        took_s = time.monotonic() - began_s
    earliest_s, latest_s = told["time_left_s"]["earliest"], told["time_left_s"]["latest"]
    assert earliest_s - 1 <= took_s <= latest_s + 1, (told, took_s)


@pytest.mark.alone
@pytest.mark.timeout(1200)
def test_follows_clients_who_come(make_server: Callable[..., RealServer]) -> None:
    """Of an update that had SQLite for itself, the range told 25 s after three came is true."""
    server = make_server({})
    admin = server.admin
    sqlite_data.multiply_events(server.synapse.database_path, 400_000)
    sqlite_data.queue_search_reindex(server.synapse.database_path, ordering=-1)
    is_over = threading.Event()

    def send(room: str) -> None:
        while not is_over.wait(0.2):
            admin.send(room, "hello")

    with server.synapse, ThreadPoolExecutor() as threads:
        room = admin.create_room("clients")
        wait_until(lambda: (_now(admin) or {}).get("pace") is not None)
        came_s = time.monotonic()
        try:
            sending = [threads.submit(send, room) for _ in range(3)]
            told, told_s, ended_s = None, math.inf, None
            while ended_s is None:
                current, now_s = _now(admin), time.monotonic()
                if current is None or current["name"] != "event_search":
                    ended_s = now_s
                elif told is None and now_s - came_s >= 25:
                    told, told_s = current["time_left_s"], now_s
                time.sleep(0.5)
        finally:
            is_over.set()
        assert [None] * 3 == [each.result() for each in sending]
    assert told is not None
    assert told["earliest"] <= ended_s - told_s <= told["latest"], (told, ended_s - told_s)
