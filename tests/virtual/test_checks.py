"""The checks of the disk and of the operator, on a virtual server."""

import errno
import sqlite3
from collections.abc import Callable
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import pytest
from synapse.api.errors import HttpResponseException
from twisted.internet.defer import Deferred

from harness.versions import is_at_least
from harness.virtual import VirtualServer
from synapse_bgthrottle.homeserver import Homeserver
from synapse_bgthrottle.signal_settings import SignalSettings
from synapse_bgthrottle.signals.samples import CheckSample
from tests.virtual.test_sampler import sampled

MakeServer = Callable[..., VirtualServer]


def checked(server: VirtualServer, seconds: float = 0.0, **settings: str) -> list[CheckSample]:
    """What the checks told in this time, but `disk_free` unless it is asked for."""
    subject = sampled(server, SignalSettings(**settings))  # type: ignore[arg-type]
    subject.sampler.begin("master", "an_update")
    server.advance(seconds)
    assert [] == subject.errors
    assert [] == server.failures
    return [sample for sample in subject.of(CheckSample) if sample.name != "disk_free"]


def value_and_problem(samples: list[CheckSample]) -> tuple[float | None, str]:
    (sample,) = samples
    return sample.value, sample.problem


def disk_samples(server: VirtualServer, **settings: str) -> list[CheckSample]:
    subject = sampled(server, SignalSettings(**settings))  # type: ignore[arg-type]
    subject.sampler.begin("master", "an_update")
    server.advance(0)
    return subject.of(CheckSample)


def test_disk_of_sqlite(virtual_server: MakeServer, tmp_path: Path) -> None:
    """The folder of SQLite's file is known to SQLite."""
    server = virtual_server()
    server.pools["master"].use_file(tmp_path / "queue.db")
    (sample,) = disk_samples(server)
    assert "disk_free" == sample.name
    assert sample.value is not None
    assert sample.value > 0


def test_disk_of_nothing_known(virtual_server: MakeServer) -> None:
    """Where the path is neither configured nor known, nothing is told."""
    assert [] == disk_samples(virtual_server())


def test_disk_of_a_database_that_is_gone(virtual_server: MakeServer, tmp_path: Path) -> None:
    """Where the database cannot be asked, the folder is unknown until it can."""
    server = virtual_server()
    pool = server.pools["master"]
    pool.use_file(tmp_path / "queue.db")
    pool.broken = sqlite3.OperationalError("gone")
    subject = sampled(server)
    subject.sampler.begin("master", "an_update")
    server.advance(5)
    assert [] == subject.of(CheckSample)
    pool.broken = None
    server.advance(5)
    assert 1 == len(subject.of(CheckSample))


def test_disk_beside_a_database_that_is_silent(virtual_server: MakeServer, tmp_path: Path) -> None:
    """It is given up after two seconds, and the disks of the others are looked at."""
    server = virtual_server(databases=("state", "master"))
    server.pools["master"].use_file(tmp_path / "queue.db")
    server.pools["state"].silent = []
    subject = sampled(server, SignalSettings())
    subject.sampler.begin("master", "an_update")
    server.advance(3)
    (sample,) = subject.of(CheckSample)
    assert "disk_free" == sample.name
    assert sample.value is not None


def test_disk_of_a_path_that_is_not_there(virtual_server: MakeServer, tmp_path: Path) -> None:
    """A configured path that cannot be looked at is a problem."""
    (sample,) = disk_samples(virtual_server(), disk_path=str(tmp_path / "nowhere"))
    assert sample.value is None
    assert "No such file" in sample.problem


def test_pause_file(virtual_server: MakeServer, tmp_path: Path) -> None:
    """It is there, or it is not."""
    path = tmp_path / "pause"
    assert (0, "") == value_and_problem(checked(virtual_server(), pause_file=str(path)))
    path.touch()
    samples = checked(virtual_server(), pause_file=str(path))
    assert (1, "") == value_and_problem(samples)
    assert str(path) == samples[0].about
    assert (0, "") == value_and_problem(checked(virtual_server(), pause_file=str(path / "below")))


def test_a_pause_file_that_cannot_be_looked_at(virtual_server: MakeServer) -> None:
    """It is taken for present."""
    refusal = PermissionError(errno.EACCES, "Permission denied", "/p")
    with patch("synapse_bgthrottle.checks.os.stat", side_effect=refusal):
        value, problem = value_and_problem(checked(virtual_server(), pause_file="/p"))
    assert 1 == value
    assert "Permission denied" in problem


def test_every_ten_seconds(virtual_server: MakeServer) -> None:
    """A check is made when updates begin, and then every ten seconds."""
    assert 4 == len(checked(virtual_server(), 30, pause_file="/nowhere"))


def test_a_disk_that_hangs(virtual_server: MakeServer) -> None:
    """A look that does not end is not repeated, and told as a problem every ten seconds."""
    server = virtual_server()
    server.hanging = []
    samples = checked(server, 25, pause_file="/nfs/pause")
    assert ["no answer for 10 s", "no answer for 20 s"] == [sample.problem for sample in samples]
    assert {None} == {sample.value for sample in samples}
    assert 1 == len(server.hanging)


