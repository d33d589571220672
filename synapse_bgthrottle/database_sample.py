"""One look at a database: a short transaction that ends by itself.

What other roles do is visible only with `pg_monitor`, or `pg_read_all_stats`. Without, what is told
of sessions is of the visible ones, and that there are others; the rest reads as None.
"""

from collections.abc import Callable, Sequence
from typing import Any

import attrs

from synapse_bgthrottle.database import Database, complaint_of, engine_of
from synapse_bgthrottle.signals.samples import DatabaseSample

LONGEST_STATEMENT_MS = 250

# In a trip of its own: before PostgreSQL 13 a time limit did not hold for what came with it.
LIMIT_TIME = (
    f"SET LOCAL statement_timeout = {LONGEST_STATEMENT_MS};"
    f" SET LOCAL lock_timeout = {LONGEST_STATEMENT_MS}"
)

# Of the functions behind the views: with the views themselves, planning their joins takes 2 ms.
# Of another role's session little more than its user is visible without the privilege. PostgreSQL's
# own processes, such as an autovacuum, have no user.
_WITH = """
WITH asked AS (
    SELECT (SELECT oid FROM pg_database WHERE datname = current_database()) AS database,
        CAST(? AS float8) * interval '1 second' AS batch_age,
        ARRAY(SELECT CAST(to_regclass(name) AS oid)
            FROM unnest(CAST(? AS text[])) AS name) AS tables
), sessions AS (
    SELECT pid, usesysid, state, xact_start, query_start, wait_event_type,
        backend_type IS NULL AS is_hidden
    FROM asked, pg_stat_get_activity(NULL)
    WHERE datid = database AND pid <> pg_backend_pid() AND (backend_type = 'client backend'
        OR backend_type IS NULL AND usesysid IS NOT NULL)
)
SELECT """

# Since when a session waits. That is known since PostgreSQL 14; before, the column is missing.
_WAITS_SINCE = """
            (SELECT min(CAST(to_jsonb(locks) ->> 'waitstart' AS timestamptz))
             FROM pg_lock_status() AS locks WHERE locks.pid = waiting.pid AND NOT granted)"""

# `pg_blocking_pids` takes a lock that all of the server needs: it is asked only about sessions that
# wait, and while a batch runs. Where it is not known since when they do, since when their statement
# runs is taken for it.
_SESSIONS = f"""
    pg_stat_get_db_xact_commit(database) + pg_stat_get_db_xact_rollback(database),
    (SELECT count(*) FROM sessions WHERE state = 'active'),
    (SELECT coalesce(extract(epoch FROM max(clock_timestamp() - xact_start)), 0) FROM sessions),
    (SELECT count(DISTINCT waiting.pid)
     FROM sessions AS waiting, LATERAL unnest(pg_blocking_pids(waiting.pid)) AS blocking (pid)
        JOIN sessions AS blocker USING (pid)
     WHERE waiting.wait_event_type = 'Lock' AND batch_age IS NOT NULL
        AND blocker.xact_start >= clock_timestamp() - batch_age
        AND clock_timestamp() - interval '100 ms' > coalesce({_WAITS_SINCE},
            waiting.query_start)),
    (SELECT coalesce(bool_or(is_hidden), FALSE) FROM sessions)"""

# Which of the tables it is on. Without the privilege there is a row, but without a table.
_VACUUM = """,
    (SELECT coalesce(
        min(CAST(CAST(relid AS regclass) AS text)) FILTER (WHERE relid = ANY (tables)),
        CASE WHEN bool_or(relid IS NULL) THEN NULL ELSE '' END)
     FROM pg_stat_get_progress_info('VACUUM') WHERE datid = database)"""

