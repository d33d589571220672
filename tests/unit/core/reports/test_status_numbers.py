"""The status: the numbers of the current update and of the signals."""

from typing import Any

import pytest

from synapse_bgthrottle.core.config.limits import Adaptive, Settings
from synapse_bgthrottle.core.config.signal_settings import SignalSettings
from synapse_bgthrottle.core.levers.lever import Levers
from synapse_bgthrottle.core.signals.samples import CheckSample, DatabaseSample
from synapse_bgthrottle.core.signals.signal_state import SignalState
from testbed.strategies.examples import NOON_S, lever
from tests.unit.core.reports.status_world import DB, NOON_MS, StatusWorld, look


def test_failures() -> None:
    """The last failure of a database is told, of whichever update, also after it went on."""
    server = StatusWorld()
    server.batch("a", 0, failure="first")
    server.batch("b", 10, failure="second")
    told = server.status(12, look("b"))["databases"][0]
    failure = {"at_ms": NOON_MS + 12_000, "update": "b", "message": "second"}
    assert (2, failure) == (told["failures_in_row"], told["last_failure"])
    server.batch("b", 30)
    told = server.status(32, look("b"))["databases"][0]
    assert (0, failure) == (told["failures_in_row"], told["last_failure"])


def test_next_try() -> None:
    """After a failure it is told when the next try is, the same time whenever it is asked."""
    server = StatusWorld()
    server.batch("a", 0, failure="first")
    tries = []
    for at_s in (3, 4.5, 10):
        server.begin("a", at_s)
        decision = server.status(at_s, look("a"))["databases"][0]["current"]["decision"]
        tries.append((decision["cause"], decision["next_try_ms"]))
    waits = ("backoff", NOON_MS + 7000)
    assert [waits, waits, ("run", None)] == tries
    server.begin("a", 3)
    told = server.status(8, look("a"))["databases"][0]["current"]["decision"]
    assert ("backoff", None) == (told["cause"], told["next_try_ms"])


def test_batch_that_runs() -> None:
    """Since when a batch runs is told on the clock on the wall; the rate is over all the time."""
    server = StatusWorld()
    server.batch("a", 0, items=None)
    server.begin("a", 5)
    server.throttle.start(DB, "a", 6.0)
    told = server.status(8, look("a"))["databases"][0]["current"]
    assert (True, NOON_MS + 6000) == (told["is_in_batch"], told["batch_since_ms"])
    assert None is told["items_per_second"]


def test_batch_that_waits_for_a_lock() -> None:
    """Since when is told while it does, and no longer."""
    server = StatusWorld()
    server.begin("a", 5)
    server.throttle.start(DB, "a", 6.0)
    for at_s in (8.0, 9.0):
        sample = DatabaseSample(at_s=at_s, lock_wait_s=at_s - 7.0, batch_transactions=1)
        server.throttle.observe(DB, sample)
    told = server.status(9, look("a"))["databases"][0]["current"]
    assert NOON_MS + 7000 == told["lock_wait_since_ms"]
    server.throttle.finish(DB, "a", 9.5, 1, failed=False)
    assert None is server.status(10, look("a"))["databases"][0]["current"]["lock_wait_since_ms"]


def test_busiest_database_tells_the_duty_cycle() -> None:
    """Of several databases under one law, the one that goes furthest shows what it allows."""
    server = StatusWorld(Settings(pace=Adaptive()))
    server.begin("a", 0)
    server.throttle.begin("state", "b", False, 0)
    server.runs.begin("state", "b", NOON_S)
    server.throttle.updates[DB, "a"].duty_ratio = 0.1
    server.throttle.updates["state", "b"].duty_ratio = 0.3
    looks = (look("a"), look("b", name="state"))
    assert 0.3 == server.status(1, *looks)["duty_cycle_ratio"]
    assert 0.1 == server.status(1, look("a"))["duty_cycle_ratio"]


