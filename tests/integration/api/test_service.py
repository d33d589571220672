"""The service behind the HTTP API on the virtual server: status, history, explanations."""

import sqlite3
from collections.abc import Callable
from typing import Any

import pytest

from synapse_bgthrottle.core.levers.request import StoreUnavailableError
from testbed.virtual.server import EPOCH_S, VirtualServer
from tests.integration.virtual_module import change_levers, queued, rows, service_of, stated

MakeServer = Callable[..., VirtualServer]

_NOW_MS = round(EPOCH_S * 1000)


def _status(server: VirtualServer, within_s: float = 0) -> Any:
    return stated(server, service_of(server).status(), within_s)


def _history(server: VirtualServer, **filters: Any) -> list[tuple[str, str, str]]:
    asked = {"limit": 100, "update": None, "database": None, **filters}
    entries = stated(server, service_of(server).history(**asked))
    return [(entry["update"], entry["outcome"], entry["database"]) for entry in entries]


def test_status_of_an_update_under_way(virtual_server: MakeServer) -> None:
    """From the module's own parts: who runs, how far, on which engine, behind whom."""
    server = virtual_server()
    work, _ = queued(server, "work", 1000), queued(server, "another")
    server.load({"sleep": "1s"})
    server.start()
    server.advance(5)
    told = _status(server)
    assert ("virtual.test", _NOW_MS + 5000, True) == (
        told["server_name"],
        told["now_ms"],
        told["enabled"],
    )
    (database,) = told["databases"]
    assert ["work", "another"] == [pending["name"] for pending in database["pending"]]
    assert [True, True] == [pending["known"] for pending in database["pending"]]
    current = database["current"]
    assert ("work", _NOW_MS, len(work.sizes)) == (
        current["name"],
        current["since_ms"],
        current["batches"],
    )
    assert "pace" == current["decision"]["cause"]
    assert current["waited_ms"]["pace"] > 2000
    assert [] == told["problems"]


def test_status_of_a_silent_database(virtual_server: MakeServer) -> None:
    """While no database answers the status comes within seconds, with what is known without."""
    server = virtual_server(databases=("master", "state"))
    queued(server, "work")
    server.load({"sleep": "1s"})
    server.start()
    server.advance(5)
    change_levers(server, "pause", update="other")
    for pool in server.pools.values():
        pool.silent = []
    told = _status(server, 10)
    assert [None, None] == [database["pending"] for database in told["databases"]]
    assert {"no answer within 3 s"} == {v["queue_problem"] for v in told["databases"]}
    assert "work" == told["databases"][0]["current"]["name"]
    assert 1 == len(told["levers"])
    assert ["database", "database", "paused"] == [v["kind"] for v in told["problems"]]


def test_status_while_a_database_falls_silent(virtual_server: MakeServer) -> None:
    """A queue that nobody works on is read twice; the status waits for no answer to that."""
    server = virtual_server()
    server.load({"sleep": 0})
    server.advance(60)
    queued(server, "work")
    question = service_of(server).status()
    server.clock.reactor.callLater(0.5, setattr, server.pools["master"], "silent", [])
    (told,) = stated(server, question, 10)["databases"]
    assert ("no answer within 3 s", 1) == (told["queue_problem"], len(told["pending"]))


def test_status_of_a_broken_database(virtual_server: MakeServer) -> None:
    """Why the queue cannot be read is told in a line; the other database is there."""
    server = virtual_server(databases=("master", "state"))
    server.load({})
    server.advance(5)
    server.pools["state"].broken = sqlite3.OperationalError("disk I/O error\nand more")
    told = _status(server)["databases"]
    assert [("idle", ""), ("waiting", "disk I/O error")] == [
        (database["state"], database["queue_problem"]) for database in told
    ]


