"""Faults and interventions on a real server lose nothing and abort nothing."""

import json
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from testbed.faults import sqlite_data
from testbed.faults.restarts import API
from testbed.observe import batch_log
from testbed.waiting import stays_true, wait_until
from tests.end_to_end.conftest import RealServer
from tests.end_to_end.faults.hanging_names import HOST

MakeServer = Callable[..., RealServer]

STATE_KEYS = sqlite_data.STATE_KEYS
SECOND_MODULE = "synapse_bgthrottle.BackgroundUpdateThrottle"


def batches_so_far(server: RealServer) -> int:
    return len(batch_log.batches(server.synapse.log()))


def ends_by_sigterm(server: RealServer) -> None:
    """It does, and nothing is tried after the signal."""
    server.synapse.stop()
    assert 0 == server.synapse.exit_status()
    _, signal, after = server.synapse.log().partition("Received SIGTERM")
    assert signal
    assert "Starting update batch" not in after


def test_disabled_during_a_wait(make_server: MakeServer) -> None:
    """Disabled in a wait, no further batch runs; enabled again, the update goes on."""
    server = make_server({"sleep": "2s", "max_batch_size": 100})
    sqlite_data.queue_state_keys(server.synapse.database_path)
    with server.synapse:
        wait_until(lambda: batches_so_far(server) > 0)
        server.admin.set_updates_enabled(False)
        wait_until(lambda: "background updates are switched off" in server.synapse.log())
        count = batches_so_far(server)
        assert stays_true(lambda: batches_so_far(server) == count, 3)
        server.admin.set_updates_enabled(True)
        wait_until(lambda: batches_so_far(server) > count)
        assert "Going on with" in server.synapse.log()


def test_terminated_in_a_wait(make_server: MakeServer) -> None:
    """SIGTERM in a wait of an hour ends it and the server, with exit status 0."""
    server = make_server({"sleep": "1h"})
    sqlite_data.queue_state_keys(server.synapse.database_path)
    server.synapse.start()
    wait_until(lambda: f"Pacing {STATE_KEYS}" in server.synapse.log())
    ends_by_sigterm(server)


def test_terminated_while_a_name_server_hangs(make_server: MakeServer) -> None:
    """A check whose host's address does not come holds updates, and keeps no server alive."""
    signals = {"http": f"http://{HOST}/"}
    modules = [
        {"module": "tests.end_to_end.faults.hanging_names.HangingNames", "config": {}},
        {"module": "synapse_bgthrottle.BackgroundUpdateThrottle", "config": {"signals": signals}},
    ]
    server = make_server(None, {"modules": modules})
    sqlite_data.queue_state_keys(server.synapse.database_path)
    server.synapse.start()
    wait_until(lambda: "no answer within 2 s" in server.synapse.log())
    ends_by_sigterm(server)
    assert 1 == server.synapse.log().count(f"looking up {HOST}")
    assert 0 < sqlite_data.pending_updates(server.synapse.database_path)


def test_terminated_in_a_closed_window(make_server: MakeServer) -> None:
    """The same while a closed window holds the update, which the log says with its opening."""
    minute = (time.gmtime().tm_hour * 60 + time.gmtime().tm_min + 720) % 1440
    server = make_server({"windows": [{"start": minute, "end": (minute + 1) % 1440}]})
    sqlite_data.queue_state_keys(server.synapse.database_path)
    server.synapse.start()
    wait_until(lambda: "windows are closed; next open" in server.synapse.log())
    assert stays_true(lambda: batches_so_far(server) == 0, 1.5)
    ends_by_sigterm(server)


def test_terminated_while_disabled(make_server: MakeServer) -> None:
    """The same while an administrator's switch holds the update."""
    server = make_server({"sleep": "2s", "max_batch_size": 100})
    sqlite_data.queue_state_keys(server.synapse.database_path)
    server.synapse.start()
    wait_until(lambda: batches_so_far(server) > 0)
    server.admin.set_updates_enabled(False)
    wait_until(lambda: "background updates are switched off" in server.synapse.log())
    ends_by_sigterm(server)


def test_terminated_after_a_failure(make_server: MakeServer) -> None:
    """The same in the wait after a failed iteration."""
    server = make_server({"sleep": 0})
    sqlite_data.queue_update(server.synapse.database_path, STATE_KEYS, {})
    server.synapse.start()
    wait_until(lambda: "failed once: next try after 5s" in server.synapse.log())
    ends_by_sigterm(server)


def test_a_locked_database(make_server: MakeServer) -> None:
    """While another process holds SQLite's lock, updates are held; then they go on; none fails."""
    server = make_server({"sleep": "4s", "max_batch_size": 100})
    path = server.synapse.database_path
    state_keys = sqlite_data.queue_state_keys(path)
    with server.synapse:
        wait_until(lambda: batch_log.has_just_ended(server.synapse.log()))
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            # Taken in a rest: with the lock a batch would have to fail.
            other.execute("BEGIN IMMEDIATE")
            # Locked, or busy with what Synapse itself waits for in its only thread.
            wait_until(lambda: "the database does not answer" in server.synapse.log())
            count = batches_so_far(server)
            assert stays_true(lambda: batches_so_far(server) == count, 12)
            other.execute("ROLLBACK")
        wait_until(lambda: batches_so_far(server) > count)
        body = {"update": "*", "settings": {"profile": "finish", "max_batch_size": "off"}}
        server.admin.call("POST", f"{API}/override", body)
        wait_until(lambda: sqlite_data.pending_updates(path) == 0)
    assert "Error doing update" not in server.synapse.log()
    assert state_keys == sqlite_data.count_rows(path, sqlite_data.STATE_KEYS_SQL)


