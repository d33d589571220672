"""The queries to PostgreSQL for each sample: they take a few ms and wait for no lock.

One statement has all parts. A server that is not plain PostgreSQL, or a pooler, may refuse some
parts with any error. Each part is complete in itself, so that it can be left out.
"""

from collections.abc import Sequence

import attrs

LONGEST_STATEMENT_MS = 250

# Sent separately: before PostgreSQL 13 a time limit did not apply to statements sent with it.
LIMIT_TIME = (
    f"SET LOCAL statement_timeout = {LONGEST_STATEMENT_MS};"
    f" SET LOCAL lock_timeout = {LONGEST_STATEMENT_MS}"
)
# A refused statement would end the transaction; the savepoint prevents that.
MAY_BE_REFUSED = "SAVEPOINT bgthrottle_sample"
WAS_REFUSED = "ROLLBACK TO SAVEPOINT bgthrottle_sample"


@attrs.frozen
class Part:
    """One column of the answer."""

    name: str
    sql: str  # its expression
    use: str  # the signal that needs it, or a description of another use
    needs_sessions: bool = False  # whether it reads `sessions`


_ASKED = """
WITH asked AS (
    SELECT (SELECT oid FROM pg_database WHERE datname = current_database()) AS database,
        CAST(? AS float8) * interval '1 second' AS batch_age,
        ARRAY(SELECT CAST(to_regclass(name) AS oid)
            FROM unnest(CAST(? AS text[])) AS name) AS tables
)"""

# Calls the functions behind the views, because to plan the views' joins takes 2 ms. Without the
# privilege, little more than the user of another role's session is visible. PostgreSQL's own
# processes, such as an autovacuum, have no user.
_SESSIONS = """, sessions AS (
    SELECT pid, usesysid, state, xact_start, query_start, wait_event_type,
        backend_type IS NULL AS is_hidden
    FROM asked, pg_stat_get_activity(NULL)
    WHERE datid = database AND pid <> pg_backend_pid() AND (backend_type = 'client backend'
        OR backend_type IS NULL AND usesysid IS NOT NULL)
)"""

_TRANSACTIONS = "pg_stat_get_db_xact_commit(database) + pg_stat_get_db_xact_rollback(database)"
_ACTIVE = "(SELECT count(*) FROM sessions WHERE state = 'active')"
_OLDEST = """
    (SELECT coalesce(extract(epoch FROM max(clock_timestamp() - xact_start)), 0) FROM sessions)"""
_HIDES = "(SELECT coalesce(bool_or(is_hidden), FALSE) FROM sessions)"

# Start of a session's wait. Known since PostgreSQL 14; before, the column is missing.
_WAITS_SINCE = """
            (SELECT min(CAST(to_jsonb(locks) ->> 'waitstart' AS timestamptz))
             FROM pg_lock_status() AS locks WHERE locks.pid = waiting.pid AND NOT granted)"""

# `pg_blocking_pids` takes a lock that the whole server needs. So it is called only for waiting
# sessions, and only during a batch. If the start of the wait is unknown, the statement's counts.
_BLOCKED = f"""
    (SELECT count(DISTINCT waiting.pid)
     FROM sessions AS waiting, LATERAL unnest(pg_blocking_pids(waiting.pid)) AS blocking (pid)
        JOIN sessions AS blocker USING (pid)
     WHERE waiting.wait_event_type = 'Lock' AND batch_age IS NOT NULL
        AND blocker.xact_start >= clock_timestamp() - batch_age
        AND clock_timestamp() - interval '100 ms' > coalesce({_WAITS_SINCE},
            waiting.query_start))"""

# Which of the tables is being vacuumed. Without the privilege the row has no table.
_VACUUM = """
    (SELECT coalesce(
        min(CAST(CAST(relid AS regclass) AS text)) FILTER (WHERE relid = ANY (tables)),
        CASE WHEN bool_or(relid IS NULL) THEN NULL ELSE '' END)
     FROM pg_stat_get_progress_info('VACUUM') WHERE datid = database)"""

# Without the privilege a row has no state. A replica that has caught up has no lag, and nobody
# waits for one in its first copy. The lag is as of the replica's last reply, and a replica replies
# at once to log that arrives. So the position of each replica that owes a reply is read, too. A
# receiver that does not replay the log, or only a part (logical slot), may reply only every 10 s.
_LAG = """
    (SELECT CASE WHEN pg_is_in_recovery() THEN NULL WHEN count(*) = 0 THEN 0
        WHEN bool_or(state IS NULL) THEN NULL
        ELSE extract(epoch FROM max(
            CASE WHEN state = 'streaming' THEN coalesce(replay_lag, interval '0')
            ELSE replay_lag END)) END
     FROM pg_stat_get_wal_senders() WHERE state IS DISTINCT FROM 'backup')"""