def test_switch_and_abort(virtual_server: MakeServer) -> None:
    """Synapse's own switch, and that it gave up, are told, and not after it was started anew."""
    server = virtual_server()
    work = queued(server, "work", 200_000)
    server.load({"sleep": 0})
    work.fail = 5
    server.start().addErrback(lambda _: None)
    server.advance(130)
    assert ("aborted", ["aborted"]) == (
        _status(server)["databases"][0]["state"],
        [problem["kind"] for problem in _status(server)["problems"]],
    )
    server.start()
    server.advance(70)
    assert [] == _status(server)["problems"]
    updates = server.pools["master"].updates
    updates.enabled = False
    server.advance(5)
    told = _status(server)
    assert (False, "disabled") == (told["enabled"], told["databases"][0]["state"])
    updates.enabled = True
    server.start()
    server.advance(600)
    assert 0 == work.left_items
    assert ("idle", []) == (_status(server)["databases"][0]["state"], _status(server)["problems"])


def test_what_the_configuration_hardly_means(virtual_server: MakeServer) -> None:
    """Unknown names, unknown databases and bare numbers are told in the status, after the rest."""
    server = virtual_server()
    queued(server, "work")
    server.load({"rules": [{"update": "wrok", "database": "mastre", "sleep": 1}]})
    server.start()
    server.advance(5)
    at = "rules.<item 0>"
    told = _status(server)["problems"]
    assert [("configuration", None)] * 3 == [(each["kind"], each["database"]) for each in told]
    assert {
        f"{at}.sleep: 1 is 1 ms; write 1s if you mean seconds, otherwise 1ms",
        f"{at}.update: this server knows no update called wrok; did you mean work?",
        f"{at}.database: this server has no database mastre, but master; did you mean master?",
    } == {each["message"] for each in told}
    assert "`bgthrottle check-config` shows the line" in told[0]["advice"]


def test_abort_at_an_update_that_was_deleted(virtual_server: MakeServer) -> None:
    """Synapse is still at it: starting anew aborts again, so a restart is advised, and ends it."""
    server = virtual_server()
    work = queued(server, "work")
    pool = server.pools["master"]
    pool.connection.execute("INSERT INTO background_updates VALUES ('strange', '{}', NULL, -1)")
    server.load({})
    server.start().addErrback(lambda _: None)
    server.advance(5)
    assert ["aborted", "unknown_update"] == [v["kind"] for v in _status(server)["problems"]]
    pool.connection.execute("DELETE FROM background_updates WHERE update_name = 'strange'")
    for _ in range(2):
        (problem,) = _status(server)["problems"]
        assert "still at strange, which is no longer in the queue. Restart" in problem["advice"]
        server.start().addErrback(lambda _: None)
        server.advance(5)
    assert [] == work.starts_s


def test_abort_at_an_update_whose_predecessor_was_queued_again(virtual_server: MakeServer) -> None:
    """Synapse does not take that first, however often it is started: a restart is advised."""
    server = virtual_server()
    work = queued(server, "work")
    work.fail = 10
    server.load({"sleep": 0})
    server.start().addErrback(lambda _: None)
    server.advance(1)
    before = queued(server, "before")
    server.pools["master"].connection.execute(
        "UPDATE background_updates SET depends_on = 'before' WHERE update_name = 'work'"
    )
    server.advance(200)
    (problem,) = _status(server)["problems"]
    assert "aborted" == problem["kind"]
    assert "Restart Synapse" in problem["advice"]
    assert "still at work, which depends on before" in problem["advice"]
    server.start().addErrback(lambda _: None)
    server.advance(200)
    assert [] == before.starts_s


# --- the history ---


