"""The module restarts updates that stand still, because Synapse gave up or never began."""

import sqlite3
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from twisted.internet.defer import Deferred

from testbed.virtual.server import VirtualServer, Work
from tests.integration.metrics.server_metrics import value
from tests.integration.virtual_module import (
    change_levers,
    queued,
    restarted,
    rows,
    service_of,
    stated,
)

MakeServer = Callable[..., VirtualServer]

_USES = "SELECT author, action, update_glob, database_name, reason FROM bgthrottle_uses"
_HOUR_S = 3600.0


def status(server: VirtualServer, database: int = 0) -> Any:
    return stated(server, service_of(server).status(), 2)["databases"][database]


def problem(server: VirtualServer) -> Any:
    (told,) = stated(server, service_of(server).status(), 2)["problems"]
    return told


def failing(
    server: VirtualServer, config: Any, error: Exception | None = None, items: int = 300
) -> Work:
    """The first batches of an update fail until `fail` is 0; Synapse gives up on it."""
    work = queued(server, "work", items)
    work.fail = 10**6

    async def batch(progress: dict[str, Any], size: int) -> int:
        if error is not None and work.fail:
            work.starts_s.append(server.clock.monotonic())
            raise error
        return await work(progress, size)

    server.pools["master"].updates.register_background_update_handler("work", batch)
    server.load(config)
    server.start().addErrback(lambda _: None)
    return work


def rounds_s(work: Work) -> list[float]:
    """The times between the ends of five tries in a row and the beginnings of the next five."""
    tries_s = work.starts_s
    return [b - a for number, (a, b) in enumerate(pairwise(tries_s)) if number % 5 == 4]


def test_a_lasting_failure_is_tried_again_ever_more_seldom(
    virtual_server: MakeServer, caplog: pytest.LogCaptureFixture
) -> None:
    """After 1, 2, 4, 8, 16 h and then once a day, each time told everywhere; no storm."""
    server = virtual_server()
    work = failing(server, {"sleep": 0})
    caplog.clear()
    server.advance(80 * _HOUR_S)
    hours = [round(wait_s / _HOUR_S) for wait_s in rounds_s(work)]
    assert [1, 2, 4, 8, 16, 24] == hours[:6]
    ours = [r for r in caplog.records if r.name.startswith("synapse_bgthrottle")]
    starts = [r.getMessage() for r in ours if "again (start" in r.getMessage()]
    assert len(hours) == len(starts)
    assert "again (start 2 in a row); next is work. Before: this batch was told" in starts[1]
    assert len(ours) <= 10 * (len(starts) + 1)
    assert len(starts) == value("restarts_total", "virtual.test")
    kept = rows(server, _USES)
    expected = ("synapse_bgthrottle", "restart", "work", "master", "this batch was told to fail")
    assert [expected] * len(starts) == kept
    told = status(server)
    assert ("aborted", len(starts)) == (told["state"], told["restart"]["count"])
    assert 0 < told["restart"]["due_ms"] / 1000 - server.clock.time() <= 24 * _HOUR_S
    assert f" UTC (start {len(starts) + 1} in a row). Repair the cause" in problem(server)["advice"]


def test_a_passing_failure_comes_back_sooner(virtual_server: MakeServer) -> None:
    """A lock: after 5, 10 and 20 minutes."""
    server = virtual_server()
    work = failing(server, {"sleep": 0}, sqlite3.OperationalError("database is locked"))
    server.advance(3 * _HOUR_S)
    assert [5, 10, 20] == [round(wait_s / 60) for wait_s in rounds_s(work)[:3]]


def test_what_was_mended_goes_on_by_itself(virtual_server: MakeServer) -> None:
    """The first start after that ends the row: the status tells of it no longer."""
    server = virtual_server()
    work = failing(server, {"sleep": 0})
    server.advance(4 * _HOUR_S)
    assert 2 == status(server)["restart"]["count"]
    work.fail = 0
    server.advance(4 * _HOUR_S)
    assert 0 == work.left_items
    assert ("idle", None) == (status(server)["state"], status(server)["restart"])
    assert 0 == value("aborted", "virtual.test")


def test_off_is_never(virtual_server: MakeServer) -> None:
    """Then a person has to."""
    server = virtual_server()
    work = failing(server, {"restart_aborted": "off"})
    server.advance(30 * _HOUR_S)
    assert 5 == len(work.starts_s)
    assert "The module does not start them by itself." in problem(server)["advice"]
    assert None is status(server)["restart"]["due_ms"]


def test_its_time_is_configured(virtual_server: MakeServer) -> None:
    """`restart_aborted: 10m`."""
    server = virtual_server()
    work = failing(server, {"restart_aborted": "10m"})
    server.advance(_HOUR_S)
    assert [10, 20] == [round(wait_s / 60) for wait_s in rounds_s(work)[:2]]


