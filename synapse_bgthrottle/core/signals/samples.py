"""Samples: raw values, one record for each source. Plain data.

None means that the value could not be read (no privilege, old version, SQLite), never 0.
"""

from collections.abc import Mapping

import attrs


@attrs.frozen(kw_only=True)
class ProcessSample:
    """This process, four times a second. Sums and counts are since its start."""

    at_s: float
    timer_late_s: float  # how late this sample's own timer was
    pool_wait_s: float | None = None  # time that transactions waited for a connection
    pool_waits: float | None = None
    tick_s: float | None = None  # time of the event loop's turns
    ticks: float | None = None
    # By kind of request, total response time and number. Kinds on which clients wait on purpose,
    # such as long polls, are left out.
    responses: Mapping[str, tuple[float, float]] | None = None
    active_requests: int | None = None  # requests in progress; None: unknown
    requests_answered: int | None = None  # without long polls; None: not counted


@attrs.frozen(kw_only=True)
class DatabaseSample:
    """One database, once a second, by one statement."""

    at_s: float  # when the answer came, monotonic
    problem: str = ""  # why there is no answer; empty: there is one. Otherwise no value is set.
    pool_wait_s: float | None = None  # how long the query waited for a connection
    query_s: float | None = None  # how long the database then took
    transactions: float | None = None  # everybody's, since the database's statistics began
    foreground_backends: int | None = None  # active sessions in this database, without ours
    blocked_sessions: int | None = None  # sessions that have waited over 100 ms for a lock of ours
    hides_sessions: bool = False  # counts of sessions are then lower bounds
    replica_lag_s: float | None = None  # replay lag of the slowest replica; 0: no replica
    wal_bytes: float | None = None  # end of the write-ahead log, in bytes since its beginning
    retained_wal_bytes: float | None = None  # for the slot that is furthest behind; 0: no slot
    autovacuum: bool | None = None  # whether an autovacuum runs on a table of the current update
    vacuumed_table: str = ""  # that table; empty: none
    longest_transaction_s: float | None = None  # age of the oldest transaction that is not ours
    # How long a session of this process has waited for a lock. Set only if that holds for all its
    # transactions that began during the batch, but not just now; else 0.
    lock_wait_s: float | None = None
    batch_transactions: int | None = None  # how many transactions of the running batch have ended
    # Phase of the running index build, and share done (0 to 1, or None where the phase has none),
    # on a table of the update, if these are known; None: no build.
    index_build: tuple[str, float | None] | None = None
    is_of_clients: bool = False  # it only concerns clients: nothing is pending, or it is held
    # By signal (or by a description): why the database refuses to show it.
    refused: Mapping[str, str] = attrs.field(factory=dict)
    is_unanswered: bool = False  # whether a query has waited so long that the database stands still


@attrs.frozen(kw_only=True)
class CheckSample:
    """Result of a check outside the database, or of the administrator's query."""

    at_s: float
    name: str  # its signal (`disk_free`, `pause_file`, `http`, `sql`)
    value: float | None = None  # in the signal's unit; None: unknown
    problem: str = ""  # why it is unknown
    about: str = ""  # what was found, as text after the signal's name


@attrs.frozen(kw_only=True)
class BatchSample:
    """A batch of ours that has ended."""

    at_s: float
    slowdown: float | None = None  # time per item, in times of that without active clients


Sample = ProcessSample | DatabaseSample | CheckSample | BatchSample