def test_history_is_stored_unwritten_and_running(virtual_server: MakeServer) -> None:
    """What ended and was written, what ended and could not be, and what runs: each once."""
    server = virtual_server(databases=("master", "state"))
    queued(server, "first", 300)
    server.load({"sleep": "1s"})
    server.start()
    server.advance(60)
    assert [("first", "done", "master")] == _history(server)
    queued(server, "event_x", 300)
    queued(server, "event_y")
    server.start()
    server.advance(0.5)
    server.pools["master"].connection.execute(
        "CREATE TRIGGER refuse BEFORE INSERT ON bgthrottle_history"
        " BEGIN SELECT RAISE(ABORT, 'refused'); END"
    )
    server.advance(60)
    server.pools["master"].connection.execute("DROP TRIGGER refuse")
    assert [("first",)] == rows(server, "SELECT update_name FROM bgthrottle_history")
    assert [
        ("event_y", "running", "master"),
        ("event_x", "done", "master"),
        ("first", "done", "master"),
    ] == _history(server)
    assert ["event_y", "event_x"] == [v[0] for v in _history(server, update="event_*")]
    assert ["event_y"] == [v[0] for v in _history(server, limit=1)]
    assert [] == _history(server, database="state")
    assert 3 == len(_history(server, database="master"))


@pytest.mark.parametrize("begins_s", [1.0, 1.0015, 1.0025, 1.0035, 1.0065])
def test_running_is_told_once(virtual_server: MakeServer, begins_s: float) -> None:
    """Whenever it began, what was written of a run and what it is now are one entry."""
    server = virtual_server()
    queued(server, "work")
    server.load({"sleep": "1s"})
    server.advance(begins_s)
    server.start()
    server.advance(10)
    assert 1 == len(rows(server, "SELECT * FROM bgthrottle_history"))
    assert 1 == len(_history(server))


@pytest.mark.parametrize("question", ["history", "uses"])
def test_what_is_stored_needs_the_database(virtual_server: MakeServer, question: str) -> None:
    """Where the database does not answer, or refuses, that is said within seconds."""
    server = virtual_server()
    server.load({})
    server.advance(5)
    service = service_of(server)

    def ask() -> Any:
        return service.uses(10) if question == "uses" else service.history(10, None, None)

    server.pools["master"].silent = []
    with pytest.raises(StoreUnavailableError, match="no answer within 3 s"):
        stated(server, ask(), 3)
    server.pools["master"].silent = None
    server.pools["master"].broken = sqlite3.OperationalError("disk I/O error")
    with pytest.raises(StoreUnavailableError, match="disk I/O error"):
        stated(server, ask())


# --- explanations ---


def test_explanation(virtual_server: MakeServer) -> None:
    """What holds an update that waits behind another one, flagged one-shot by Synapse."""
    server = virtual_server()
    queued(server, "work")
    server.pools["master"].queue("an_index", queued(server, "x"), one_shot=True)
    server.load({"sleep": "1s", "rules": [{"one_shot": True, "approval": "required"}]})
    server.advance(0)
    change_levers(server, "pause", update="an_*")
    told = stated(server, service_of(server).explain("an_index", "master", False))
    assert ["paused", "approval"] == [hold["cause"] for hold in told["held_by"]]
    assert (True, "rule 0 (one-shots)") == (told["one_shot"], told["rule"])
    server.pools["master"].updates.enabled = False
    told = stated(server, service_of(server).explain("work", "master", False))
    assert ["disabled"] == [hold["cause"] for hold in told["held_by"]]


def test_explanation_while_the_database_is_silent(virtual_server: MakeServer) -> None:
    """That holds the updates of this database, as long as it does, and no others."""
    server = virtual_server(databases=("master", "state"))
    queued(server, "work")
    server.load({"sleep": "1s"})
    server.start()
    server.advance(5)

    def held_by(database: str) -> list[str]:
        told = stated(server, service_of(server).explain("work", database, False))
        return [hold["reason"] for hold in told["held_by"]]

    pool = server.pools["master"]
    pool.broken = sqlite3.OperationalError("gone")
    server.advance(5)
    assert ["the database does not answer: gone"] == held_by("master")
    assert [] == held_by("state")
    pool.broken = None
    server.advance(10)
    assert [] == held_by("master")


def test_explanation_makes_no_database(virtual_server: MakeServer) -> None:
    """Asking about a database that is not there does not put it into the status."""
    server = virtual_server()
    server.load({})
    server.advance(0)
    assert (
        "nowhere" == stated(server, service_of(server).explain("x", "nowhere", False))["database"]
    )
    assert ["master"] == [database["name"] for database in _status(server)["databases"]]
