"""What a batch's error says about the database."""

import sqlite3
import types
from typing import Any

import psycopg2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg2 import errors

from synapse_bgthrottle.core.scheduling.failures import (
    LONGEST_COMPLAINT,
    FailureKind,
    complaint_of,
    kind_of,
)
from synapse_bgthrottle.core.scheduling.holds import BACKOFFS_S


class CodedError(Exception):
    """As a driver that tells a code."""

    def __init__(self, code: Any) -> None:
        super().__init__("x")
        self.sqlstate = code


@pytest.mark.parametrize(
    ("expected", "error"),
    [
        (FailureKind.DISK_FULL, CodedError("53100")),
        (FailureKind.DISK_FULL, sqlite3.OperationalError("database or disk is full")),
        (FailureKind.IO, CodedError("58030")),
        (FailureKind.IO, sqlite3.OperationalError("disk I/O error")),
        (FailureKind.IO, sqlite3.OperationalError("unable to open database file")),
        (FailureKind.DAMAGE, CodedError("XX001")),
        (FailureKind.DAMAGE, CodedError("XX002")),
        (FailureKind.DAMAGE, CodedError("58P01")),
        (FailureKind.DAMAGE, sqlite3.DatabaseError("database disk image is malformed")),
        (FailureKind.DAMAGE, sqlite3.DatabaseError("malformed database schema (x)")),
        (FailureKind.DAMAGE, sqlite3.DatabaseError("file is not a database")),
        (FailureKind.READ_ONLY, CodedError("25006")),
        (
            FailureKind.READ_ONLY,
            sqlite3.OperationalError("attempt to write a readonly database"),
        ),
        (FailureKind.MEMORY, CodedError("53200")),
        (FailureKind.MEMORY, MemoryError()),
        (FailureKind.LOCK, CodedError("55P03")),
        (FailureKind.LOCK, CodedError("55006")),
        (FailureKind.LOCK, sqlite3.OperationalError("database is locked")),
        (FailureKind.LOCK, sqlite3.OperationalError("database table is locked: events")),
        (FailureKind.TIMEOUT, CodedError("57014")),
        (FailureKind.TIMEOUT, CodedError("25P04")),
        (FailureKind.TIMEOUT, sqlite3.OperationalError("interrupted")),
        (FailureKind.CONFLICT, CodedError("40001")),
        (FailureKind.CONFLICT, CodedError("40P01")),
        (FailureKind.CONNECTION, CodedError("57P01")),
        (FailureKind.CONNECTION, CodedError("57P02")),
        (FailureKind.CONNECTION, CodedError("57P03")),
        (FailureKind.CONNECTION, CodedError("53300")),
        (FailureKind.CONNECTION, CodedError("08006")),
        (FailureKind.CONNECTION, psycopg2.OperationalError("server closed the connection")),
        (FailureKind.CONNECTION, psycopg2.InterfaceError("connection already closed")),
        (FailureKind.OTHER, psycopg2.DataError("x")),
        (FailureKind.OTHER, errors.UniqueViolation("x")),
        (FailureKind.OTHER, RuntimeError("database or disk is full")),
        (FailureKind.OTHER, KeyError()),
    ],
    ids=repr,
)
def test_kind(expected: FailureKind, error: BaseException) -> None:
    """By PostgreSQL's code, by the driver's type where there is none, by SQLite's words."""
    assert expected is kind_of(error)


@given(st.none() | st.integers() | st.text() | st.binary())
def test_any_code(code: Any) -> None:
    """Whatever a driver says, it has a kind, and each kind its waits, which never get shorter."""
    waits = BACKOFFS_S[kind_of(CodedError(code))]
    assert sorted(waits) == list(waits)


def test_passing_errors_outwait_ten_minutes() -> None:
    """Between the first try and the fifth, after which Synapse gives up, more than that passes."""
    for kind in (
        FailureKind.LOCK,
        FailureKind.TIMEOUT,
        FailureKind.CONFLICT,
        FailureKind.CONNECTION,
    ):
        assert kind.is_passing
        assert sum(BACKOFFS_S[kind]) > 600
    assert not FailureKind.OTHER.is_passing


class ToldError(Exception):
    """As psycopg2 tells what PostgreSQL says."""

    def __init__(self, text: str, detail: object) -> None:
        super().__init__(text)
        self.diag = types.SimpleNamespace(message_detail=detail)


class WordlessError(Exception):
    """As a class of an update's own may be."""

    def __str__(self) -> str:
        raise ValueError("it has no words")


@pytest.mark.parametrize(
    ("expected", "error"),
    [
        ("WordlessError", WordlessError()),
        ("gone", RuntimeError("gone\nand more")),
        ("RuntimeError", RuntimeError("")),
        ("RuntimeError", RuntimeError("\0")),
        ("bad byte", RuntimeError("bad\0 byte")),
        ("deadlock (A waits; B waits)", ToldError("deadlock\nDETAIL:  A", "A waits;\nB  waits")),
        ("deadlock", ToldError("deadlock\nHINT:  look", None)),
        ("no entry (all slots taken)", RuntimeError("no entry\nDETAIL:  all slots taken\nHINT: x")),
    ],
)
def test_complaint(expected: str, error: Exception) -> None:
    """An error is a line, with PostgreSQL's DETAIL where there is one."""
    assert expected == complaint_of(error)


@given(st.text(), st.none() | st.text() | st.integers())
def test_any_complaint(text: str, detail: object) -> None:
    """Whatever a database says, it becomes a line that is bounded and not empty."""
    complaint = complaint_of(ToldError(text, detail))
    assert 0 < len(complaint) <= LONGEST_COMPLAINT
    assert not set("\n\0") & set(complaint)
