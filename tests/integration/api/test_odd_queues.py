"""Queues that Synapse never makes: rows with unusual types, and very many rows."""

import sys
from collections import Counter
from collections.abc import Callable
from typing import Any
from unittest.mock import AsyncMock

import pytest

from synapse_bgthrottle.core.levers.request import NothingMatchesError, TooManyLeversError
from synapse_bgthrottle.core.tracking.queue import LONGEST_PROGRESS, QueueRow
from synapse_bgthrottle.homeserver.internals.database import Database
from testbed.virtual.server import VirtualServer
from tests.integration.virtual_module import change_levers, queued, service_of, stated

MakeServer = Callable[..., VirtualServer]

_INSERT = (
    "INSERT INTO background_updates (update_name, progress_json, depends_on, ordering)"
    " VALUES (?, ?, ?, ?)"
)


def _insert(server: VirtualServer, *rows: tuple[Any, ...]) -> None:
    server.pools["master"].connection.executemany(_INSERT, rows)


def _database(server: VirtualServer) -> Any:
    return stated(server, service_of(server).status())["databases"][0]


@pytest.mark.parametrize(
    ("shown", "row"),
    [
        ("odd", ("odd", "{}", None, "last")),
        ("odd", ("odd", "{}", None, b"last")),
        ("odd", ("odd", "{}", None, 1.5)),
        ("odd", ("odd", None, None, 9)),
        ("odd", ("odd", b"{}", None, 9)),
        ("odd", ("odd", 7, None, 9)),
        ("odd", ("odd", "[" * 60_000, None, 9)),
        ("odd", ("odd", f'{{"a": "{"x" * 100_000}"}}', None, 9)),
        ("odd", ("odd", "{}", b"work", 9)),
        ("odd", ("odd", "{}", 7, 9)),
        ("b'odd'", (b"odd", "{}", None, 9)),
        ("None", (None, "{}", None, 9)),
        (r"o\x1b[31mdd\nWARNING", ("o\x1b[31mdd\nWARNING", "{}", None, 9)),
        ("o" * 200, ("o" * 9999, "{}", None, 9)),
    ],
)
def test_odd_row(
    virtual_server: MakeServer, caplog: pytest.LogCaptureFixture, shown: str, row: tuple[Any, ...]
) -> None:
    """It is listed, escaped, as one that the server does not know; everything else works."""
    server = virtual_server()
    work = queued(server, "work")
    _insert(server, row)
    server.load({"sleep": "1s"})
    server.start()
    server.advance(5)
    pending = _database(server)["pending"]
    assert [("work", True), (shown, False)] == [(each["name"], each["known"]) for each in pending]
    assert 1 == len(change_levers(server, "release", update="work")["made"])
    with pytest.raises(NothingMatchesError):
        change_levers(server, "pause", update="unknown")
    with pytest.raises(NothingMatchesError):
        change_levers(server, "release", update=shown.replace("[", "[[]"))
    assert shown == stated(server, service_of(server).explain(shown, "master", False))["update"]
    assert 1 == len(change_levers(server, "pause")["made"])
    assert work.sizes
    assert [] == server.failures
    assert not [line for line in caplog.messages if "\n" in line or "\x1b" in line]


def test_odd_ordering_comes_last(virtual_server: MakeServer) -> None:
    """As SQLite sorts: nothing before numbers, texts after them."""
    server = virtual_server()
    _insert(
        server, ("text", "{}", None, "1"), ("number", "{}", None, 7), ("none", "{}", None, None)
    )
    _insert(server, ("word", "{}", None, "x"))
    server.load({})
    server.advance(1)
    assert ["none", "text", "number", "word"] == [
        each["name"] for each in _database(server)["pending"]
    ]


def test_very_many_rows(virtual_server: MakeServer, caplog: pytest.LogCaptureFixture) -> None:
    """The first 500 are listed, all are counted, and no line names them all."""
    server = virtual_server()
    queued(server, "work")
    names = [f"invented_{number:05}" for number in range(20_000)]
    _insert(server, *((name, '{"at": 1}', None, 9) for name in names))
    server.load({"sleep": "1s"})
    server.start()
    server.advance(5)
    told = stated(server, service_of(server).status())
    (database,) = told["databases"]
    assert 20_001 == database["pending_count"]
    assert ["work", *names[:499]] == [each["name"] for each in database["pending"]]
    assert 2000 > max(len(problem["message"]) for problem in told["problems"])
    assert 2000 > max(map(len, caplog.messages))


def test_progress_that_is_too_long_is_not_fetched(virtual_server: MakeServer) -> None:
    """A look, which comes every few seconds, fetches some KiB of a progress of 10 MB."""
    server = virtual_server()
    queued(server, "work")
    _insert(server, ("odd", f'{{"a": "{"x" * 10_000_000}"}}', None, 9))
    longest: list[int] = []

    def measure(_: object, row: Any) -> Any:
        longest.append(max(len(str(value)) for value in row))
        return row

    server.pools["master"].connection.row_factory = measure
    server.load({})
    server.advance(1)
    assert ["work", "odd"] == [each["name"] for each in _database(server)["pending"]]
    assert LONGEST_PROGRESS + 1 == max(longest) < 5000


def test_work_for_a_status_of_very_many(
    virtual_server: MakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row that is not listed costs a few steps: 20,000 of them are a moment of the event loop.

    Steps are lines of Python that run; rows are read in a thread of the database, and not counted.
    """
    server = virtual_server()
    queued(server, "work")
    server.load({"sleep": "1s"})
    server.start()
    server.advance(5)
    steps = {}
    for count in (1000, 21_000):
        rows = tuple(QueueRow(f"invented_{n:05}", '{"at": 1}', None, 9) for n in range(count))
        monkeypatch.setattr(Database, "queue", AsyncMock(return_value=(QueueRow("work"), *rows)))
        service, lines = service_of(server), Counter[str]()

        def trace(frame: Any, event: str, _: Any, lines: Counter[str] = lines) -> Any:
            lines[event] += 1
            return trace

        sys.settrace(trace)
        try:
            stated(server, service.status())
        finally:
            sys.settrace(None)
        steps[count] = lines["line"]
    assert (steps[21_000] - steps[1000]) / 20_000 < 6
    assert steps[21_000] < 250_000  # of which each takes a tenth of a microsecond or two


def test_release_of_very_many(virtual_server: MakeServer) -> None:
    """It is refused before any is made."""
    server = virtual_server()
    for number in range(101):
        queued(server, f"work_{number:03}")
    server.load({"sleep": "1s", "approval": "required"})
    server.start()
    server.advance(5)
    with pytest.raises(TooManyLeversError, match="more than 100 releases"):
        change_levers(server, "release", update="work_*")
    assert 100 == len(change_levers(server, "release", update="work_0*")["made"])
    with pytest.raises(TooManyLeversError, match="This would add 1,"):
        change_levers(server, "release", update="work_100")
