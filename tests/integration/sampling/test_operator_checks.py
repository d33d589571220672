"""The disk check and the administrator's checks on a virtual server."""

import errno
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from twisted.internet.defer import CancelledError, Deferred

from synapse_bgthrottle.core.config.signal_settings import SignalSettings
from synapse_bgthrottle.core.signals.samples import CheckSample, DatabaseSample
from synapse_bgthrottle.homeserver.internals.server import Homeserver
from synapse_bgthrottle.homeserver.sampling.http_check import HttpCheck
from testbed.servers.versions import is_at_least
from testbed.virtual.server import VirtualServer
from testbed.waiting import HANG_S
from tests.integration.sampling.test_sampler import sampled

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
    with patch(
        "synapse_bgthrottle.homeserver.sampling.operator_checks.os.stat", side_effect=refusal
    ):
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


def test_a_disk_that_hangs_keeps_no_thread_of_twisted(virtual_server: MakeServer) -> None:
    """Each look ends in time, and all wait for the one call; a hung one would stop a shutdown."""
    server, checks = virtual_server(), "synapse_bgthrottle.homeserver.sampling.operator_checks"
    answers, calls = threading.Event(), []

    def hang(path: str) -> None:
        calls.append(path)
        answers.wait(HANG_S)

    with patch(f"{checks}._LONGEST_LOOK_S", 0.05), patch(f"{checks}.os.stat", hang):
        samples = checked(server, 15, pause_file="/nfs/p")
        assert [(None, "no answer within 0.05 s")] * 2 == [(v.value, v.problem) for v in samples]
        assert ["/nfs/p"] == calls
        answers.set()


def test_all_checks_hang(virtual_server: MakeServer) -> None:
    """Each keeps one thread, is told every ten seconds, and keeps no other sample from coming."""
    server = virtual_server()
    server.hanging = []
    settings = SignalSettings(
        disk_path="/nfs", pause_file="/nfs/p", http_url="http://a.test/", sql_query="SELECT 1"
    )
    subject = sampled(server, settings)
    subject.sampler.begin("master", "an_update")
    server.advance(25)
    problems = {(sample.name, sample.problem) for sample in subject.of(CheckSample)}
    names = ("disk_free", "pause_file", "http", "sql")
    assert {(name, f"no answer for {s} s") for name in names for s in (10, 20)} == problems
    assert 4 == len(server.hanging)
    assert 25 <= len(subject.of(DatabaseSample))
    assert [] == subject.errors


def test_a_check_that_is_cancelled(virtual_server: MakeServer) -> None:
    """It is no answer, and is made again in its turn."""
    server = virtual_server()
    hanging: list[Deferred[None]] = []
    server.hanging = hanging
    subject = sampled(server, SignalSettings(pause_file="/nowhere"))
    subject.sampler.begin("master", "an_update")
    server.advance(1)
    server.hanging = None
    hanging[0].cancel()
    server.advance(8)
    assert [] == subject.of(CheckSample)
    server.advance(2)
    assert [("pause_file", 0.0)] == [(v.name, v.value) for v in subject.of(CheckSample)]
    assert [CancelledError] == [failure.type for failure in server.failures]
    assert [] == subject.errors


@pytest.mark.parametrize(
    ("status", "value", "about"),
    [
        (200, 0, ""),
        (204, 0, ""),
        (302, 1, "answers 302 (redirects are not followed)"),
        (404, 1, "answers 404"),
        (503, 1, "answers 503"),
    ],
)
def test_http(virtual_server: MakeServer, status: int, value: float, about: str) -> None:
    """Any answer but one of 200 to 299 holds."""
    with patch.object(HttpCheck, "status", return_value=status):
        (sample,) = checked(virtual_server(), http_url="http://checks.test/")
    assert (value, "", about) == (sample.value, sample.problem, sample.about)


def test_http_without_an_answer(virtual_server: MakeServer) -> None:
    """Whatever keeps it from answering is a problem, in its own words."""
    refused = ConnectionError("Connection refused")
    with patch.object(HttpCheck, "status", side_effect=refused):
        samples = checked(virtual_server(), http_url="http://checks.test/")
    assert (None, "Connection refused") == value_and_problem(samples)


def test_http_that_waits_for_a_name_server(virtual_server: MakeServer) -> None:
    """It is not asked again before it has ended, and told as a problem every ten seconds."""
    server = virtual_server()
    server.hanging = []
    samples = checked(server, 25, http_url="http://checks.test/")
    assert ["no answer for 10 s", "no answer for 20 s"] == [sample.problem for sample in samples]
    assert 1 == len(server.hanging)


def test_sql(virtual_server: MakeServer, tmp_path: Path) -> None:
    """The first value of the query is the signal's."""
    server = virtual_server()
    server.pools["master"].use_file(tmp_path / "homeserver.db")
    query = "SELECT COUNT(*) + 2.5 FROM background_updates"
    assert (2.5, "") == value_and_problem(checked(server, sql_query=query))


def test_sql_is_asked_beside_the_pool(virtual_server: MakeServer, tmp_path: Path) -> None:
    """Whatever the pool's connections do: they are not used."""
    server = virtual_server()
    server.pools["master"].use_file(tmp_path / "homeserver.db")
    server.pools["master"].broken = sqlite3.OperationalError("gone")
    assert (1, "") == value_and_problem(checked(server, sql_query="SELECT 1"))


def test_sql_of_an_unknown_database(virtual_server: MakeServer) -> None:
    """Where Synapse does not tell how it connects, it is a problem."""
    server = virtual_server()
    del server.pools["master"]._db_pool.connkw
    samples = checked(server, sql_query="SELECT 1")
    problem = "it is not known how this Synapse connects to its database"
    assert (None, problem) == value_and_problem(samples)


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
