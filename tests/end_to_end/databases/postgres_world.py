"""A real PostgreSQL with other sessions, queried as by a server, but without a server."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import attrs
import psycopg2
from synapse.storage.engines import PostgresEngine
from twisted.internet.defer import ensureDeferred

from synapse_bgthrottle.core.signals.samples import DatabaseSample
from synapse_bgthrottle.homeserver.internals.database import Database
from synapse_bgthrottle.homeserver.sampling.database_sampler import DatabaseSampler
from testbed.servers.postgres import PostgresServer
from testbed.waiting import HANG_S, wait_until

NAME = "signals"
TABLE = "event_json"


class Engine(PostgresEngine):
    """Synapse's, of which only the parameters' style is used."""

    def __init__(self) -> None:
        pass


Engine.__name__ = "PostgresEngine"


class Transaction:
    """A cursor as Synapse hands it to an interaction."""

    def __init__(self, cursor: Any) -> None:
        self.database_engine = Engine()
        self.txn = cursor
        self.fetchone = cursor.fetchone
        self.fetchall = cursor.fetchall

    def execute(self, sql: str, parameters: tuple[Any, ...] = ()) -> None:
        self.txn.execute(self.database_engine.convert_param_style(sql), parameters)


class Asked:
    """A database that is asked over one connection of its own."""

    def __init__(self, connection: Any, *others_of_ours: Any) -> None:
        self.connection = connection
        connections = dict(enumerate((connection, *others_of_ours)))
        pool = SimpleNamespace(_db_pool=SimpleNamespace(connections=connections))
        self.later_s = 0.0  # than by the clock
        database = Database(self, NAME, pool)  # type: ignore[arg-type]
        self._question = DatabaseSampler(database, lambda: self.later_s + time.monotonic())

    async def run_db_interaction(self, _: str, function: Callable[..., Any], *args: Any) -> Any:
        try:
            return function(Transaction(self.connection.cursor()), *args)
        finally:
            self.connection.commit()

    def sample(
        self, batch_age_s: float | None = None, update_name: str = "event_resign"
    ) -> DatabaseSample:
        """One look, and another one where a busy machine takes too long for it."""
        answers: list[DatabaseSample] = []

        def is_in_time() -> bool:
            answers.append(self.sample_once(batch_age_s, update_name))
            return "statement timeout" not in answers[-1].problem

        wait_until(is_in_time)
        return answers[-1]

    def sample_once(
        self, batch_age_s: float | None = None, update_name: str = "event_resign"
    ) -> DatabaseSample:
        answers: list[DatabaseSample] = []
        asked = self._question.ask(update_name, lambda: batch_age_s)
        ensureDeferred(asked).addCallback(answers.append)
        return answers[0]

    def ask(self, function: Callable[..., Any], *args: Any) -> Any:
        answers: list[Any] = []
        ensureDeferred(self.run_db_interaction("", function, *args)).addCallback(answers.append)
        return answers[0]


@contextmanager
def made(folder: Path) -> Iterator[PostgresServer]:
    """A cluster with a table to work on, and a role without privileges."""
    with PostgresServer(folder) as postgres:
        postgres.create_database(NAME)
        with postgres.session(NAME) as cursor:
            cursor.execute("CREATE ROLE stranger LOGIN")
            cursor.execute(
                f"CREATE TABLE {TABLE} AS"
                " SELECT key, 'text' AS value FROM generate_series(1, 20000) AS key"
            )
            cursor.execute(f"GRANT ALL ON {TABLE} TO stranger")
        yield postgres


@contextmanager
def connected(postgres: PostgresServer, **arguments: Any) -> Iterator[Any]:
    connection = psycopg2.connect(**{**postgres.connection(NAME), **arguments})
    connection.set_session(isolation_level="REPEATABLE READ")
    try:
        yield connection
    finally:
        connection.close()


def hang(postgres: PostgresServer, how: signal.Signals) -> None:
    """Stop all processes of the cluster, or let them go on."""
    first = postgres.process.pid
    children = Path(f"/proc/{first}/task/{first}/children").read_text().split()
    for pid in (first, *map(int, children)):
        with suppress(ProcessLookupError):  # it has just ended
            os.kill(pid, how)


@attrs.define
class Others:
    """Sessions of others, each in a transaction."""

    postgres: PostgresServer
    stack: ExitStack

    def session(self, **arguments: Any) -> Any:
        return self.stack.enter_context(connected(self.postgres, **arguments)).cursor()

    def in_thread(self, *statements: str) -> None:
        """Execute them, for as long as it takes, in a session and a thread of its own."""
        cursor = self.session()
        cursor.connection.autocommit = True

        def execute() -> None:
            with suppress(psycopg2.Error):  # it is cancelled at the end of the test
                for statement in statements:
                    cursor.execute(statement)

        thread = threading.Thread(target=execute, daemon=True)
        thread.start()
        self.stack.callback(thread.join, HANG_S)
        self.stack.callback(cursor.connection.cancel)
