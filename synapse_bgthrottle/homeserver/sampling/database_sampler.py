"""One look at a database: a short transaction that ends by itself.

What other roles do is visible only with `pg_monitor`, or `pg_read_all_stats`. Without, what is told
of sessions is of the visible ones, and that there are others; the rest reads as None.
"""

from collections.abc import Callable, Sequence
from typing import Any

import attrs

from synapse_bgthrottle.core.scheduling.failures import complaint_of
from synapse_bgthrottle.core.signals.samples import DatabaseSample
from synapse_bgthrottle.homeserver.internals.database import Database, engine_of
from synapse_bgthrottle.homeserver.sampling.database_queries import (
    COLUMNS,
    LIMIT_TIME,
    LOCK_WAIT,
    STATEMENTS,
)

# Asked of a batch that has been running for this long; planning it takes 2 ms.
_LONG_BATCH_S = 0.5

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
    """Asks one database how it is; remembers what it does not understand.

    Attributes:
        is_asked: whether the database has the question, and has not answered it yet.
    """

    def __init__(self, database: Database, now_s: Callable[[], float]) -> None:
        self._database = database
        self._now_s = now_s
        self._level = 0
        self.is_asked = False
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
        names = None if tables is None else sorted(tables)
        answer: _Answer = await self._database.run(
            "bgthrottle_sample", self._asked, batch_age_s, names
        )
        at_s = self._now_s()
        if answer.problem:
            return DatabaseSample(at_s=at_s, problem=answer.problem)
        row = (*answer.row, *[None] * (COLUMNS - len(answer.row)))
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

    def _asked(
        self, txn: Any, batch_age_s: Callable[[], float | None], tables: list[str] | None
    ) -> _Answer:
        # In a database thread, which has a connection.
        self.is_asked = True
        try:
            return self._look(txn, batch_age_s, tables)
        finally:
            self.is_asked = False

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
        # Errors are caught here, as with the probe: Synapse would try again.
        started_s = self._now_s()
        age_s = batch_age_s()
        try:
            row = self._row(txn, age_s, tables)
        except Exception as error:
            if (getattr(error, "pgcode", None) or "")[:2] in _NOT_UNDERSTOOD:
                self._level = min(self._level + 1, len(STATEMENTS))
            return _Answer(started_s, self._now_s(), problem=complaint_of(error))
        ended_s = self._now_s()
        return _Answer(started_s, ended_s, row, self._lock_wait_s(txn, age_s) if row else None)

    def _row(self, txn: Any, batch_age_s: float | None, tables: list[str] | None) -> Sequence[Any]:
        if engine_of(txn) == "PostgresEngine":
            txn.execute(LIMIT_TIME)
            if self._level < len(STATEMENTS):
                txn.execute(STATEMENTS[self._level], (batch_age_s, tables))
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
            txn.execute(LOCK_WAIT, (pids, batch_age_s))
            return _float(txn.fetchone()[0])
        except Exception:  # in a database thread; what cannot be told counts as work
            return None


def _float(value: Any) -> float | None:
    return None if value is None else float(value)
