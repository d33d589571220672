"""Index builds that the sampler reads from a real PostgreSQL: whose, and their progress."""

import time

import pytest

from testbed.servers.postgres import PostgresServer
from testbed.waiting import wait_until
from tests.end_to_end.databases.postgres_world import NAME, TABLE, Asked, Others


def test_an_index_build(asked: Asked, others: Others, plain_postgres: PostgresServer) -> None:
    """Its phase is told, and its share where the phase has one."""
    make_slow(plain_postgres)
    others.in_thread(f"CREATE INDEX ON {TABLE} (slow(key))")
    # In its first block PostgreSQL tells that it has done all.
    wait_until(lambda: 0 < ((asked.sample().index_build or ("", None))[1] or 0) < 1)
    phase, _ = asked.sample().index_build or ("", None)
    assert "building index: scanning table" == phase


def make_slow(postgres: PostgresServer) -> None:
    """A function that takes its time, for an index to be built on."""
    with postgres.session(NAME) as cursor:
        cursor.execute(
            "CREATE OR REPLACE FUNCTION slow(key int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS"
            " 'BEGIN PERFORM pg_sleep(0.001); RETURN key; END'"
        )


def test_index_builds_of_others(
    asked: Asked, others: Others, plain_postgres: PostgresServer
) -> None:
    """Where the update's tables are known, only one on them; else rather one of the batch's."""
    make_slow(plain_postgres)
    with plain_postgres.session(NAME) as cursor:
        cursor.execute("CREATE TABLE theirs (key int)")
    others.session().execute("LOCK TABLE theirs IN ROW EXCLUSIVE MODE")
    others.in_thread("CREATE INDEX CONCURRENTLY ON theirs (key)")
    waiting, ours = "waiting for writers before build", "building index: scanning table"

    def phase(batch_age_s: float | None, update_name: str) -> str:
        return (asked.sample(batch_age_s, update_name).index_build or ("",))[0]

    wait_until(lambda: phase(None, "unknown") == waiting)
    assert "" == phase(None, "event_resign")
    time.sleep(0.3)
    began_s = time.monotonic()
    others.in_thread(f"CREATE INDEX ON {TABLE} (slow(key))")
    wait_until(lambda: phase(None, "event_resign") == ours)
    assert ours == phase(time.monotonic() - began_s, "unknown")


@pytest.mark.parametrize(
    "made",
    [
        # As `CREATE TABLE` with a key does.
        "CREATE TABLE just_made AS SELECT generate_series(1, 20000) AS key",
        "CREATE TABLE bgthrottle_made AS SELECT generate_series(1, 20000) AS key; COMMIT",
    ],
    ids=["just made", "made before"],
)
def test_index_builds_of_the_module(
    asked: Asked, others: Others, plain_postgres: PostgresServer, made: str
) -> None:
    """Those on its own tables, as at the start, are no index build of an update."""
    make_slow(plain_postgres)
    others.in_thread(f"{made}; CREATE INDEX ON {made.split()[2]} (slow(key))")
    with plain_postgres.session(NAME) as cursor:

        def is_seen() -> bool:
            cursor.execute("SELECT count(*) FROM pg_stat_progress_create_index WHERE relid > 0")
            return bool(cursor.fetchone()[0])

        wait_until(is_seen)
        assert asked.sample(None, "unknown").index_build is None
        assert is_seen()