def test_a_failing_update(make_server: MakeServer) -> None:
    """An update that fails is tried again after 5 and 15 s; mended meanwhile, it goes on."""
    server = make_server({"sleep": 0})
    path = server.synapse.database_path
    sqlite_data.queue_update(path, STATE_KEYS, {})  # lacks the keys that its handler needs
    with server.synapse:
        wait_until(lambda: server.synapse.log().count("Error doing update") == 2)
        mend_progress(path)
        wait_until(lambda: sqlite_data.pending_updates(path) == 0)
    log = server.synapse.log()
    starts = [line.at_s for line in batch_log.lines(log) if "Starting update batch" in line.text]
    assert 5 <= starts[1] - starts[0]
    assert 15 <= starts[2] - starts[1]
    assert "failed once: next try after 5s" in log
    assert "failed 2 times in a row: next try after 15s" in log


def mend_progress(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        progress = json.dumps(sqlite_data.state_keys_progress(connection))
        connection.execute("UPDATE background_updates SET progress_json = ?", (progress,))


def test_held_while_nothing_can_be_decided(make_server: MakeServer) -> None:
    """With an error of the module at each decision, an approval and a pause hold, and are shown."""
    undeciding = {"module": "tests.end_to_end.server.other_modules.UndecidingModule", "config": {}}
    modules = [{"module": SECOND_MODULE, "config": {"approval": "required"}}, undeciding]
    server = make_server(None, {"modules": modules})
    path = server.synapse.database_path
    sqlite_data.queue_state_keys(path)

    def is_held(cause: str) -> bool:
        (status,) = server.admin.call("GET", f"{API}/status")["databases"]
        decision = (status["current"] or {}).get("decision") or {}
        return (status["state"], decision.get("cause")) == ("held", cause)

    with server.synapse:
        wait_until(lambda: is_held("approval"))
        server.admin.call("POST", f"{API}/pause", {"update": "*", "for": "1h"})
        server.admin.call("POST", f"{API}/release", {"update": "*"})
        wait_until(lambda: is_held("paused"))
        assert stays_true(lambda: batches_so_far(server) == 0, 5)
        server.admin.call("POST", f"{API}/resume", {"update": "*"})
        wait_until(lambda: sqlite_data.pending_updates(path) == 0)
    assert 1 == server.synapse.log().count("internal error")
    for why in ("approval", "paused"):
        assert f"Holding {STATE_KEYS} in master after an error: {why}" in server.synapse.log()


def test_a_second_module(make_server: MakeServer) -> None:
    """Listed behind another controller, the module warns once and leaves the first in charge."""
    modules = [
        {"module": SECOND_MODULE, "config": {"sleep": "20ms"}},
        {"module": SECOND_MODULE, "config": {"sleep": "1h"}},
    ]
    server = make_server(None, {"modules": modules})
    sqlite_data.queue_state_keys(server.synapse.database_path)
    with server.synapse:
        wait_until(lambda: sqlite_data.pending_updates(server.synapse.database_path) == 0)
    assert 1 == server.synapse.log().count("synapse_bgthrottle has no effect")


def test_bad_config_is_refused(make_server: MakeServer) -> None:
    """The server does not start, and says all that is wrong, with path, found and accepted."""
    server = make_server({"duty_cicle": "10%", "rules": [{"update": "x", "sleep": "1.5h"}]})
    server.synapse.launch()
    wait_until(lambda: server.synapse.exit_status() is not None)
    assert 0 != server.synapse.exit_status()
    output = server.synapse.output()
    assert "Error in configuration at 'modules.<item 0>.config'" in output
    assert "2 problems" in output
    assert "duty_cicle: unknown key; did you mean duty_cycle?" in output
    assert "rules.<item 0>.sleep: found '1.5h'; accepted is a duration" in output
    assert "Traceback" not in output


def test_a_single_problem_has_its_path(make_server: MakeServer) -> None:
    """A single problem is shown at its own path, in Synapse's spelling."""
    server = make_server({"rules": [{"update": "x"}, {"database": 5}]})
    server.synapse.launch()
    wait_until(lambda: server.synapse.exit_status() is not None)
    output = server.synapse.output()
    assert "at 'modules.<item 0>.config.rules.<item 1>.database'" in output


def test_killed_and_started_again(make_server: MakeServer) -> None:
    """After kill -9 the update goes on where its last batch ended, and all its rows are done."""
    server = make_server({"duty_cycle": "50%", "target_duration": "20ms"})
    path = server.synapse.database_path
    rows = sqlite_data.queue_search_reindex(path)
    server.synapse.start()
    wait_until(lambda: batches_so_far(server) >= 3)
    server.synapse.kill()
    with server.synapse:
        wait_until(lambda: sqlite_data.pending_updates(path) == 0)
    assert rows == sqlite_data.count_rows(path, "SELECT COUNT(*) FROM event_search")
