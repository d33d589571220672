"""The lives of `make soak`: without an injected error, and with one at some of the calls."""

import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from twisted.internet.defer import ensureDeferred
from twisted.python.failure import Failure

from synapse_bgthrottle.core.scheduling.failures import FailureKind, kind_of
from testbed.virtual import one_life
from testbed.virtual.outages import Full, Gone, Outage, Refusing, Silent
from testbed.virtual.postgres_like import make_postgres_like
from testbed.virtual.server import VirtualServer
from testbed.virtual.virtual_life import KINDS, Kind
from testbed.waiting import HANG_S


@pytest.mark.parametrize("number", range(len(KINDS)))
def test_life_without_an_error(number: int) -> None:
    """All is done, no more iterations fail than outages begin, and there is no traceback."""
    lived = one_life.run(KINDS[number], None, 0, None)
    assert ([], 0) == (lived.wrong, lived.tracebacks)


def test_what_a_life_finds_wrong() -> None:
    """An abort, and the work that it leaves."""
    lived = one_life.run(Kind({}, failures=5), None, 0, None)
    (aborted,) = lived.failed
    assert "aborting" in aborted
    assert ["left: ['event_resign', 'built', 'more']"] == lived.held
    assert [aborted, *lived.held] == lived.wrong


def test_what_comes_too_late() -> None:
    """Later than at stock's pace; in lives with outages also than what a second failure costs."""
    kind = Kind({"sleep": "4s"})
    took_s = one_life.run(kind, None, 0, None).done_s
    assert [] == one_life.run(kind, None, 0, took_s - 11).held
    (late,) = one_life.run(kind, None, 0, took_s - 13).held
    assert late.startswith("done after ")
    assert 60 == Kind({}, outages=(Gone(0, 1),)).latest_s - kind.latest_s


@pytest.mark.parametrize(("errors", "expected"), [(0, 4), (1, 5), (10**9, 6)])
def test_failures_amid_outages(errors: int, expected: int) -> None:
    """Each outage may fail a batch, and another one where an error hides it from the module."""
    kind = Kind({}, failures=2, outages=(Gone(1, 2), Refusing(3, 4)))
    assert (expected, 1) == (kind.most_failed(errors), kind.from_s)


def written(server: VirtualServer) -> list[Any]:
    """What becomes of a row that is written; nothing where there is no answer."""

    def write(txn: Any) -> str:
        txn.execute("INSERT INTO background_updates (update_name) VALUES ('x')")
        return "written"

    answers: list[Any] = []
    ensureDeferred(server.pools["master"].runInteraction("write", write)).addBoth(answers.append)
    return answers


@pytest.mark.parametrize(
    ("outage", "is_postgres", "expected", "kind"),
    [
        (Gone(0, 1), False, sqlite3.OperationalError, FailureKind.IO),
        (Gone(0, 1), True, psycopg2.OperationalError, FailureKind.CONNECTION),
        (Refusing(0, 1), False, sqlite3.OperationalError, FailureKind.LOCK),
        (Full(0, 1), False, sqlite3.OperationalError, FailureKind.DISK_FULL),
        (Full(0, 1), True, psycopg2.OperationalError, FailureKind.DISK_FULL),
    ],
)
def test_outage(
    outage: Outage, is_postgres: bool, expected: type[Exception], kind: FailureKind
) -> None:
    """From its beginning to its end, what is written raises what the driver does."""
    server = VirtualServer()
    pool = server.pools["master"]
    if is_postgres:
        make_postgres_like(pool)
    outage.begin(pool)
    (failure,) = written(server)
    assert isinstance(failure, Failure)
    assert isinstance(failure.value, expected)
    assert kind is kind_of(failure.value)
    outage.end(pool)
    assert ["written"] == written(server)


def test_silence() -> None:
    """What is asked amid it is answered at its end."""
    server = VirtualServer()
    outage = Silent(0, 1)
    outage.begin(server.pools["master"])
    answers = written(server)
    assert [] == answers
    outage.end(server.pools["master"])
    assert ["written"] == answers


def test_some_calls(tmp_path: Path) -> None:
    """Each a life of its own: all work is done, and no iteration fails."""
    command = [sys.executable, "-m", "soak.injection.inject", "--sample", "25", "--seed", "7"]
    command += ["--output", str(tmp_path / "injection")]
    hang_s = 3 * HANG_S  # so many lives take four minutes on a busy machine
    ended = subprocess.run(command, capture_output=True, text=True, timeout=hang_s, check=False)
    assert 0 == ended.returncode, ended.stdout + ended.stderr[-2000:]
    assert '"runs": 25, "bad": 0' in ended.stdout
