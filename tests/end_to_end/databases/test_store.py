"""The module's tables on a real PostgreSQL, for a role with few rights."""

from types import SimpleNamespace
from typing import Any

import psycopg2
import pytest
from twisted.internet.defer import ensureDeferred
from twisted.python.failure import Failure

from synapse_bgthrottle.core.scheduling.failures import is_refusal, is_unusable
from synapse_bgthrottle.homeserver.internals.server import Homeserver
from synapse_bgthrottle.homeserver.storage.store import Store, Stored
from testbed.servers.postgres import PostgresServer
from testbed.strategies.examples import lever
from tests.end_to_end.databases.postgres_world import NAME, Asked, connected


def _answer(question: Any) -> Any:
    answers: list[Any] = []
    ensureDeferred(question).addBoth(answers.append)
    if isinstance(answers[0], Failure):
        answers[0].raiseException()
    return answers[0]


@pytest.fixture(autouse=True)
def _without_tables(plain_postgres: PostgresServer) -> None:
    """Each test makes them."""
    with plain_postgres.session(NAME) as owner:
        owner.execute("DROP TABLE IF EXISTS elsewhere CASCADE")
        for name in ("levers", "uses", "history", "load", "learned"):
            owner.execute(f"DROP TABLE IF EXISTS bgthrottle_{name}")


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


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE bgthrottle_levers DROP COLUMN reason",
        "ALTER TABLE bgthrottle_uses DROP COLUMN reason",
        "ALTER TABLE bgthrottle_load RENAME TO elsewhere;"
        " CREATE VIEW bgthrottle_load AS SELECT DISTINCT * FROM elsewhere",
    ],
)
def test_tables_that_cannot_be_used(plain_postgres: PostgresServer, change: str) -> None:
    """It shows when they are opened, and is no outage to be waited for."""
    with plain_postgres.session(NAME) as owner, connected(plain_postgres) as connection:
        interaction = Asked(connection).run_db_interaction
        api: Any = SimpleNamespace(run_db_interaction=interaction, sleep=None)
        store = Store(Homeserver(api))
        _answer(store.open())
        connection.commit()
        owner.execute(change)
        with pytest.raises(psycopg2.Error) as refused:
            _answer(store.open())
        assert is_refusal(refused.value) or is_unusable(refused.value)
        connection.rollback()


def test_tables_dropped_meanwhile(plain_postgres: PostgresServer) -> None:
    """They are made again, with what is in force."""
    pauses = [lever(lever_id=name, ends_s=4e9) for name in ("a1", "b2")]
    with plain_postgres.session(NAME) as owner, connected(plain_postgres) as connection:
        interaction = Asked(connection).run_db_interaction
        api: Any = SimpleNamespace(run_db_interaction=interaction, sleep=None)
        store = Store(Homeserver(api))
        _answer(store.open())
        _answer(store.change(pauses, [], None))
        owner.execute("DROP TABLE bgthrottle_levers")
        _answer(store.change([], pauses[:1], None))
        assert (pauses[1],) == _answer(store.levers())
        assert "made again" in store.problem


def test_rows_that_nobody_can_have_made(plain_postgres: PostgresServer) -> None:
    """Of very many rows with very long texts a few are read, the newest among them."""
    pause = lever(lever_id="last", created_s=1e9, ends_s=4e9)
    with plain_postgres.session(NAME) as owner, connected(plain_postgres) as connection:
        api: Any = SimpleNamespace(run_db_interaction=Asked(connection).run_db_interaction)
        api.sleep = None
        store = Store(Homeserver(api))
        _answer(store.open())
        _answer(store.change([pause], [], None))
        connection.commit()
        owner.execute(
            "INSERT INTO bgthrottle_levers SELECT n, 'pause', 'x', NULL, '{}',"
            " repeat('y', 2000 * (n % 2) * 50), '@a:b', n, 4000000000000, NULL"
            " FROM generate_series(1, 1000) n"
        )
        stored = _answer(store.open())
    assert pause == stored.levers[-1]
    assert "all but the newest 400 of bgthrottle_levers" in stored.unreadable
    # Half of the others have a reason that is too long.
    assert 1 + 200 == len(stored.levers)
