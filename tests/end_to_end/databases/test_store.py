"""The tables of ours on a real PostgreSQL, asked by a role that may little."""

from types import SimpleNamespace
from typing import Any

import psycopg2
import pytest
from twisted.internet.defer import ensureDeferred
from twisted.python.failure import Failure

from synapse_bgthrottle.core.scheduling.failures import is_refusal
from synapse_bgthrottle.homeserver.internals.server import Homeserver
from synapse_bgthrottle.homeserver.storage.store import Store, Stored
from testbed.servers.postgres import PostgresServer
from testbed.strategies.examples import lever
from tests.end_to_end.databases.asked_postgres import NAME, Asked, connected


def _answer(question: Any) -> Any:
    answers: list[Any] = []
    ensureDeferred(question).addBoth(answers.append)
    if isinstance(answers[0], Failure):
        answers[0].raiseException()
    return answers[0]


def test_role_that_may_no_longer_make_tables(plain_postgres: PostgresServer) -> None:
    """What was paused is read where the tables are there, and refused only where one is not."""
    pause = lever(ends_s=4e9)
    with (
        plain_postgres.session(NAME) as owner,
        connected(plain_postgres, user="stranger") as connection,
    ):
        interaction = Asked(connection).run_db_interaction
        api: Any = SimpleNamespace(run_db_interaction=interaction, sleep=None)
        store = Store(Homeserver(api))
        owner.execute("GRANT CREATE ON SCHEMA public TO stranger")
        assert Stored((), (), ()) == _answer(store.open())
        _answer(store.change([pause], [], None))
        owner.execute("REVOKE CREATE ON SCHEMA public FROM stranger, PUBLIC")
        assert (pause,) == _answer(store.open()).levers
        owner.execute("DROP TABLE bgthrottle_load")
        with pytest.raises(psycopg2.ProgrammingError, match="permission denied") as refused:
            _answer(store.open())
        assert is_refusal(refused.value)