def test_never_while_paused(virtual_server: MakeServer) -> None:
    """What is due waits for the end of the pause, and then begins within a minute."""
    server = virtual_server()
    work = failing(server, {"sleep": 0})
    server.advance(600)
    change_levers(server, "pause", update="*", duration="12h")
    server.advance(10 * _HOUR_S)
    assert 5 == len(work.starts_s)
    assert "paused by @admin" in status(server)["restart"]["held_by"]
    change_levers(server, "resume")
    server.advance(60)
    assert 5 < len(work.starts_s)


def test_never_while_disabled(virtual_server: MakeServer) -> None:
    """The administrator's switch holds it, also when it is thrown while updates stand still."""
    server = virtual_server()
    work = failing(server, {"sleep": 0})
    server.advance(600)
    server.pools["master"].updates.enabled = False
    server.advance(10 * _HOUR_S)
    assert (5, 0) == (len(work.starts_s), value("restarts_total", "virtual.test"))


def test_never_while_a_budget_is_closed(virtual_server: MakeServer, tmp_path: Path) -> None:
    """It is measured before: here a file that holds everything, made after the abort."""
    server = virtual_server()
    file = tmp_path / "pause"
    work = failing(server, {"sleep": 0, "signals": {"pause_file": str(file)}})
    server.advance(600)
    file.touch()
    server.advance(10 * _HOUR_S)
    assert (5, 0) == (len(work.starts_s), value("restarts_total", "virtual.test"))
    assert "pause_file" in status(server)["restart"]["held_by"]
    file.unlink()
    server.advance(120)
    assert 5 < len(work.starts_s)


def _gone_between_two_updates(server: VirtualServer, config: Any) -> Work:
    """The database is gone from the end of the first update on; this is the second one."""
    pool = server.pools["master"]

    async def last(progress: Any, size: int) -> int:
        await pool.updates._end_background_update("work")
        pool.broken = sqlite3.OperationalError("unable to open database file")
        return 1

    pool.queue("work", last)
    after = queued(server, "next", 300)
    server.load(config)
    server.start().addErrback(lambda _: None)
    return after


def test_a_restart_of_the_database_in_the_instant_that_nobody_sees(
    virtual_server: MakeServer,
) -> None:
    """Synapse gives up within milliseconds; 10 s after the database answers it goes on."""
    server = virtual_server()
    after = _gone_between_two_updates(server, {"sleep": 0})
    server.advance(2)
    server.pools["master"].broken = None
    assert "aborted" == status(server)["state"]
    server.advance(7)
    assert [] == after.starts_s
    server.advance(15)
    assert (0, "idle") == (after.left_items, status(server)["state"])


def test_that_instant_with_off(virtual_server: MakeServer) -> None:
    """Then a person has to start them."""
    server = virtual_server()
    after = _gone_between_two_updates(server, {"restart_aborted": "off"})
    server.advance(2)
    server.pools["master"].broken = None
    server.advance(_HOUR_S)
    assert ([], "aborted") == (after.starts_s, status(server)["state"])


def test_an_outage_in_the_instant_that_nobody_sees(virtual_server: MakeServer) -> None:
    """Between two updates: nothing is started while it lasts; then all is done by itself."""
    server = virtual_server()
    pool = server.pools["master"]
    after = _gone_between_two_updates(server, {"sleep": 0})
    server.advance(_HOUR_S)
    assert "aborted" == status(server)["state"]
    assert 0 == (value("restarts_total", "virtual.test") or 0)
    pool.broken = None
    server.advance(1000)
    assert (0, "idle") == (after.left_items, status(server)["state"])
    assert 1 == value("restarts_total", "virtual.test")


def test_an_unknown_update_is_not_started_again(virtual_server: MakeServer) -> None:
    """It fails each time until Synapse is restarted: no line in the log for nothing."""
    server = virtual_server()
    pool = server.pools["master"]
    queued(server, "work")
    pool.connection.execute("INSERT INTO background_updates VALUES ('strange', '{}', NULL, -1)")
    server.load({})
    server.start().addErrback(lambda _: None)
    server.advance(30 * _HOUR_S)
    assert ("aborted", None) == (status(server)["state"], status(server)["restart"]["due_ms"])
    assert 0 == value("restarts_total", "virtual.test")


def test_after_a_restart_of_the_server(virtual_server: MakeServer) -> None:
    """Synapse tries by itself then; what fails still, is given up and started again as before."""
    old = virtual_server()
    failing(old, {})
    old.advance(600)
    server = restarted(old, virtual_server())
    work = Work(server, 300, cost_ms=1)
    work.fail = 6
    server.pools["master"].updates.register_background_update_handler("work", work)
    server.load({"sleep": 0})
    server.start().addErrback(lambda _: None)
    server.advance(600)
    assert 5 == len(work.starts_s)
    server.advance(_HOUR_S)
    assert 0 == work.left_items


# --- queues that nobody works on ---