@pytest.mark.parametrize(("status", "value"), [(200, 0), (204, 0), (404, 1), (503, 1)])
def test_http(virtual_server: MakeServer, status: int, value: float) -> None:
    """Any answer but one of 200 to 299 holds."""

    async def get_raw(url: str) -> bytes:
        assert "http://checks.test/" == url
        if status >= 300:
            raise HttpResponseException(status, "a reason", b"")
        return b""

    server = virtual_server()
    server.api.http_client = SimpleNamespace(get_raw=get_raw)
    (sample,) = checked(server, http_url="http://checks.test/")
    assert (value, "") == (sample.value, sample.problem)
    assert (f"answers {status}" if value else "") == sample.about


def test_http_without_an_answer(virtual_server: MakeServer) -> None:
    """After 2 s the request is cancelled: a problem, whatever the client makes of that."""
    cancelled = []

    async def get_raw(_: str) -> bytes:
        try:
            await Deferred()
        except Exception as error:
            cancelled.append(error)
            raise IndexError("tuple index out of range") from error  # as some versions do
        return b""

    server = virtual_server()
    server.api.http_client = SimpleNamespace(get_raw=get_raw)
    samples = checked(server, 2, http_url="http://checks.test/")
    assert (None, "no answer within 2 s") == value_and_problem(samples)
    assert 1 == len(cancelled)


def test_http_refused(virtual_server: MakeServer) -> None:
    """A connection that is refused is a problem, in its own words."""

    async def get_raw(_: str) -> bytes:
        raise ConnectionError("Connection was refused by other side")

    server = virtual_server()
    server.api.http_client = SimpleNamespace(get_raw=get_raw)
    samples = checked(server, http_url="http://checks.test/")
    assert (None, "Connection was refused by other side") == value_and_problem(samples)


@pytest.mark.parametrize(
    ("query", "value", "problem"),
    [
        ("SELECT 2.5, 3", 2.5, ""),
        ("SELECT COUNT(*) FROM background_updates", 0, ""),
        ("SELECT 1 WHERE '?' LIKE '%'", 1, ""),
        ("SELECT NULL", None, "the query answers nothing"),
        ("SELECT 1 WHERE 1 = 0", None, "the query answers nothing"),
        ("SELECT 'many'", None, "could not convert string to float: 'many'"),
        ("SELECT 1 FROM nowhere", None, "no such table: nowhere"),
    ],
)
def test_sql(virtual_server: MakeServer, query: str, value: float | None, problem: str) -> None:
    """The first value of the first row; anything else is a problem."""
    assert (value, problem) == value_and_problem(checked(virtual_server(), sql_query=query))


@pytest.mark.parametrize(
    "query", ["DELETE FROM background_updates RETURNING 1", "CREATE TABLE mine (key INT)"]
)
def test_sql_may_not_write(virtual_server: MakeServer, query: str) -> None:
    """On SQLite neither; the server itself writes afterwards as before."""
    server = virtual_server()
    pool = server.pools["master"]
    pool.queue("an_update", nothing)  # type: ignore[arg-type]
    assert (None, "attempt to write a readonly database") == value_and_problem(
        checked(server, sql_query=query)
    )
    with pool.connection:
        assert [(1,)] == pool.connection.execute(
            "DELETE FROM background_updates RETURNING 1"
        ).fetchall()


def test_sql_that_takes_long(virtual_server: MakeServer) -> None:
    """On SQLite it is ended too, and nothing that comes after it is."""
    server = virtual_server()
    counted = "WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n)"
    ticks = count(step=0.01)  # a clock that goes on by itself, unlike the server's
    with patch.object(server.clock, "monotonic", side_effect=ticks.__next__):
        samples = checked(server, sql_query=f"{counted} SELECT max(x) FROM n")
    assert (None, "no answer within 250 ms") == value_and_problem(samples)
    samples = checked(server, sql_query=f"{counted} SELECT x FROM n LIMIT 1 OFFSET 99999")
    assert (100_000, "") == value_and_problem(samples)
    server.advance(1)
    connection = server.pools["master"].connection
    connection.execute("CREATE TABLE theirs (key INT)")
    theirs = connection.execute(f"{counted} SELECT x FROM n LIMIT 1 OFFSET 99999")
    assert (100_000,) == theirs.fetchone()


def test_sql_that_took_long(virtual_server: MakeServer) -> None:
    """On SQLite an answer that could not be prevented from coming late is none."""
    with patch("synapse_bgthrottle.checks.LONGEST_STATEMENT_MS", -1):
        samples = checked(virtual_server(), sql_query="SELECT 1")
    assert (None, "no answer within 250 ms") == value_and_problem(samples)


def test_sql_without_a_database(virtual_server: MakeServer) -> None:
    """A database that is gone is a problem, too."""
    server = virtual_server()
    server.pools["master"].broken = sqlite3.OperationalError("gone")
    assert (None, "gone") == value_and_problem(checked(server, sql_query="SELECT 1"))


def nothing(*_: Any) -> None:
    """An update's function."""


def test_tables_of_updates(virtual_server: MakeServer) -> None:
    """Those of index builds and validations are read from Synapse's handlers, others listed."""
    server = virtual_server()
    updates = server.pools["master"].updates
    updates.register_background_index_update("an_index", "name_of_index", "a_table", ["column"])
    if is_at_least(1, 90):  # before there are none of these
        updates.register_background_validate_constraint("a_check", "constraint", "another_table")
    updates.register_background_update_handler("unknown", nothing)  # type: ignore[arg-type]
    database = Homeserver(server.api).database("master")
    names = ("an_index", "a_check", "unknown", "not_there", "event_resign")
    constraint = {"another_table"} if is_at_least(1, 90) else None
    assert [{"a_table"}, constraint, None, None, {"event_json"}] == [
        database.tables_of(name) for name in names
    ]
