"""Samples: raw values, one record for each source. Plain data.

None means that the value could not be read (no privilege, old version, SQLite), never 0.
"""

from collections.abc import Mapping

import attrs


@attrs.frozen(kw_only=True)
class ProcessSample:
    """This process, four times a second. Sums and counts are since its start.

    Attributes:
        at_s: when, monotonic.
        timer_late_s: how late this sample's own timer was.
        pool_wait_s, pool_waits: time that transactions waited for a connection; their number.
        tick_s, ticks: time of the event loop's turns, and their number.
        responses: by kind of request, total response time and number. Kinds on which clients wait
            on purpose, such as long polls, are left out.
        active_requests: requests in progress; None: unknown.
        requests_answered: requests answered so far, without long polls; None: not counted.
    """

    at_s: float
    timer_late_s: float
    pool_wait_s: float | None = None
    pool_waits: float | None = None
    tick_s: float | None = None
    ticks: float | None = None
    responses: Mapping[str, tuple[float, float]] | None = None
    active_requests: int | None = None
    requests_answered: int | None = None


@attrs.frozen(kw_only=True)
class DatabaseSample:
    """One database, once a second, by one statement.

    Attributes:
        at_s: when the answer came, monotonic.
        problem: why there is no answer; empty: there is one. Otherwise no value is set.
        pool_wait_s: how long the query waited for a connection.
        query_s: how long the database then took.
        transactions: everybody's transactions since the database's statistics began.
        foreground_backends: active sessions in this database, without ours.
        blocked_sessions: sessions that have waited over 100 ms for a lock of ours.
        hides_sessions: whether some sessions are hidden; counts of sessions are then lower bounds.
        replica_lag_s: replay lag of the slowest replica; 0: no replica.
        wal_bytes: end of the write-ahead log, in bytes since its beginning.
        retained_wal_bytes: log kept for the slot that is furthest behind; 0: no slot.
        autovacuum: whether an autovacuum runs on a table of the current update.
        vacuumed_table: that table; empty: none.
        longest_transaction_s: age of the oldest transaction that is not ours.
        lock_wait_s: how long a session of this process has waited for a lock. Set only if that
            holds for all its transactions that began during the batch, but not just now; else 0.
        batch_transactions: how many transactions of the running batch have ended.
        index_build: phase of the running index build, and share done (0 to 1, or None where the
            phase has none), on a table of the update, if these are known; None: no build.
        is_of_clients: whether it only concerns clients: nothing is pending, or it is held.
        refused: why the database refuses to show something, by signal (or by a description).
        is_unanswered: whether a query has waited so long that the database stands still.
    """

    at_s: float
    problem: str = ""
    pool_wait_s: float | None = None
    query_s: float | None = None
    transactions: float | None = None
    foreground_backends: int | None = None
    blocked_sessions: int | None = None
    hides_sessions: bool = False
    replica_lag_s: float | None = None
    wal_bytes: float | None = None
    retained_wal_bytes: float | None = None
    autovacuum: bool | None = None
    vacuumed_table: str = ""
    longest_transaction_s: float | None = None
    lock_wait_s: float | None = None
    batch_transactions: int | None = None
    index_build: tuple[str, float | None] | None = None
    is_of_clients: bool = False
    refused: Mapping[str, str] = attrs.field(factory=dict)
    is_unanswered: bool = False


@attrs.frozen(kw_only=True)
class CheckSample:
    """Result of a check outside the database, or of the administrator's query.

    Attributes:
        at_s: when, monotonic.
        name: its signal (`disk_free`, `pause_file`, `http`, `sql`).
        value: in the signal's unit; None: unknown.
        problem: why it is unknown.
        about: what was found, as text after the signal's name.
    """

    at_s: float
    name: str
    value: float | None = None
    problem: str = ""
    about: str = ""


@attrs.frozen(kw_only=True)
class BatchSample:
    """A batch of ours that has ended.

    Attributes:
        at_s: when, monotonic.
        slowdown: time per item, as a multiple of the time per item without active clients.
    """

    at_s: float
    slowdown: float | None = None


Sample = ProcessSample | DatabaseSample | CheckSample | BatchSample
