"""What the error of a batch tells of the database."""

import sqlite3
from typing import Any

import psycopg2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg2 import errors

from synapse_bgthrottle.core.scheduling.failures import FailureKind, kind_of
from synapse_bgthrottle.core.scheduling.holds import BACKOFFS_S


class CodedError(Exception):
    """As a driver that tells a code."""

    def __init__(self, code: Any) -> None:
        super().__init__("x")
        self.sqlstate = code


@pytest.mark.parametrize(
    ("expected", "error"),
    [
        (FailureKind.ROOM, CodedError("53100")),
        (FailureKind.ROOM, CodedError("58030")),
        (FailureKind.ROOM, sqlite3.OperationalError("database or disk is full")),
        (FailureKind.ROOM, sqlite3.OperationalError("disk I/O error")),
        (FailureKind.CONNECTION, CodedError("57P01")),
        (FailureKind.CONNECTION, CodedError("08006")),
        (FailureKind.CONNECTION, psycopg2.OperationalError("server closed the connection")),
        (FailureKind.CONNECTION, psycopg2.InterfaceError("connection already closed")),
        (FailureKind.OTHER, psycopg2.DataError("x")),
        (FailureKind.OTHER, CodedError("57014")),
        (FailureKind.OTHER, CodedError("25006")),
        (FailureKind.OTHER, errors.UniqueViolation("x")),
        (FailureKind.OTHER, sqlite3.OperationalError("database is locked")),
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
