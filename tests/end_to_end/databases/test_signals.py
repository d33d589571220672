"""The signals from a real PostgreSQL: sessions, locks, work on tables, replicas."""

import signal
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from testbed.servers.postgres import PostgresServer
from testbed.waiting import wait_until
from tests.end_to_end.databases.postgres_world import NAME, TABLE, Asked, Others, connected, hang


def test_nobody_there(asked: Asked) -> None:
    """On a quiet server all is known, and is nothing."""
    sample = asked.sample()
    assert "" == sample.problem
    assert (0, 0, 0, 0) == (
        sample.foreground_backends,
        sample.blocked_sessions,
        sample.replica_lag_s,
        sample.retained_wal_bytes,
    )
    assert (False, 0, None) == (
        sample.autovacuum,
        sample.longest_transaction_s,
        sample.index_build,
    )
    assert sample.wal_bytes is not None
    assert sample.wal_bytes > 1e6
    assert sample.transactions is not None
    assert sample.query_s is not None
    assert 0 < sample.query_s


def test_sessions_at_work(asked: Asked, others: Others) -> None:
    """Active sessions are counted, but our batch's; the oldest transaction has an age."""
    began_s = time.monotonic()
    others.session().execute("SELECT 1")  # idle in its transaction
    others.in_thread("SELECT pg_sleep(3600)")
    others.in_thread("SELECT pg_sleep(3600)")
    wait_until(lambda: asked.sample().foreground_backends == 2)
    assert 1 == asked.sample(batch_age_s=1.0).foreground_backends
    oldest_s = asked.sample().longest_transaction_s
    assert oldest_s is not None
    assert 0 < oldest_s < time.monotonic() - began_s


def test_sessions_of_other_roles(others: Others) -> None:
    """Without the privilege they are known to be there; those of one's own role are seen."""
    stranger = Asked(others.session(user="stranger").connection)
    others.session(user="stranger").execute("SELECT 1")
    wait_until(lambda: not stranger.sample().hides_sessions)  # those before us have gone
    assert (stranger.sample().longest_transaction_s or 0) > 0
    asked = Asked(others.session().connection)
    assert stranger.sample().hides_sessions
    assert not asked.sample().hides_sessions


def test_an_autovacuum_is_no_session(others: Others, plain_postgres: PostgresServer) -> None:
    """What PostgreSQL does by itself hides nothing from a role without privileges."""
    stranger = Asked(others.session(user="stranger").connection)
    with plain_postgres.session(NAME) as cursor:
        cursor.execute("CREATE TABLE worn AS SELECT generate_series(1, 50000) AS key")
        cursor.execute(
            "ALTER TABLE worn SET (autovacuum_vacuum_threshold = 1,"
            " autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_cost_delay = 100,"
            " autovacuum_vacuum_cost_limit = 1)"
        )
        cursor.execute("DELETE FROM worn WHERE key % 2 = 0")
        cursor.execute("ALTER SYSTEM SET autovacuum_naptime = 1")
        cursor.execute("SELECT pg_reload_conf()")
    stranger.sample()

    def at_work() -> bool:
        with plain_postgres.session("postgres") as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE datname = %s AND backend_type = 'autovacuum worker'",
                (NAME,),
            )
            return bool(cursor.fetchone()[0])

    try:
        wait_until(at_work)
        assert not stranger.sample().hides_sessions
        assert at_work()
    finally:  # what it writes would be lag of the replica of another test
        with plain_postgres.session(NAME) as cursor:
            cursor.execute("DROP TABLE worn")
            cursor.execute("ALTER SYSTEM RESET autovacuum_naptime")
            cursor.execute("SELECT pg_reload_conf()")


def test_a_session_that_waits_for_us(asked: Asked, others: Others) -> None:
    """It counts after 100 ms, while a batch runs, if what it waits for began since."""
    ours = others.session()
    began_s = time.monotonic()
    ours.execute(f"UPDATE {TABLE} SET value = 'ours' WHERE key = 1")
    others.in_thread(f"UPDATE {TABLE} SET value = 'theirs' WHERE key = 1")
    waits_s = time.monotonic()
    early = asked.sample(batch_age_s=60)
    if time.monotonic() < waits_s + 0.1:  # on a busy machine it may have taken longer
        assert 0 == early.blocked_sessions
    wait_until(lambda: asked.sample(batch_age_s=60).blocked_sessions == 1)
    assert 0 == asked.sample(batch_age_s=None).blocked_sessions
    assert 0 == asked.sample(batch_age_s=(time.monotonic() - began_s) / 2).blocked_sessions
    ours.connection.rollback()
    wait_until(lambda: asked.sample(batch_age_s=60).blocked_sessions == 0)


