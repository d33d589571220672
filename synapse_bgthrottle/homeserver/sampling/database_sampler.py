"""Takes one sample of a database, in a short transaction with a time limit.

Other roles' sessions are visible only with `pg_monitor` or `pg_read_all_stats`. Without it, counts
include only visible sessions, with a note that others exist. Other values are None.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs

from synapse_bgthrottle.core.scheduling.failures import complaint_of
from synapse_bgthrottle.core.signals.samples import DatabaseSample
from synapse_bgthrottle.homeserver.internals.database import Database, engine_of
from synapse_bgthrottle.homeserver.sampling.database_queries import (
    LIMIT_TIME,
    LOCK_WAIT,
    MAY_BE_REFUSED,
    PARTS,
    WAS_REFUSED,
    Part,
    statement,
)

# Each try of a refused query is a line in the server's log.
TRY_AGAIN_S = 3600.0
# If the parts are refused together, but not one by one, they are queried one by one for this time.
TOGETHER_AGAIN_S = 600.0

# Planning the query takes 2 ms, so it is only for batches that have run this long.
_LONG_BATCH_S = 0.5

# SQLSTATEs of passing errors: connection, conflict, resources, time-out, shutdown, disk, lock. With
# any other code the query counts as refused.
_PASSING = ("08", "40", "53", "57", "58", "55P03")

# If this part is refused, the counts of sessions are lower bounds.
_HIDES = next(part.use for part in PARTS if part.name == "hides")
_LOCK_WAIT = Part("lock_wait", LOCK_WAIT, "whether a batch waits for a lock")


@attrs.frozen
class _Answer:
    started_s: float
    ended_s: float
    columns: Mapping[str, Any] = attrs.field(factory=dict)
    problem: str = ""


class _Questions:
    """Queries all parts at once that the server does not refuse, and remembers the refused ones.

    One refused part makes the whole statement fail. Then each part is tried alone, once.
    """

    def __init__(self, now_s: Callable[[], float]) -> None:
        self._now_s = now_s
        # The complaint, and when to try again.
        self._refused: dict[Part, tuple[str, float]] = {}
        self._apart_until_s = 0.0

    @property
    def refused(self) -> dict[str, str]:
        """The server's reason, by what needs the part."""
        return {part.use: complaint for part, (complaint, _) in self._refused.items()}

    def answers(self, txn: Any, parameters: Sequence[Any]) -> dict[str, Any]:
        """The answers by column; raises if there is none, although the query is not refused."""
        now_s = self._now_s()
        together = [part for part in PARTS if part not in self._refused]
        apart = [part for part in PARTS if self._is_due(part, now_s)]
        answers: dict[str, Any] = {}
        if not together and not apart:
            txn.execute("SELECT 1")
            return answers
        self._begin(txn)
        if now_s < self._apart_until_s:
            apart += together
        elif self._complaint(txn, together, parameters, answers):
            self._apart_until_s = now_s + TOGETHER_AGAIN_S
            apart += together
        for part in apart:
            if self._is_refused(txn, part, parameters, answers):
                self._apart_until_s = 0.0  # this part was the cause; the others work together
        return answers

    def lock_wait_s(self, txn: Any, parameters: Sequence[Any]) -> Any:
        """The answer to that query; None: it is refused."""
        if _LOCK_WAIT in self._refused and not self._is_due(_LOCK_WAIT, self._now_s()):
            return None
        answers: dict[str, Any] = {}
        self._is_refused(txn, _LOCK_WAIT, parameters, answers)
        return answers.get(_LOCK_WAIT.name)

    def _is_due(self, part: Part, now_s: float) -> bool:
        return part in self._refused and now_s >= self._refused[part][1]

    def _begin(self, txn: Any) -> None:
        try:
            txn.execute(f"{LIMIT_TIME}; {MAY_BE_REFUSED}")
        except Exception as error:  # raised again below
            if _is_refusal(error):  # without a time limit nothing can be queried
                for part in PARTS:
                    self._refuse(part, _complaint_of(error))
            raise

    def _is_refused(
        self, txn: Any, part: Part, parameters: Sequence[Any], answers: dict[str, Any]
    ) -> bool:
        complaint = self._complaint(txn, [part], parameters, answers)
        if complaint:
            self._refuse(part, complaint)
        else:
            self._refused.pop(part, None)
        return bool(complaint)

    def _refuse(self, part: Part, complaint: str) -> None:
        self._refused[part] = complaint, self._now_s() + TRY_AGAIN_S

    def _complaint(
        self, txn: Any, parts: list[Part], parameters: Sequence[Any], answers: dict[str, Any]
    ) -> str:
        """Why these are refused; empty: they are not."""
        if not parts:
            return ""
        sql = LOCK_WAIT if parts == [_LOCK_WAIT] else statement(parts)
        try:
            txn.execute(sql, parameters)
            row = txn.fetchone()
        except Exception as error:  # in a database thread
            if not _is_refusal(error):
                raise
            txn.execute(WAS_REFUSED)
            return _complaint_of(error)
        answers.update(zip((part.name for part in parts), row, strict=True))
        return ""


