"""Outages of a database in virtual time."""

import sqlite3
from typing import Any

import attrs
import psycopg2

from testbed.virtual.pool import VirtualPool
from testbed.virtual.postgres_like import is_postgres_like


class DiskFullError(psycopg2.OperationalError):
    """An error as from PostgreSQL; the driver's own class only gets a code from the server."""

    pgcode = "53100"


@attrs.frozen
class Outage:
    """Start and end of an outage, in seconds since the start."""

    from_s: int
    until_s: int

    def begin(self, pool: VirtualPool) -> None:
        """The outage begins."""
        raise NotImplementedError

    def end(self, pool: VirtualPool) -> None:
        """The outage ends."""
        raise NotImplementedError


class Silent(Outage):
    """It gives no answer until the end."""

    def begin(self, pool: VirtualPool) -> None:
        pool.silent = []

    def end(self, pool: VirtualPool) -> None:
        questions, pool.silent = pool.silent or [], None
        for question in questions:
            if not question.called:
                question.callback(None)


class Gone(Outage):
    """There is no connection: each use of it raises at once."""

    def begin(self, pool: VirtualPool) -> None:
        if is_postgres_like(pool):
            pool.broken = psycopg2.OperationalError("connection refused")
        else:
            pool.broken = sqlite3.OperationalError("unable to open database file")

    def end(self, pool: VirtualPool) -> None:
        pool.broken = None


class Refusing(Outage):
    """Connections exist, but each statement raises."""

    def begin(self, pool: VirtualPool) -> None:
        pool.transaction_execute = _refuse

    def end(self, pool: VirtualPool) -> None:
        pool.transaction_execute = None


class Full(Outage):
    """Its disk is full: batches fail, and so does the probe for space."""

    def begin(self, pool: VirtualPool) -> None:
        if is_postgres_like(pool):
            pool.full = DiskFullError("could not extend file: No space left on device")
        else:
            pool.full = sqlite3.OperationalError("database or disk is full")

    def end(self, pool: VirtualPool) -> None:
        pool.full = None


def _refuse(*_: Any) -> Any:
    raise sqlite3.OperationalError("database is locked")