# Without the privilege there is a row, but without a state. A replica that has caught up has no
# lag, and one that takes its first copy is nobody's to wait for. PostgreSQL tells the lag as of the
# replica's last reply, and log that arrives is replied to at once: so also, of each replica that
# has not yet replied to all that it was sent, up to where it has. What receives the log and does
# not replay it, or takes part of it (a logical slot), may well reply every ten seconds only.
_LOG = """,
    (SELECT CASE WHEN pg_is_in_recovery() THEN NULL WHEN count(*) = 0 THEN 0
        WHEN bool_or(state IS NULL) THEN NULL
        ELSE extract(epoch FROM max(
            CASE WHEN state = 'streaming' THEN coalesce(replay_lag, interval '0')
            ELSE replay_lag END)) END
     FROM pg_stat_get_wal_senders() WHERE state IS DISTINCT FROM 'backup'),
    ARRAY(SELECT concat(pid, ' ', write_lsn) FROM pg_stat_get_wal_senders()
        WHERE state <> 'backup' AND sent_lsn > write_lsn AND replay_lsn IS NOT NULL
            AND pid NOT IN (SELECT active_pid FROM pg_get_replication_slots()
                WHERE slot_type = 'logical' AND active_pid IS NOT NULL)),
    CASE WHEN NOT pg_is_in_recovery() THEN pg_current_wal_lsn() - CAST('0/0' AS pg_lsn) END,
    CASE WHEN NOT pg_is_in_recovery() THEN coalesce(
        (SELECT max(pg_current_wal_lsn() - restart_lsn) FROM pg_get_replication_slots()), 0) END"""

# Tuples are counted in one phase only: where none is done yet, it may be another. The row is taken
# first: the view's long expressions would be made anew for each use. Others may build indexes too:
# ours is on a table of the update; where none is known, one that began with the batch comes first.
_INDEX_BUILD = """,
    (SELECT ARRAY[phase, CAST(CASE
        WHEN left(phase, 7) = 'waiting' THEN NULL
        WHEN blocks_total > 0 THEN CAST(blocks_done AS float8) / blocks_total
        WHEN tuples_done > 0 AND tuples_total > 0 THEN CAST(tuples_done AS float8) / tuples_total
        END AS text)]
     FROM (SELECT * FROM pg_stat_progress_create_index
        WHERE datid = database AND relid IS NOT NULL
            AND (cardinality(tables) = 0 OR relid = ANY (tables))
        ORDER BY pid IN (SELECT pid FROM sessions
            WHERE usesysid = (SELECT usesysid FROM pg_stat_get_activity(pg_backend_pid()))
                AND query_start >= clock_timestamp() - batch_age - interval '100 ms') DESC
        LIMIT 1) AS build)"""

# From all to nothing: what this PostgreSQL does not understand is not asked again. The progress of
# index builds is known since 12; some that are compatible know nothing of the log.
_STATEMENTS = (
    f"{_WITH}{_SESSIONS}{_VACUUM}{_LOG}{_INDEX_BUILD} FROM asked",
    f"{_WITH}{_SESSIONS}{_VACUUM}{_LOG} FROM asked",
    f"{_WITH}{_SESSIONS} FROM asked",
)
_COLUMNS = 11

# Asked of a batch that has been running for this long; planning it takes 2 ms.
_LONG_BATCH_S = 0.5

# The batch is in one of this process's transactions that began since, or in none. So it waits if
# all of them do; those of less than half a second that do not are mostly of requests. Its first one
# begins as soon as itself, and its age was told a moment ago. Where it is not known since when a
# session waits, no more is told than the time since the last look.
_LOCK_WAIT = f"""
SELECT CASE WHEN bool_and(coalesce(wait_event_type = 'Lock', FALSE))
    THEN extract(epoch FROM max(clock_timestamp() - coalesce({_WAITS_SINCE},
        greatest(query_start, clock_timestamp() - interval '1 s')))) ELSE 0 END
FROM pg_stat_get_activity(NULL) AS waiting
WHERE pid = ANY (CAST(? AS int[])) AND pid <> pg_backend_pid()
    AND xact_start >= clock_timestamp() - interval '100 ms'
        - CAST(? AS float8) * interval '1 second'
    AND (wait_event_type = 'Lock' OR xact_start < clock_timestamp() - interval '500 ms')
"""

# SQLSTATE classes: an error of syntax or access rule, a feature that is not supported.
_NOT_UNDERSTOOD = ("42", "0A")


@attrs.frozen
class _Answer:
    started_s: float
    ended_s: float
    row: Sequence[Any] = ()
    lock_wait_s: float | None = None
    problem: str = ""


