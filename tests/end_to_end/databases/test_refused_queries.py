"""A database that refuses parts of a sample, as PostgreSQL-compatible ones do."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from synapse_bgthrottle.homeserver.sampling import database_queries, database_sampler
from testbed.servers import pgbouncer
from testbed.servers.matrix import MatrixClient
from testbed.servers.pgbouncer import PgBouncer
from testbed.servers.postgres import PostgresServer
from testbed.servers.server import SynapseServer
from testbed.waiting import wait_until
from tests.end_to_end.databases.postgres_world import NAME, Asked, connected

_NEEDS = pytest.mark.skipif(
    not pgbouncer.is_installed(), reason="NOT TESTED: PgBouncer is not installed (apt: pgbouncer)"
)
_PATH = "-c search_path=odd,pg_catalog,public"
_RETURNS = {
    "pg_current_wal_lsn()": "pg_lsn",
    "pg_stat_get_db_xact_commit(oid)": "bigint",
    "pg_stat_get_wal_senders()": "SETOF pg_stat_replication",
    "pg_get_replication_slots()": "SETOF pg_replication_slots",
    "pg_stat_get_activity(int)": "SETOF pg_stat_activity",
    "pg_stat_get_progress_info(text)": "SETOF pg_stat_progress_vacuum",
}
_OF_SESSIONS = {
    "foreground_backends",
    "longest_transaction",
    "blocked_sessions",
    "whether sessions are hidden",
}


def _odd(cursor: Any, codes: Mapping[str, str]) -> None:
    """From now on these functions fail with these errors."""
    cursor.execute("DROP SCHEMA IF EXISTS odd CASCADE; CREATE SCHEMA odd")
    for function, code in codes.items():
        cursor.execute(
            f"CREATE FUNCTION odd.{function} RETURNS {_RETURNS[function]} LANGUAGE plpgsql AS"
            f" $$ BEGIN RAISE 'not on this cloud' USING ERRCODE = '{code}'; END $$"
        )


@contextmanager
def _asked(postgres: PostgresServer, code: str, *functions: str) -> Iterator[Asked]:
    with postgres.session(NAME) as cursor:
        _odd(cursor, dict.fromkeys(functions, code))
    with connected(postgres, options=_PATH) as connection:
        yield Asked(connection)


def _errors(postgres: PostgresServer) -> int:
    return postgres.log().count("ERROR:")


@pytest.mark.parametrize("code", ["55000", "XX000", "P0001", "42501", "0A000", "22023"])
@pytest.mark.parametrize(
    ("function", "refused"),
    [
        ("pg_current_wal_lsn()", {"wal_rate"}),
        ("pg_stat_get_db_xact_commit(oid)", {"how busy clients are"}),
        ("pg_stat_get_wal_senders()", {"replica_lag"}),
        ("pg_get_replication_slots()", {"retained_wal"}),
        ("pg_stat_get_activity(int)", _OF_SESSIONS),
        ("pg_stat_get_progress_info(text)", {"autovacuum"}),
    ],
)
def test_what_is_refused_is_left_out(
    plain_postgres: PostgresServer, code: str, function: str, refused: set[str]
) -> None:
    """With whatever error, at the first look; the rest is read, and nothing more is logged."""
    complaint = f"not on this cloud (SQLSTATE {code})"
    with _asked(plain_postgres, code, function) as asked:
        sample = asked.sample(batch_age_s=0.1)
        assert ("", dict.fromkeys(refused, complaint)) == (sample.problem, sample.refused)
        errors = _errors(plain_postgres)
        for _ in range(20):
            sample = asked.sample(batch_age_s=0.1)
        assert ("", dict.fromkeys(refused, complaint)) == (sample.problem, sample.refused)
        assert errors == _errors(plain_postgres)
    read = {
        "foreground_backends": sample.foreground_backends,
        "longest_transaction": sample.longest_transaction_s,
        "blocked_sessions": sample.blocked_sessions,
        "how busy clients are": sample.transactions,
        "replica_lag": sample.replica_lag_s,
        "retained_wal": sample.retained_wal_bytes,
        "wal_rate": sample.wal_bytes,
        "autovacuum": sample.autovacuum,
    }
    unread = {name for name, value in read.items() if value is None}
    assert unread == (refused & read.keys())
    assert sample.hides_sessions == ("whether sessions are hidden" in refused)


def test_several_are_refused(plain_postgres: PostgresServer) -> None:
    """All at one look."""
    functions = ("pg_current_wal_lsn()", "pg_stat_get_activity(int)")
    with _asked(plain_postgres, "XX000", *functions) as asked:
        assert {"wal_rate", *_OF_SESSIONS} == asked.sample(0.1).refused.keys()


def test_all_is_refused(plain_postgres: PostgresServer) -> None:
    """The database is still asked whether it answers, without a line in its log."""
    with _asked(plain_postgres, "P0001", *_RETURNS) as asked:
        assert "" == asked.sample().problem
        errors = _errors(plain_postgres)
        sample = asked.sample()
        assert ("", True) == (sample.problem, sample.query_s is not None)
        assert errors == _errors(plain_postgres)


def test_what_was_refused_is_tried_again(plain_postgres: PostgresServer) -> None:
    """After an hour, by itself; what is no longer refused is read from then on."""
    with _asked(plain_postgres, "55000", "pg_current_wal_lsn()") as asked:
        assert {"wal_rate"} == asked.sample().refused.keys()
        errors = _errors(plain_postgres)
        asked.later_s = database_sampler.TRY_AGAIN_S
        assert {"wal_rate"} == asked.sample().refused.keys()
        asked.sample()
        assert errors + 1 == _errors(plain_postgres)
        with plain_postgres.session(NAME) as cursor:
            cursor.execute("DROP FUNCTION odd.pg_current_wal_lsn()")
        asked.later_s = 2 * database_sampler.TRY_AGAIN_S
        sample = asked.sample()
        assert ({}, True) == (sample.refused, sample.wal_bytes is not None)
        sample = asked.sample()
        assert ({}, True) == (sample.refused, sample.wal_bytes is not None)


def test_only_all_together_is_refused(plain_postgres: PostgresServer) -> None:
    """Then each part is asked for by itself, and all together again after ten minutes."""
    refusing = database_queries.statement(database_queries.PARTS)
    real = database_queries.statement

    def statement(parts: Any) -> str:
        asked_for = real(parts)
        return "SELECT CAST('a' AS int)" if asked_for == refusing else asked_for

    with (
        patch.object(database_sampler, "statement", statement),
        _asked(plain_postgres, "55000") as asked,
    ):
        sample = asked.sample()
        errors = _errors(plain_postgres)
        for _ in range(5):
            sample = asked.sample()
        assert ("", {}, 0) == (sample.problem, sample.refused, sample.replica_lag_s)
        assert errors == _errors(plain_postgres)
        asked.later_s = database_sampler.TOGETHER_AGAIN_S
        asked.sample()
        assert errors + 1 == _errors(plain_postgres)


def test_limits_that_are_refused(plain_postgres: PostgresServer) -> None:
    """Without a time limit nothing is asked but whether it answers."""
    with (
        patch.object(database_sampler, "LIMIT_TIME", "SET LOCAL nothing_known = 1"),
        _asked(plain_postgres, "55000") as asked,
    ):
        assert "nothing_known" in asked.sample().problem
        errors = _errors(plain_postgres)
        sample = asked.sample()
        assert ("", True) == (sample.problem, "wal_rate" in sample.refused)
        assert errors == _errors(plain_postgres)


def test_what_is_of_the_moment_is_no_refusal(plain_postgres: PostgresServer) -> None:
    """A statement that takes too long is a problem of that look alone."""
    with _asked(plain_postgres, "57014", "pg_current_wal_lsn()") as asked:
        assert "not on this cloud" == asked.sample().problem
        with plain_postgres.session(NAME) as cursor:
            cursor.execute("DROP FUNCTION odd.pg_current_wal_lsn()")
        sample = asked.sample()
        assert ("", {}, True) == (sample.problem, sample.refused, sample.wal_bytes is not None)


def test_the_lock_that_a_batch_waits_for(plain_postgres: PostgresServer) -> None:
    """Where that question is refused, it is not asked at each look."""
    function = "pg_stat_get_activity(int)"
    with (
        patch.object(database_sampler, "LOCK_WAIT", "SELECT 1 FROM pg_stat_get_activity(?), a(?)"),
        _asked(plain_postgres, "XX000", function) as asked,
    ):
        asked.sample(batch_age_s=2.0)
        errors = _errors(plain_postgres)
        sample = asked.sample(batch_age_s=2.0)
        assert "whether a batch waits for a lock" in sample.refused
        assert ("", None) == (sample.problem, sample.lock_wait_s)
        assert errors == _errors(plain_postgres)


# As in the example of docs/signals.md.
_OF_A_CLOUD = {
    "pg_current_wal_lsn()": ("55000", "wal_rate"),
    "pg_stat_get_wal_senders()": ("XX000", "replica_lag"),
    "pg_stat_get_progress_info(text)": ("P0001", "autovacuum"),
}


@pytest.mark.parametrize("is_pooled", [False, pytest.param(True, marks=_NEEDS)])
def test_in_a_server(
    postgres: PostgresServer, name: str, tmp_path: Path, *, is_pooled: bool
) -> None:
    """Each is told once in its log, and in its status as long as it lasts; through a pooler too.

    What is only a default is left out. What is configured holds updates.
    """
    with postgres.session(name) as cursor:
        _odd(cursor, {function: code for function, (code, _) in _OF_A_CLOUD.items()})
        cursor.execute(f'ALTER DATABASE "{name}" SET search_path = odd, pg_catalog, public')
    pooler = PgBouncer(tmp_path / "pooler", postgres)
    config = {"sleep": "1h", "signals": {"wal_rate": "1GiB/s", "retained_wal": "1TiB"}}
    way: Any = pooler if is_pooled else postgres
    arguments = {**way.connection(name), "cp_min": 1, "cp_max": 5}
    extra = {"database": {"name": "psycopg2", "args": arguments}}
    errors = _errors(postgres)
    server = SynapseServer(tmp_path / "server", config, extra)
    with pooler if is_pooled else nullcontext(), server:
        wait_until(lambda: server.log().count("refuses to show") == len(_OF_A_CLOUD))
        admin = MatrixClient.register(server.url, "admin", admin=True)

        def told() -> Any:
            status = admin.call("GET", "/_synapse/bgthrottle/v1/status")
            return {signal["name"]: signal for signal in status["databases"][0]["signals"]}

        wait_until(lambda: (told()["database_query"]["age_s"] or 9) < 3)
        signals = told()
    problems = {name: signal["problem"] for name, signal in signals.items()}
    refused = {
        signal: f"refused by the database: not on this cloud (SQLSTATE {code})"
        for code, signal in _OF_A_CLOUD.values()
    }
    assert refused == {name: problems[name] for name in refused}
    assert {""} == {problems[read] for read in ("retained_wal", "database_query")}
    assert ["wal_rate"] == [name for name, signal in signals.items() if signal["is_closed"]]
    for code, signal in _OF_A_CLOUD.values():
        line = f"refuses to show {signal}: not on this cloud (SQLSTATE {code})"
        assert 1 == server.log().count(line)
    # At the first look all together, then each part by itself, of which replica_lag has two.
    assert errors + 5 == _errors(postgres)
