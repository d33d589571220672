"""Forecasts of real servers, compared with what happened."""

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from synapse_bgthrottle.cli.main import bgthrottle
from testbed.faults import sqlite_data
from testbed.faults.restarts import API
from testbed.waiting import wait_until
from tests.end_to_end.conftest import RealServer
from tests.end_to_end.databases.templates import template_of

MakeServer = Callable[..., RealServer]

# So many that batches of 20 ms take a while: shorter ones vary with each write to the disk.
EVENTS = 100_000

WITHIN = 0.2

# A speed that changed by less is as good as the same.
STEADY_WITHIN = 0.1

RUNS = 2

# The least that is foretold: of the last moments nothing is worth telling.
LEAST_AHEAD_S = 4.0


def foretold(server: RealServer, folder: Path, *options: str) -> dict[str, Any]:
    """What the command tells."""
    environment = {
        "BGTHROTTLE_URL": server.synapse.url,
        "BGTHROTTLE_TOKEN": server.admin.token,
        "XDG_STATE_HOME": str(folder / "state"),
        "XDG_CONFIG_HOME": str(folder / "none"),
    }
    arguments = ["forecast", "-o", "json", *options]
    result = CliRunner().invoke(bgthrottle, arguments, env=environment)
    assert 0 == result.exit_code, result.output
    told: dict[str, Any] = json.loads(result.stdout)
    return told


def wait_until_told(server: RealServer, folder: Path, *options: str) -> dict[str, Any]:
    """The same, once it has an end of the first update."""
    told: dict[str, Any] = {}

    def has_an_end() -> bool:
        time.sleep(1)
        told.update(foretold(server, folder, *options))
        return bool(told["updates"]) and told["updates"][0]["ends_ms"] is not None

    wait_until(has_an_end)
    return told


def error_of_forecast(server: RealServer, folder: Path, *options: str) -> tuple[float, str]:
    """Runs the server until its queue is empty; by what share the first forecast was wrong.

    Where others use the machine its speed is not steady, which no forecast can know: only then one
    that is right for the speed that it then had is right, too.
    """
    path = server.synapse.database_path
    with server.synapse:
        (told, *_) = wait_until_told(server, folder, *options)["updates"]
        made_s, before_s = time.time(), in_batches_s(server, told["update"])
        wait_until(lambda: sqlite_data.pending_updates(path) == 0)
        took_s = time.time() - made_s
        batches_s = in_batches_s(server, told["update"]) - before_s
    ahead_s = told["ends_ms"] / 1000 - made_s
    at_that_speed_s = ahead_s * told["items_per_second"] * batches_s / told["left"]
    said = f"foretold {ahead_s:.1f} s ({at_that_speed_s:.1f}), took {took_s:.1f} s: {told}"
    print(said)
    assert took_s > LEAST_AHEAD_S, said
    is_steady = abs(at_that_speed_s / ahead_s - 1) < STEADY_WITHIN
    counts = (ahead_s,) if is_steady else (ahead_s, at_that_speed_s)
    return min(abs(foretold_s - took_s) for foretold_s in counts) / took_s, said


def in_batches_s(server: RealServer, update: str) -> float:
    """The time that it had in batches so far."""
    told = server.admin.call("GET", f"{API}/history?update={update}&limit=1")
    return float(told["history"][0]["batch_time_ms"]) / 1000


@pytest.fixture(scope="session")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database of so many events."""
    return template_of(tmp_path_factory, EVENTS).database


def check_forecast(
    make_server: MakeServer,
    many: Path,
    folder: Path,
    config: dict[str, Any],
    queue: Callable[[Path], int],
) -> None:
    """The forecast is met within 20 %, in one of two runs."""
    told = []
    for _ in range(RUNS):
        server = make_server(config)
        shutil.copy(many, server.synapse.database_path)
        queue(server.synapse.database_path)
        error, said = error_of_forecast(server, folder, "--load", "idle")
        told.append(said)
        if error < WITHIN:
            return
    raise AssertionError("\n".join(told))


@pytest.mark.alone  # a steady pace is what it is about
@pytest.mark.parametrize(
    ("config", "queue"),
    [
        ({"duty_cycle": "10%", "target_duration": "20ms"}, sqlite_data.queue_search_reindex),
        ({"sleep": 0, "max_items_per_second": 6000}, sqlite_data.queue_state_keys),
    ],
    ids=["duty cycle", "items per second"],
)
def test_steady(
    make_server: MakeServer,
    many: Path,
    tmp_path: Path,
    config: dict[str, Any],
    queue: Callable[[Path], int],
) -> None:
    """With a fixed duty cycle, and with a limit of items a second, the end is met within 20 %."""
    check_forecast(make_server, many, tmp_path, config, queue)


@pytest.mark.alone
def test_adaptive_while_nobody_is_there(
    make_server: MakeServer, many: Path, tmp_path: Path
) -> None:
    """The adaptive pace on an idle server is met within 20 %."""
    # At most so much of the time, or these events would be done before anything is known.
    config = {"max_duty_cycle": "10%", "target_duration": "20ms"}
    check_forecast(make_server, many, tmp_path, config, sqlite_data.queue_search_reindex)


def test_learned_load_outlives_a_kill(make_server: MakeServer, tmp_path: Path) -> None:
    """What a real server saw of the hour is there after kill -9, and the forecast goes by it."""
    server = make_server({"sleep": "100ms", "max_items_per_second": 2000})
    path = server.synapse.database_path

    def hours() -> dict[int, Any]:
        load = server.admin.call("GET", "/_synapse/bgthrottle/v1/load")["load"]
        return {hour["hour"]: hour for hour in load}

    sqlite_data.queue_search_reindex(path)
    begin_s = time.monotonic()

    def asks_until_it_is_done() -> bool:
        server.admin.call("GET", "/_matrix/client/v3/account/whoami")
        return sqlite_data.pending_updates(path) == 0

    with server.synapse:
        wait_until(asks_until_it_is_done)
        ended = "SELECT 1 FROM bgthrottle_history WHERE outcome = 'done'"
        wait_until(lambda: sqlite_data.rows(path, ended))
        before = hours()
        server.synapse.kill()
        lasted_s = time.monotonic() - begin_s
    assert 5 < sum(hour["watched_s"] for hour in before.values()) < lasted_s, before
    busy = [(hour["present_ratio"], hour["requests_per_second"]) for hour in before.values()]
    assert min(busy) > (0.5, 0), before
    # As if it had gone on for long enough to be known, and somebody had been there half of that.
    sqlite_data.change(path, "UPDATE bgthrottle_load SET watched_ms = 60 * watched_ms")
    sqlite_data.change(path, "UPDATE bgthrottle_load SET present_ms = 30 * present_ms")
    sqlite_data.queue_search_reindex(path)
    begin_s = time.monotonic()
    with server.synapse:
        after = hours()
        # What it watches since its start is added.
        within_s = 30 + time.monotonic() - begin_s
        for number, hour in before.items():
            expected_s = 60 * hour["watched_s"]
            assert expected_s == pytest.approx(after[number]["watched_s"], abs=within_s)
            assert 0.5 == pytest.approx(after[number]["present_ratio"], abs=0.1)
        told = wait_until_told(server, tmp_path, "--load", "learned")
    assert "learned" == told["load"]
    assert any("of 168 hours of the week" in note for note in told["notes"])