def test_rows_inserted_by_hand_into_an_idle_server(
    virtual_server: MakeServer, caplog: pytest.LogCaptureFixture
) -> None:
    """Seen within a minute, told as a problem, and started a minute after that."""
    server = virtual_server()
    queued(server, "first", 300)
    server.load({"sleep": 0})
    server.start()
    server.advance(_HOUR_S)
    by_hand = queued(server, "by_hand", 300)
    server.advance(60)
    assert 1 == value("stopped", "virtual.test")
    assert (
        "is not working on the queue of master (1 pending): the module starts it in 1m"
        in caplog.text
    )
    told = problem(server)
    assert ("stopped", "stopped") == (told["kind"], status(server)["state"])
    assert "not working on the queue of master, in which 1 update is pending" in told["message"]
    assert "`bgthrottle resume`" in told["advice"]
    server.advance(60)
    assert (0, "idle") == (by_hand.left_items, status(server)["state"])
    assert (0, 1) == (value("stopped", "virtual.test"), value("restarts_total", "virtual.test"))
    why = "Synapse was not working on the queue"
    assert [("synapse_bgthrottle", "restart", "by_hand", "master", why)] == rows(server, _USES)


def test_a_restart_where_nothing_can_be_stored(virtual_server: MakeServer) -> None:
    """The updates are started, and the database is not asked again and again to note it."""
    server = virtual_server()
    server.pools["master"].connection.execute("CREATE TABLE bgthrottle_uses (no TEXT)")
    server.load({"sleep": 0})
    server.advance(60)
    by_hand = queued(server, "by_hand", 300)
    with patch.object(server.api, "run_db_interaction") as store:
        server.advance(_HOUR_S)
    assert (0, 0) == (by_hand.left_items, store.call_count)


def test_a_restart_that_cannot_be_noted(virtual_server: MakeServer) -> None:
    """A connection that hangs does not keep the module from starting what stands still later."""
    server = virtual_server()
    server.load({"sleep": 0})
    server.advance(60)
    run, hanging = server.api.run_db_interaction, Deferred[None]()
    answers = [hanging]
    server.api.run_db_interaction = lambda *arguments: answers.pop() if answers else run(*arguments)
    first = queued(server, "first", 300)
    server.advance(130)
    second = queued(server, "second", 300)
    server.advance(_HOUR_S)
    assert ([], False) == (answers, hanging.called)
    assert (0, 0) == (first.left_items, second.left_items)


def test_a_queue_that_nobody_works_on_with_off(virtual_server: MakeServer) -> None:
    """It is told, and somebody starts it."""
    server = virtual_server()
    server.load({"restart_aborted": "off"})
    server.advance(60)
    by_hand = queued(server, "by_hand", 300)
    server.advance(10 * _HOUR_S)
    assert [] == by_hand.starts_s
    assert (
        "does not start them by itself. At once: `bgthrottle resume`" in problem(server)["advice"]
    )
    server.start()
    server.advance(60)
    assert (0, "idle") == (by_hand.left_items, status(server)["state"])


def test_a_second_database_that_is_never_started(virtual_server: MakeServer) -> None:
    """As up to Synapse 1.128: seen within a minute of the start, while the first goes on."""
    server = virtual_server(databases=("master", "state"))
    queued(server, "work")
    other = Work(server, 300, cost_ms=1)
    other.database = "state"
    server.pools["state"].queue("other", other)
    server.load({"sleep": "1s"})
    server.start()
    server.advance(60)
    assert ["waiting", "stopped"] == [status(server, number)["state"] for number in (0, 1)]
    server.advance(120)
    assert 0 == other.left_items
    assert "idle" == status(server, 1)["state"]


def test_a_start_that_takes_a_moment_is_no_problem(virtual_server: MakeServer) -> None:
    """Rows that Synapse's own API inserts, and whose update begins right after."""
    server = virtual_server()
    server.load({"sleep": 0})
    server.advance(60)
    queued(server, "job", 300)
    question = service_of(server).status()
    server.clock.reactor.callLater(0.2, server.start)
    told = stated(server, question, 2)
    assert ([], 0) == (told["problems"], value("stopped", "virtual.test"))


def test_an_idle_server_is_asked_once_a_minute(virtual_server: MakeServer) -> None:
    """For its queue, and nothing else; and no timer is left but this."""
    server = virtual_server()
    queued(server, "first", 300)
    server.load({})
    server.start()
    server.advance(_HOUR_S)
    asked: list[str] = []
    pool: Any = server.pools["master"]
    run = pool.runInteraction

    async def noted(description: str, *arguments: Any) -> Any:
        asked.append(description)
        return await run(description, *arguments)

    pool.runInteraction = noted
    server.advance(_HOUR_S)
    assert {"bgthrottle_queue"} == set(asked)
    assert 65 <= len(asked) <= 66
    assert [] == server.timers()
