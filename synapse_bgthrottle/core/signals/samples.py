"""What is looked at, as it was read: one record for each place to look. Plain data.

A field is None where it could not be seen (no privilege, an old version, no such thing on SQLite),
which is never the same as 0.
"""

from collections.abc import Mapping

import attrs


@attrs.frozen(kw_only=True)
class ProcessSample:
    """This process, four times a second. Sums and counts are since its start.

    Attributes:
        at_s: when, monotonic.
        timer_late_s: how late the timer of this very sample was.
        pool_wait_s, pool_waits: time that transactions of everybody waited for a connection.
        tick_s, ticks: time that turns of the event loop took.
        responses: by kind of request, the time that answers took and how many there were. Kinds
            on which clients wait on purpose, such as long polls, are left out.
        active_requests: requests that somebody waits for; None: they cannot be seen.
        requests_answered: how many have ever been answered, but long polls; None: nobody counts.
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
        problem: why there is no answer; empty: there is one. Nothing that is read is set then.
        pool_wait_s: how long the question waited for a connection.
        query_s: how long the database then took.
        transactions: transactions of everybody since the database's statistics began.
        foreground_backends: sessions of clients at work in this database, but ours.
        blocked_sessions: sessions that have waited for a lock of ours for over 100 ms.
        hides_sessions: whether there are sessions of which no more is visible than that they are
            there, so that what is told of sessions is the least that there is.
        replica_lag_s: replay lag of the slowest replica; 0 where there is none.
        wal_bytes: end of the write-ahead log, in bytes since its beginning.
        retained_wal_bytes: log kept for the slot that is furthest behind; 0 where there is none.
        autovacuum: whether an autovacuum is at work on a table of the current update.
        vacuumed_table: which; empty: there is none.
        longest_transaction_s: age of the oldest transaction of anybody else in the database.
        lock_wait_s: for how long a session of this process has waited for a lock, if all of its
            transactions do that began since the batch and are not just beginning; 0: not so.
        batch_transactions: how many transactions of the batch that runs have ended.
        index_build: phase and share done of the index build under way (0 to 1, or None while
            the phase tells none), on a table of the current update where those are known; None:
            there is none.
        is_of_clients: whether it tells of clients only: nothing is pending there, or it is held.
        refused: by signal (or, in words, what else cannot be told), why the database refuses it.
        is_unanswered: whether there was a connection for the question, and no answer for so long
            that the database is taken to stand still.
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
    """Something outside the database, or a question of the operator's.

    Attributes:
        at_s: when, monotonic.
        name: the signal that it is for (`disk_free`, `pause_file`, `http`, `sql`).
        value: in the unit of the signal; None: it could not be had.
        problem: why not.
        about: what was found, where the value does not say it, as it follows the name.
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
        slowdown: time per item, as a multiple of the same while nobody else was there.
    """

    at_s: float
    slowdown: float | None = None


Sample = ProcessSample | DatabaseSample | CheckSample | BatchSample