class DatabaseSampler:
    """Takes samples of one database, and remembers what it refuses."""

    def __init__(self, database: Database, now_s: Callable[[], float]) -> None:
        self._database = database
        self._now_s = now_s
        self._questions = _Questions(now_s)
        self.is_asked = False  # whether the database has the query and has not answered yet
        # For replicas that owed a reply at the last sample: since when they have owed it.
        self._owed_since_s: dict[str, float] = {}

    async def ask(
        self, update_name: str | None, batch_age_s: Callable[[], float | None]
    ) -> DatabaseSample:
        """Take a sample for this update; None: the queue is empty or held.

        `batch_age_s` returns how long our batch has been running, None without one. It is called in
        the database thread, just before the statement. This raises if the connection was lost.
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
        column = answer.columns.get
        vacuum, build = column("vacuum"), column("build")
        refused = self._questions.refused
        return DatabaseSample(
            at_s=at_s,
            pool_wait_s=answer.started_s - asked_s,
            query_s=answer.ended_s - answer.started_s,
            transactions=_float(column("transactions")),
            foreground_backends=column("active"),
            blocked_sessions=column("blocked"),
            hides_sessions=bool(column("hides", _HIDES in refused)),
            replica_lag_s=self._replica_lag_s(_float(column("lag_s")), column("owing") or (), at_s),
            wal_bytes=_float(column("log_bytes")),
            retained_wal_bytes=_float(column("kept_bytes")),
            autovacuum=None if tables is None or vacuum is None else bool(vacuum),
            vacuumed_table=vacuum or "",
            longest_transaction_s=_float(column("oldest_s")),
            lock_wait_s=_float(column("lock_wait")),
            index_build=None if build is None else (build[0], _float(build[1])),
            refused=refused,
        )

    def _asked(
        self, txn: Any, batch_age_s: Callable[[], float | None], tables: list[str] | None
    ) -> _Answer:
        # In a database thread that has a connection. Catch errors here, as in the probe: Synapse
        # would try again.
        self.is_asked = True
        started_s = self._now_s()
        try:
            age_s = batch_age_s()
            columns = self._columns(txn, age_s, tables)
            ended_s = self._now_s()
            if columns and age_s is not None:
                if columns.get("active"):  # leave out our own session
                    columns["active"] -= 1
                columns["lock_wait"] = self._lock_wait_s(txn, age_s)
            return _Answer(started_s, ended_s, columns)
        except Exception as error:  # in a database thread, where nothing is cancelled
            return _Answer(started_s, self._now_s(), problem=complaint_of(error))
        finally:
            self.is_asked = False

    def _replica_lag_s(
        self, lag_s: float | None, owing: Sequence[str], now_s: float
    ) -> float | None:
        # Measured by this process's clock, because a reply has the replica's time. A replica that
        # hangs is behind by at least this time. One that keeps up owes another reply next time.
        self._owed_since_s = {reply: self._owed_since_s.get(reply, now_s) for reply in owing}
        if lag_s is None:
            return None
        return max(lag_s, now_s - min(self._owed_since_s.values(), default=now_s))

    def _columns(
        self, txn: Any, batch_age_s: float | None, tables: list[str] | None
    ) -> dict[str, Any]:
        if engine_of(txn) != "PostgresEngine":
            txn.execute("SELECT 1")
            return {}
        return self._questions.answers(txn, (batch_age_s, tables))

    def _lock_wait_s(self, txn: Any, batch_age_s: float) -> Any:
        if batch_age_s < _LONG_BATCH_S:
            return None
        try:
            pids = self._database.session_pids()
            return self._questions.lock_wait_s(txn, (pids, batch_age_s)) if pids else None
        except Exception:  # in a database thread; without an answer the time counts as work
            return None


def _is_refusal(error: Exception) -> bool:
    code = getattr(error, "pgcode", None)
    return isinstance(code, str) and not code.startswith(_PASSING)


def _complaint_of(error: Exception) -> str:
    return f"{complaint_of(error)} (SQLSTATE {getattr(error, 'pgcode', '')})"


def _float(value: Any) -> float | None:
    return None if value is None else float(value)