class DatabaseQuestion:
    """Asks one database how it is; remembers what it does not understand."""

    def __init__(self, database: Database, now_s: Callable[[], float]) -> None:
        self._database = database
        self._now_s = now_s
        self._level = 0
        # Of replicas that owed a reply at the last look: since when they are seen to owe that one.
        self._owed_since_s: dict[str, float] = {}

    async def ask(
        self, update_name: str | None, batch_age_s: Callable[[], float | None]
    ) -> DatabaseSample:
        """Look, on behalf of this update; None: of none, its queue is empty or held.

        `batch_age_s` answers for how long a batch of ours has been running, None where none is. It
        is called in the database's thread, at the time of the statement.

        Raises:
            Exception: whatever a lost connection makes of it.
        """
        tables = None if update_name is None else self._database.tables_of(update_name)
        asked_s = self._now_s()
        answer: _Answer = await self._database.run(
            "bgthrottle_sample", self._look, batch_age_s, None if tables is None else sorted(tables)
        )
        at_s = self._now_s()
        if answer.problem:
            return DatabaseSample(at_s=at_s, problem=answer.problem)
        row = (*answer.row, *[None] * (_COLUMNS - len(answer.row)))
        commits, active, oldest_s, blocked, hides, vacuum, lag_s, owing, *log, build = row
        log_bytes, kept_bytes = log
        return DatabaseSample(
            at_s=at_s,
            pool_wait_s=answer.started_s - asked_s,
            query_s=answer.ended_s - answer.started_s,
            transactions=_float(commits),
            foreground_backends=active,
            blocked_sessions=blocked,
            hides_sessions=bool(hides),
            replica_lag_s=self._replica_lag_s(_float(lag_s), owing or (), at_s),
            wal_bytes=_float(log_bytes),
            retained_wal_bytes=_float(kept_bytes),
            autovacuum=None if tables is None or vacuum is None else bool(vacuum),
            vacuumed_table=vacuum or "",
            longest_transaction_s=_float(oldest_s),
            lock_wait_s=answer.lock_wait_s,
            index_build=None if build is None else (build[0], _float(build[1])),
        )

    def _replica_lag_s(
        self, lag_s: float | None, owing: Sequence[str], now_s: float
    ) -> float | None:
        # By this clock: the time of a reply is by the replica's. One that hangs since is behind by
        # at least so long; one that keeps up owes another reply, if any, at the next look.
        self._owed_since_s = {reply: self._owed_since_s.get(reply, now_s) for reply in owing}
        if lag_s is None:
            return None
        return max(lag_s, now_s - min(self._owed_since_s.values(), default=now_s))

    def _look(
        self, txn: Any, batch_age_s: Callable[[], float | None], tables: list[str] | None
    ) -> _Answer:
        # In a database thread. Errors are caught here, as with the probe: Synapse would try again.
        started_s = self._now_s()
        age_s = batch_age_s()
        try:
            row = self._row(txn, age_s, tables)
        except Exception as error:
            if (getattr(error, "pgcode", None) or "")[:2] in _NOT_UNDERSTOOD:
                self._level = min(self._level + 1, len(_STATEMENTS))
            return _Answer(started_s, self._now_s(), problem=complaint_of(error))
        ended_s = self._now_s()
        return _Answer(started_s, ended_s, row, self._lock_wait_s(txn, age_s) if row else None)

    def _row(self, txn: Any, batch_age_s: float | None, tables: list[str] | None) -> Sequence[Any]:
        if engine_of(txn) == "PostgresEngine":
            txn.execute(LIMIT_TIME)
            if self._level < len(_STATEMENTS):
                txn.execute(_STATEMENTS[self._level], (batch_age_s, tables))
                commits, active, *others = txn.fetchone()
                ours = 0 if batch_age_s is None else 1
                return (commits, max(active - ours, 0), *others)
        txn.execute("SELECT 1")
        return ()

    def _lock_wait_s(self, txn: Any, batch_age_s: float | None) -> float | None:
        if batch_age_s is None or batch_age_s < _LONG_BATCH_S:
            return None
        try:
            pids = self._database.session_pids()
            if not pids:
                return None
            txn.execute(_LOCK_WAIT, (pids, batch_age_s))
            return _float(txn.fetchone()[0])
        except Exception:  # in a database thread; what cannot be told counts as work
            return None


def _float(value: Any) -> float | None:
    return None if value is None else float(value)