def test_signals() -> None:
    """Every signal is told: read, unreadable, not observable, not looked at yet."""
    signals = SignalSettings(thresholds={"disk_free": 1e9, "replica_lag": 10_000.0, "sql": 5.0})
    server = StatusWorld(signals=signals)
    server.begin("a", 0)
    server.throttle.observe(DB, CheckSample(at_s=0.0, name="disk_free", value=5e8))
    server.throttle.observe(DB, CheckSample(at_s=0.0, name="sql", problem="no such table"))
    build = ("building index", 0.25)
    refused = {"autovacuum": "no such function"}
    server.throttle.observe(DB, DatabaseSample(at_s=1.0, index_build=build, refused=refused))
    server.throttle.start(DB, "a", 1.0)
    database = server.status(3, look("a"))["databases"][0]
    told = {signal["name"]: signal for signal in database["signals"]}
    levels: dict[str, SignalState] = server.throttle.databases[DB].signal_set.states
    assert list(levels) == list(told)
    assert {
        "name": "disk_free",
        "class": "budget",
        "unit": "bytes",
        "value": 5e8,
        "threshold": 1e9,
        "pressure": 2.0,
        "age_s": 3.0,
        "is_stale": levels["disk_free"].is_stale(3),
        "is_closed": True,
        "problem": "",
    } == told["disk_free"]
    assert (None, "no such table") == (told["sql"]["value"], told["sql"]["problem"])
    assert "not observable" == told["replica_lag"]["problem"]
    assert "refused by the database: no such function" == told["autovacuum"]["problem"]
    assert (None, "") == (told["event_loop_lag"]["age_s"], told["event_loop_lag"]["problem"])
    assert {"phase": "building index", "progress_ratio": 0.25} == database["current"]["index_build"]
    server.throttle.finish(DB, "a", 4.0, None, failed=False)
    server.begin("b", 5)
    assert server.status(6, look("b"))["databases"][0]["current"]["index_build"] is None


@pytest.mark.parametrize(
    ("expected", "sample", "one_shot", "held_s"),
    [
        (["longest_transaction"], {"longest_transaction_s": 400.0}, True, 0),
        ([], {"longest_transaction_s": 400.0}, False, 0),
        (["autovacuum"], {"autovacuum": True}, False, 600),
        ([], {"autovacuum": True}, False, 601),
        (["disk_free", "replica_lag"], {"problem": "gone"}, False, 0),
    ],
)
def test_closed_is_what_holds_the_update(
    expected: list[str], sample: dict[str, Any], one_shot: bool, held_s: int
) -> None:
    """Not what holds others only, nor what has let it go; but what must be read and is not."""
    thresholds = {"replica_lag": 1e4, "disk_free": 1e9} if "problem" in sample else {}
    server = StatusWorld(signals=SignalSettings(thresholds=thresholds))
    server.begin("user_ips_analyze" if one_shot else "a", 0)
    for at_s in range(held_s + 1):
        server.throttle.observe(DB, DatabaseSample(at_s=float(at_s), **sample))
    assert expected == _closed(server, held_s)


def test_nothing_is_closed_where_nobody_looks() -> None:
    """In a pause, and when no iteration is open, no budget holds, however old what was read."""
    server = StatusWorld(signals=SignalSettings(thresholds={"replica_lag": 1e4}))
    server.begin("a", 0)
    assert ["replica_lag"] == _closed(server, 1)
    server.throttle.levers = Levers((lever(),))
    server.begin("a", 1)
    assert [] == _closed(server, 1)
    server.throttle.levers = Levers()
    server.begin("a", 2)
    assert ["replica_lag"] == _closed(server, 2)
    server.throttle.leave(DB)
    assert [] == _closed(server, 2)


def _closed(server: StatusWorld, at_s: float) -> list[str]:
    signals = server.status(at_s, look("a"))["databases"][0]["signals"]
    return sorted(signal["name"] for signal in signals if signal["is_closed"])
