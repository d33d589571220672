"""Updates that stand still on real servers, because Synapse gave up or never began."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from testbed.faults import faults, sqlite_data
from testbed.faults.misbehaving_updates import Oddity
from testbed.faults.misbehaving_worlds import OddSource, OddWorld
from testbed.faults.restarts import API
from testbed.observe.forbidden_log_lines import complaints
from testbed.servers.cli_process import Command
from testbed.waiting import HANG_S, stays_true, wait_until, within

_BRISKLY = {"sleep": "50ms"}
# A twelfth of it, 5 s, after what passes by itself.
_SOON = {**_BRISKLY, "restart_aborted": "1m"}
# By Synapse's log: it has begun, and come to the end of its queue.
_NO_MORE = "No more background updates to do"
_ODD = Oddity("odd", 200, batch_items=50)
_BEHIND = Oddity("behind", 50)


def database(world: OddWorld) -> Any:
    """The first database, as the status tells it."""
    return world.admin.call("GET", f"{API}/status")["databases"][0]


def problems(world: OddWorld) -> list[str]:
    told = world.admin.call("GET", f"{API}/status")["problems"]
    return [f"{problem['message']}; {problem['advice']}" for problem in told]


def restarts(world: OddWorld) -> list[str]:
    """The failures that the module started updates after, newest first."""
    uses = world.admin.call("GET", f"{API}/uses")["uses"]
    return [use["reason"] for use in uses if use["action"] == "restart"]


def execute(world: OddWorld, *statements: str) -> None:
    with world.postgres.session(world.names["master"]) as cursor:
        for statement in statements:
            cursor.execute(statement)


@contextmanager
def locked(world: OddWorld) -> Iterator[None]:
    """The table that the update writes to, as beside a `pg_dump` what changes it."""
    with world.postgres.session(world.names["master"]) as cursor:
        cursor.execute("BEGIN")
        cursor.execute("LOCK TABLE odd_items IN SHARE MODE")
        yield
        cursor.execute("ROLLBACK")


def with_lock_timeout(world: OddWorld) -> None:
    """For the role that Synapse connects as."""
    name = world.names["master"]
    execute(world, f'ALTER ROLE CURRENT_USER IN DATABASE "{name}" SET lock_timeout = 250')


def insert(world: OddWorld, update: Oddity) -> None:
    execute(world, update.queue_sql(0))


def idle_world(source: OddSource, folder: Path, name: str, module: Any) -> OddWorld:
    """A server with nothing pending, that knows an update."""
    world = source.world(folder, name, module, (_ODD,))
    for each in world.names:
        with world.postgres.session(world.names[each]) as cursor:
            cursor.execute("DELETE FROM background_updates")
    return world


def is_done(world: OddWorld) -> Callable[[], bool]:
    return lambda: world.pending() == 0


# --- failures that pass ---


def test_a_lock_is_waited_out(odd_source: OddSource, tmp_path: Path) -> None:
    """With a lock_timeout on the role: told as a lock, tried again later each time, then done."""
    world = odd_source.world(tmp_path, "lock", _BRISKLY, (_ODD, _BEHIND))
    with_lock_timeout(world)
    with locked(world), world.server:
        wait_until(lambda: database(world)["failures_in_row"] == 1)
        reason = database(world)["current"]["decision"]["reason"]
        assert "failed once (a lock was not free): next try after 5s" == reason
        assert "due to lock timeout" in database(world)["last_failure"]["message"]
        wait_until(lambda: database(world)["failures_in_row"] == 2)
        reason = database(world)["current"]["decision"]["reason"]
        assert "failed 2 times in a row (a lock was not free): next try after 1m" == reason
        world.server.stop()
    assert not faults.has_aborted(world.server)


@pytest.mark.alone
@pytest.mark.timeout(1800)
def test_a_lock_of_ten_minutes_aborts_nothing(odd_source: OddSource, tmp_path: Path) -> None:
    """As long as a dump of a server: four tries in vain, and the fifth is after it."""
    world = odd_source.world(tmp_path, "ten", _BRISKLY, (_ODD, _BEHIND))
    with_lock_timeout(world)
    with world.server:
        with locked(world):
            assert stays_true(lambda: not faults.has_aborted(world.server), 600)
        wait_until(is_done(world))
    print("".join(f"{line}\n" for line in world.server.log().splitlines() if faults.is_told(line)))
    assert (0, False) == (world.wrong(), faults.has_aborted(world.server))
    assert 4 == world.server.log().count("Error doing update")


def test_an_outage_in_the_instant_between_two_updates(
    odd_source: OddSource, tmp_path: Path
) -> None:
    """Synapse gives up within milliseconds; once the database is back it goes on by itself."""
    first = Oddity("odd", 50, cost_ms=100, batch_items=50)
    world = odd_source.world(tmp_path, "instant", _SOON, (first, _BEHIND))
    with world.server:
        wait_until(lambda: database(world)["state"] == "running")
        world.admin.set_updates_enabled(False)
        wait_until(lambda: world.pending() == 1)
        with faults.stopped(world.postgres):
            world.admin.set_updates_enabled(True)
            wait_until(lambda: faults.has_aborted(world.server))
        wait_until(is_done(world))
        wait_until(lambda: database(world)["state"] == "idle")
        assert ["Synapse could not look for the next update; see its log"] == restarts(world)
    assert 0 == world.wrong()


# --- failures that last ---


@pytest.mark.alone
@pytest.mark.timeout(1200)
def test_what_always_fails_is_no_storm(odd_source: OddSource, tmp_path: Path) -> None:
    """Given up after two minutes, tried again a minute later, then two: the log stays small."""
    world = odd_source.world(
        tmp_path, "storm", _SOON, (Oddity("odd", 200, failures=10**9), _BEHIND)
    )
    with world.server:
        assert within(3 * HANG_S, lambda: len(restarts(world)) == 2)  # six minutes, as it should
        wait_until(lambda: database(world)["state"] == "aborted")
        told = database(world)["restart"]
        assert 2 == told["count"]
        assert any("(start 3 in a row)" in problem for problem in problems(world))
    log = world.server.log()
    assert 15 == log.count("Error doing update")
    assert sum(map(faults.is_told, log.splitlines())) <= 50
    assert ["odd was told to fail"] * 2 == restarts_in(world)


def restarts_in(world: OddWorld) -> list[str]:
    """The same of a server that is down."""
    sql = "SELECT reason FROM bgthrottle_uses WHERE action = 'restart' ORDER BY at_ms DESC"
    return [reason for (reason,) in world.query(sql)]


@pytest.mark.alone
@pytest.mark.timeout(1200)
def test_what_is_mended_goes_on_by_itself(odd_source: OddSource, tmp_path: Path) -> None:
    """After five failures, which a trigger makes, and whose DETAIL is told."""
    world = odd_source.world(tmp_path, "mended", _SOON, (_ODD, _BEHIND))
    execute(
        world,
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " RAISE 'refused' USING DETAIL = 'item ' || NEW.item; END $$",
        "CREATE TRIGGER refuse BEFORE INSERT ON odd_items FOR EACH ROW EXECUTE FUNCTION refuse()",
    )
    with world.server:
        wait_until(lambda: database(world)["state"] == "aborted")
        assert "refused (item 0)" == database(world)["last_failure"]["message"]
        execute(world, "DROP TRIGGER refuse ON odd_items")
        wait_until(is_done(world))
        assert ["refused (item 0)"] == restarts(world)
    assert 0 == world.wrong()


# --- queues that nobody works on ---


def test_rows_inserted_by_hand_are_started_by_resume(odd_source: OddSource, tmp_path: Path) -> None:
    """`status` tells it at once, `wait` and `check` too; `resume` starts Synapse."""
    module = {**_BRISKLY, "restart_aborted": "off"}
    world = idle_world(odd_source, tmp_path, "by_hand", module)
    with world.server:
        command = Command.of(world.server.url, world.token, tmp_path / "token")
        wait_until(lambda: _NO_MORE in world.server.log())
        insert(world, _ODD)
        wait_until(lambda: database(world)["state"] == "stopped")
        (problem,) = problems(world)
        assert "Synapse is not working on the queue of master" in problem
        assert "does not start them by itself. At once: `bgthrottle resume`" in problem
        waited = command.run("wait", "--timeout", "60s")
        assert 5 == waited.returncode
        assert "Synapse is not working on this queue" in waited.stderr
        assert 5 == command.run("check").returncode
        assert 0 == command.run("resume").returncode
        wait_until(is_done(world))
    assert [(200, 200)] == world.query("SELECT COUNT(*), COUNT(DISTINCT item) FROM odd_items")
    assert [] == complaints(world.server.log())


@pytest.mark.alone
@pytest.mark.timeout(1200)
def test_rows_inserted_by_hand_are_started_by_the_module(
    odd_source: OddSource, tmp_path: Path
) -> None:
    """Nobody asks for the status: the log tells it within a minute, and a minute later it runs."""
    world = idle_world(odd_source, tmp_path, "by_itself", _BRISKLY)
    with world.server:
        wait_until(lambda: _NO_MORE in world.server.log())
        insert(world, _ODD)
        told = "is not working on the queue of master (1 pending): the module starts it in 1m"
        begin_s = time.monotonic()
        wait_until(lambda: told in world.server.log())
        assert time.monotonic() - begin_s < 62
        wait_until(is_done(world))
        assert time.monotonic() - begin_s < 130
        assert ["Synapse was not working on the queue"] == restarts(world)
    assert [(200, 200)] == world.query("SELECT COUNT(*), COUNT(DISTINCT item) FROM odd_items")
    assert [] == complaints(world.server.log())


@pytest.mark.timeout(600)
def test_the_second_database_is_worked_on(odd_source: OddSource, tmp_path: Path) -> None:
    """Also by Synapse up to 1.128, which starts the updates of the main one only."""
    world = odd_source.world(tmp_path, "second", _BRISKLY, (_ODD,))
    with world.server:
        wait_until(is_done(world))
        wait_until(lambda: world.query("SELECT 1 FROM odd_items LIMIT 1", "other"))
    assert 0 == world.wrong()
    assert [] == complaints(world.server.log())


def test_rows_inserted_by_hand_on_sqlite(make_server: Callable[..., Any]) -> None:
    """Told at once, and started by Synapse's own switch, as the page's button does."""
    server = make_server({"sleep": "50ms"})
    with server.synapse:
        wait_until(lambda: _NO_MORE in server.synapse.log())
        sqlite_data.queue_search_reindex(server.synapse.database_path)

        def told() -> Any:
            return server.admin.call("GET", f"{API}/status")["databases"][0]

        wait_until(lambda: told()["state"] == "stopped")
        assert told()["restart"]["due_ms"] is not None
        server.admin.set_updates_enabled(True)
        wait_until(lambda: told()["state"] != "stopped")
    assert [] == complaints(server.synapse.log())
