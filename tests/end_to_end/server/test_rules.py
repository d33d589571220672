"""Rules on a real server, as seen in Synapse's own log and in its database."""

import statistics
from collections.abc import Callable
from typing import Any

from testbed.faults import sqlite_data
from testbed.observe import batch_log
from testbed.waiting import wait_until
from tests.end_to_end.conftest import RealServer

MakeServer = Callable[..., RealServer]

REINDEX = "event_search"
STATE_KEYS = sqlite_data.STATE_KEYS
STATE_KEYS_GLOB = f"{STATE_KEYS[:-3]}*"


def run_to_the_end(server: RealServer) -> None:
    with server.synapse:
        wait_until(lambda: sqlite_data.pending_updates(server.synapse.database_path) == 0)


def rests(log: str, update: str) -> set[str]:
    """What its rests were meant to be, but for the first, before which there was no batch of it."""
    found = [batch for batch in batch_log.module_batches(log) if batch.update_name == update]
    return {batch.reason for batch in found if batch.reason.startswith("resting ")}


def test_rules_by_name_glob_and_kind(make_server: MakeServer) -> None:
    """Each update gets the limits of the first rule that matches it, and all rows are done."""
    server = make_server(
        {
            "sleep": 0,
            "rules": [
                {"update": REINDEX, "target_duration": "20ms", "sleep": "30ms"},
                {"update": STATE_KEYS_GLOB, "max_batch_size": 400, "duty_cycle": "50%"},
                {"one_shot": True, "sleep": "700ms"},
            ],
        }
    )
    path = server.synapse.database_path
    rows = sqlite_data.queue_search_reindex(path, ordering=1)
    state_keys = sqlite_data.queue_state_keys(path, ordering=2)
    sqlite_data.queue_update(path, "user_ips_analyze", {}, ordering=3)
    run_to_the_end(server)
    log = server.synapse.log()
    seen = {batch.update_name for batch in batch_log.batches(log)}
    assert {REINDEX, STATE_KEYS, "user_ips_analyze"} <= seen
    rests_s = batch_log.rests_s(batch_log.batches(log))
    # Where a busy machine ends one a moment late the log has a shorter rest.
    assert 0.029 <= statistics.median(rests_s[REINDEX])
    assert {"resting 30ms: sleep 30ms"} == rests(log, REINDEX)
    assert 400 == max(batch.size for batch in batch_log.batches(log, STATE_KEYS))
    assert f"rule 1 ({STATE_KEYS_GLOB})" in log
    assert "rule 2 (one-shots)" in log
    assert {"resting 700ms: sleep 700ms"} == rests(log, "user_ips_analyze")
    assert 0.5 >= batch_log.duty_cycle(batch_log.batches(log, STATE_KEYS))
    assert rows == sqlite_data.count_rows(path, "SELECT COUNT(*) FROM event_search")
    assert state_keys == sqlite_data.count_rows(path, sqlite_data.STATE_KEYS_SQL)


def test_hard_maximum(make_server: MakeServer) -> None:
    """With `max_batch_size: 50` no batch in Synapse's log is above 50, and every row is done."""
    server = make_server({"max_batch_size": 50, "sleep": 0})
    state_keys = sqlite_data.queue_state_keys(server.synapse.database_path)
    run_to_the_end(server)
    found = batch_log.batches(server.synapse.log(), STATE_KEYS)
    assert 50 == max(batch.size for batch in found)
    assert 20_000 <= sum(batch.items for batch in found)
    assert state_keys == sqlite_data.count_rows(
        server.synapse.database_path, sqlite_data.STATE_KEYS_SQL
    )


def test_search_never_gets_less_than_a_hundred(make_server: MakeServer) -> None:
    """A maximum of 10 is refused to `event_search`, aloud, and no row of it is lost."""
    server = make_server({"max_batch_size": 10, "default_batch_size": 1, "sleep": 0})
    rows = sqlite_data.queue_search_reindex(server.synapse.database_path)
    run_to_the_end(server)
    log = server.synapse.log()
    assert {100} == {batch.size for batch in batch_log.batches(log, REINDEX)}
    assert rows == sqlite_data.count_rows(
        server.synapse.database_path, "SELECT COUNT(*) FROM event_search"
    )
    assert "max_batch_size 10 is too small for these updates" in log


def test_database_rule_and_unknown_names(make_server: MakeServer) -> None:
    """A rule for this database holds; names that the server does not know are warned of."""
    server = make_server(
        {
            "rules": [
                {"update": "event_serch", "sleep": "1h"},
                {"update": "no_such_*", "sleep": "1h"},
                {"database": "state", "sleep": "1h"},
                {"database": "master", "sleep": "10ms", "target_duration": "50ms"},
            ]
        }
    )
    sqlite_data.queue_search_reindex(server.synapse.database_path)
    run_to_the_end(server)
    log = server.synapse.log()
    assert "rule 3 (database master)" in log
    assert 0.009 <= statistics.median(batch_log.rests_s(batch_log.batches(log))[REINDEX])
    assert {"resting 10ms: sleep 10ms"} == rests(log, REINDEX)
    assert "knows no update called event_serch; did you mean event_search?" in log
    assert "knows no update called no_such_*" in log
    assert "this server has no database state, but master" in log


def test_without_config(make_server: MakeServer) -> None:
    """With `{}`, what was tuned in the server's own section goes on to hold, and is said."""
    server = make_server(
        {},
        {
            "background_updates": {
                "background_update_duration_ms": 30,
                "sleep_duration_ms": 40,
                "default_batch_size": 333,
            }
        },
    )
    sqlite_data.queue_state_keys(server.synapse.database_path)
    run_to_the_end(server)
    log = server.synapse.log()
    assert 333 == batch_log.batches(log, STATE_KEYS)[0].size
    assert "otherwise: target duration 30ms, sleep 40ms, default batch size 333" in log
    assert 0.039 <= statistics.median(batch_log.rests_s(batch_log.batches(log))[STATE_KEYS])
    assert {"resting 40ms: sleep 40ms"} == rests(log, STATE_KEYS)


def test_no_line_per_batch(make_server: MakeServer) -> None:
    """At INFO the module says a few lines in all, whatever the number of batches."""
    server = make_server({"sleep": 0, "max_batch_size": 100})
    sqlite_data.queue_state_keys(server.synapse.database_path)
    run_to_the_end(server)
    told = [
        line
        for line in batch_log.lines(server.synapse.log())
        if line.logger.startswith("synapse_bgthrottle") and line.level != "DEBUG"
    ]
    assert len(batch_log.batches(server.synapse.log())) > 150
    # On a busy machine some are about a database that does not answer.
    assert len(told) < len(batch_log.batches(server.synapse.log())) / 10


def test_server_answers_unchanged(make_server: MakeServer) -> None:
    """The official status answers exactly the keys that it has without us; jobs can be started."""
    server = make_server({"sleep": "200ms"})
    sqlite_data.queue_search_reindex(server.synapse.database_path)
    with server.synapse:
        status: Any = {}

        def running() -> bool:
            status.update(server.admin.updates_status())
            return bool(status["current_updates"])

        wait_until(running)
        assert {"enabled", "current_updates"} == set(status)
        assert {
            "name",
            "total_item_count",
            "total_duration_ms",
            "average_items_per_ms",
        } == set(status["current_updates"]["master"])
        server.admin.run_job("populate_stats_process_rooms")