def test_a_batch_that_waits(asked: Asked, others: Others, plain_postgres: PostgresServer) -> None:
    """It does if all transactions of this process do that began since, and for so long."""
    theirs = others.session()
    theirs.execute(f"LOCK TABLE {TABLE}")
    with connected(plain_postgres) as connection, connected(plain_postgres) as second:
        ours = Asked(asked.connection, connection, second)
        assert (0, None) == (ours.sample(batch_age_s=60).lock_wait_s, ours.sample().lock_wait_s)
        begin_s = time.monotonic()
        thread = threading.Thread(
            target=connection.cursor().execute, args=(f"UPDATE {TABLE} SET value = 'ours'",)
        )
        thread.start()
        try:
            wait_until(lambda: (ours.sample(batch_age_s=60).lock_wait_s or 0) >= 1)
            waits_s = ours.sample(batch_age_s=60).lock_wait_s
            assert waits_s is not None
            assert waits_s <= time.monotonic() - begin_s
            assert 0 == ours.sample(batch_age_s=0.5).lock_wait_s  # it began before such a batch
            assert 0 == asked.sample(batch_age_s=60).lock_wait_s  # it is somebody else's
            other = second.cursor()
            asked_s = time.monotonic()
            other.execute("SELECT 1")  # a request, or the batch
            for after_s in (0, 0.6):  # as long as one of our own looks may take on a busy machine
                time.sleep(after_s)
                waits_s = ours.sample(batch_age_s=60).lock_wait_s
                if time.monotonic() < asked_s + 1:  # or else it took longer than any request
                    assert waits_s
            wait_until(lambda: ours.sample(batch_age_s=60).lock_wait_s == 0)
        finally:
            theirs.connection.rollback()
            thread.join()
        assert 0 == ours.sample(batch_age_s=60).lock_wait_s


def test_a_vacuum(asked: Asked, others: Others, plain_postgres: PostgresServer) -> None:
    """On the update's table it is seen; which table it is on, not without privileges."""
    others.in_thread(
        "SET vacuum_cost_delay = 100",
        "SET vacuum_cost_limit = 1",
        "SET vacuum_cost_page_hit = 10000",  # so that each page takes as long as one may
        f"VACUUM (DISABLE_PAGE_SKIPPING) {TABLE}",
    )
    wait_until(lambda: asked.sample().autovacuum)
    assert TABLE == asked.sample().vacuumed_table
    with connected(plain_postgres, user="stranger") as connection:
        assert Asked(connection).sample().autovacuum is None


def test_a_slot_that_keeps_the_log(asked: Asked, plain_postgres: PostgresServer) -> None:
    """What a slot keeps is counted, and grows with the log."""
    with plain_postgres.session(NAME) as cursor:
        cursor.execute("SELECT pg_create_physical_replication_slot('behind', true)")
        try:
            cursor.execute("SELECT pg_logical_emit_message(false, 'test', repeat('x', 1000000))")
            sample = asked.sample()
        finally:
            cursor.execute("SELECT pg_drop_replication_slot('behind')")
    assert sample.retained_wal_bytes is not None
    assert sample.retained_wal_bytes > 1e6


def test_a_replica(asked: Asked, plain_postgres: PostgresServer, tmp_path: Path) -> None:
    """Lag of replay is seen on the primary, not on the replica, and not without privileges."""
    with (
        PostgresServer(tmp_path / "replica", primary=plain_postgres) as replica,
        ExitStack() as stack,
    ):
        there = stack.enter_context(replica.session(NAME))
        stranger = Asked(stack.enter_context(connected(plain_postgres, user="stranger")))
        wait_until(lambda: asked.sample().replica_lag_s == 0)
        there.execute("ALTER SYSTEM SET wal_receiver_status_interval = 1")
        there.execute("SELECT pg_reload_conf(), pg_wal_replay_pause()")
        with plain_postgres.session(NAME) as cursor:
            cursor.execute(f"UPDATE {TABLE} SET value = 'again' WHERE key = 1")
        wait_until(lambda: (asked.sample().replica_lag_s or 0) > 0.5)
        assert stranger.sample().replica_lag_s is None
        on_replica = Asked(stack.enter_context(connected(replica))).sample()
        assert ("", None, None, None) == (
            on_replica.problem,
            on_replica.replica_lag_s,
            on_replica.wal_bytes,
            on_replica.retained_wal_bytes,
        )
        there.execute("SELECT pg_wal_replay_resume()")
        wait_until(lambda: asked.sample().replica_lag_s == 0)
        hang(replica, signal.SIGSTOP)  # which PostgreSQL goes on to call connected, without lag
        try:
            with plain_postgres.session(NAME) as cursor:
                cursor.execute(f"UPDATE {TABLE} SET value = 'hangs' WHERE key = 1")
            wait_until(lambda: (asked.sample().replica_lag_s or 0) > 1.5)
            assert stranger.sample().replica_lag_s is None
        finally:
            hang(replica, signal.SIGCONT)
        wait_until(lambda: asked.sample().replica_lag_s == 0)


@pytest.mark.alone  # on a busy machine it does not keep up
def test_a_replica_that_keeps_up(
    asked: Asked, plain_postgres: PostgresServer, others: Others, tmp_path: Path
) -> None:
    """It has no lag of a second however much is written, nor when it rarely says how far it is."""
    settings = {"wal_receiver_status_interval": "0"}
    with PostgresServer(tmp_path / "replica", settings, primary=plain_postgres):
        wait_until(lambda: asked.sample().replica_lag_s == 0)
        statement = f"UPDATE {TABLE} SET value = 'written' WHERE key % 100 = 0"
        others.in_thread(*[statement] * 20_000)
        behind_s = []

        def was_long_enough() -> bool:
            behind_s.append(asked.sample().replica_lag_s or 0.0)
            # It was looked at while something was on its way.
            return time.monotonic() > until_s and max(behind_s) > 0

        until_s = time.monotonic() + 4
        wait_until(was_long_enough)
        assert max(behind_s) < 2