_OWING = """
    ARRAY(SELECT concat(pid, ' ', write_lsn) FROM pg_stat_get_wal_senders()
        WHERE state <> 'backup' AND sent_lsn > write_lsn AND replay_lsn IS NOT NULL
            AND pid NOT IN (SELECT active_pid FROM pg_get_replication_slots()
                WHERE slot_type = 'logical' AND active_pid IS NOT NULL))"""
_LOG = """
    CASE WHEN NOT pg_is_in_recovery() THEN pg_current_wal_lsn() - CAST('0/0' AS pg_lsn) END"""
_KEPT_LOG = """
    CASE WHEN NOT pg_is_in_recovery() THEN coalesce(
        (SELECT max(pg_current_wal_lsn() - restart_lsn) FROM pg_get_replication_slots()), 0) END"""

# Tuples are counted in one phase only, so zero may belong to another phase. The subquery avoids
# that the view's long expressions are computed for each use. Other index builds may run: the
# update's is on one of its tables; if none is known, one that began with the batch comes first. The
# module's own tables do not count.
_INDEX_BUILD = """
    (SELECT ARRAY[phase, CAST(CASE
        WHEN left(phase, 7) = 'waiting' THEN NULL
        WHEN blocks_total > 0 THEN CAST(blocks_done AS float8) / blocks_total
        WHEN tuples_done > 0 AND tuples_total > 0 THEN CAST(tuples_done AS float8) / tuples_total
        END AS text)]
     FROM (SELECT * FROM pg_stat_progress_create_index
        WHERE datid = database AND relid IS NOT NULL
            AND (cardinality(tables) = 0 OR relid = ANY (tables))
            AND EXISTS (SELECT FROM pg_class WHERE pg_class.oid = relid
                AND left(relname, 10) <> 'bgthrottle')
        ORDER BY pid IN (SELECT pid FROM sessions
            WHERE usesysid = (SELECT usesysid FROM pg_stat_get_activity(pg_backend_pid()))
                AND query_start >= clock_timestamp() - batch_age - interval '100 ms') DESC
        LIMIT 1) AS build)"""

# In the order of the columns. PostgreSQL has the progress of index builds since version 12.
PARTS = (
    Part("transactions", _TRANSACTIONS, "how busy clients are"),
    Part("active", _ACTIVE, "foreground_backends", needs_sessions=True),
    Part("oldest_s", _OLDEST, "longest_transaction", needs_sessions=True),
    Part("blocked", _BLOCKED, "blocked_sessions", needs_sessions=True),
    Part("hides", _HIDES, "whether sessions are hidden", needs_sessions=True),
    Part("vacuum", _VACUUM, "autovacuum"),
    Part("lag_s", _LAG, "replica_lag"),
    Part("owing", _OWING, "replica_lag"),
    Part("log_bytes", _LOG, "wal_rate"),
    Part("kept_bytes", _KEPT_LOG, "retained_wal"),
    Part("build", _INDEX_BUILD, "the progress of index builds", needs_sessions=True),
)


def statement(parts: Sequence[Part]) -> str:
    """The statement for these parts. Parameters: age of the batch in s or NULL; its tables."""
    sessions = _SESSIONS if any(part.needs_sessions for part in parts) else ""
    columns = ", ".join(f"{part.sql} AS {part.name}" for part in parts)
    return f"{_ASKED}{sessions} SELECT {columns} FROM asked"


# The batch is in one of this process's transactions that began after it, or in none. So it waits if
# all of them do. Transactions younger than a second do not count: most belong to requests, or to
# our queries of a locked queue, which end after 250 ms. The batch's first transaction begins with
# the batch, whose age was measured a moment ago. If the start of the wait is unknown, at most the
# time since the last sample counts.
LOCK_WAIT = f"""
SELECT CASE WHEN bool_and(coalesce(wait_event_type = 'Lock', FALSE))
    THEN extract(epoch FROM max(clock_timestamp() - coalesce({_WAITS_SINCE},
        greatest(query_start, clock_timestamp() - interval '1 s')))) ELSE 0 END
FROM pg_stat_get_activity(NULL) AS waiting
WHERE pid = ANY (CAST(? AS int[])) AND pid <> pg_backend_pid()
    AND xact_start >= clock_timestamp() - interval '100 ms'
        - CAST(? AS float8) * interval '1 second'
    AND (wait_event_type = 'Lock' OR xact_start < clock_timestamp() - interval '1 s')
"""
