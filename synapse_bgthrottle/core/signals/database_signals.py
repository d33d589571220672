"""Signals of the database, by one statement a second. Pure."""

from synapse_bgthrottle.core.signals.samples import DatabaseSample
from synapse_bgthrottle.core.signals.signal import NotYet, Signal, SignalClass, Unit


def _database_pool_wait(sample: DatabaseSample, before: DatabaseSample | None) -> float | None:
    return None if sample.pool_wait_s is None else sample.pool_wait_s * 1000


# Our own wait for a connection to the database: the first part of its round trip.
# Unit: ms. Cost: one transaction a second, shared with all signals of the database. Class: soft.
# When the question is not answered, the last value holds until it is stale.
DATABASE_POOL_WAIT = Signal(
    name="database_pool_wait",
    signal_class=SignalClass.SOFT,
    unit=Unit.DURATION,
    threshold=10.0,
    source=DatabaseSample,
    read=_database_pool_wait,
)


def _database_query(sample: DatabaseSample, before: DatabaseSample | None) -> float | None:
    return None if sample.query_s is None else sample.query_s * 1000


# Time that the database takes for our question: the second part of its round trip.
# Unit: ms. Cost: one statement a second, shared with all signals of the database. Class: soft. The
# threshold counts from the least value of the last ten minutes, as in LEDBAT (RFC 6817): how far
# away the database is says nothing about its load. When the question is not answered, the last
# value holds until it is stale.
DATABASE_QUERY = Signal(
    name="database_query",
    signal_class=SignalClass.SOFT,
    unit=Unit.DURATION,
    threshold=20.0,
    source=DatabaseSample,
    read=_database_query,
    base_s=600.0,
)


def _foreground_backends(sample: DatabaseSample, before: DatabaseSample | None) -> float | None:
    return sample.foreground_backends


# Sessions of clients at work in the database, but ours.
# Unit: count. Cost: a share of one statement a second. Class: soft. The threshold is the number of
# this machine's cores, unless configured. In a deployment with workers it is what sees their
# clients. Without PostgreSQL it is not observable, and says nothing. Without the role `pg_monitor`,
# and with sessions of other roles in the database, neither, unless those of our own role are
# enough.
FOREGROUND_BACKENDS = Signal(
    name="foreground_backends",
    signal_class=SignalClass.SOFT,
    unit=Unit.COUNT,
    threshold=4.0,
    source=DatabaseSample,
    read=_foreground_backends,
    of_sessions=True,
)


def _blocked_sessions(sample: DatabaseSample, before: DatabaseSample | None) -> float | None:
    return sample.blocked_sessions


# Sessions that wait for a lock which a batch of ours holds, for over 100 ms.
# Unit: count. Cost: a share of one statement a second. Class: panic: whoever waits for us is hurt
# for certain, so we back off at once. Without PostgreSQL it is not observable, and says nothing; of
# sessions of other roles, not without the role `pg_monitor`.
BLOCKED_SESSIONS = Signal(
    name="blocked_sessions",
    signal_class=SignalClass.PANIC,
    unit=Unit.COUNT,
    threshold=1.0,
    source=DatabaseSample,
    read=_blocked_sessions,
    of_sessions=True,
)


def _replica_lag(sample: DatabaseSample, before: DatabaseSample | None) -> float | None:
    return None if sample.replica_lag_s is None else sample.replica_lag_s * 1000


# Replay lag of the slowest replica of PostgreSQL.
# Unit: ms. Cost: a share of one statement a second. Class: budget. Seen on the primary only;
# without the role `pg_monitor` (or `pg_read_all_stats`) not observable. One that is connected and
# hangs is seen by the reply that it owes. One that is not connected is not seen: `retained_wal`
# sees its slot.
REPLICA_LAG = Signal(
    name="replica_lag",
    signal_class=SignalClass.BUDGET,
    unit=Unit.DURATION,
    threshold=10_000.0,
    source=DatabaseSample,
    read=_replica_lag,
)


# The mean over a longer time says nothing of now.
_LONGEST_S = 60.0


def _wal_rate(sample: DatabaseSample, before: DatabaseSample | None) -> float | NotYet | None:
    if sample.wal_bytes is None:
        return None
    if before is None or before.wal_bytes is None:
        return NotYet.NOT_YET
    written, passed_s = sample.wal_bytes - before.wal_bytes, sample.at_s - before.at_s
    if written < 0 or not 0 < passed_s <= _LONGEST_S:  # another server, or a long pause
        return NotYet.NOT_YET
    return written / passed_s


# Write-ahead log that PostgreSQL writes, of everybody's.
# Unit: bytes per second since the last look that was answered. Cost: a share of one statement a
# second. Class: budget, off unless configured. Not observable on a replica and without PostgreSQL;
# not read yet where there was no look of late to compare with.
WAL_RATE = Signal(
    name="wal_rate",
    signal_class=SignalClass.BUDGET,
    unit=Unit.RATE,
    threshold=None,
    source=DatabaseSample,
    read=_wal_rate,
)


def _retained_wal(sample: DatabaseSample, before: DatabaseSample | None) -> float | None:
    return sample.retained_wal_bytes


# Write-ahead log that PostgreSQL keeps for the replication slot that is furthest behind.
# Unit: bytes. Cost: a share of one statement a second. Class: budget, off unless configured: only
# the operator knows the room on that disk. Not observable without PostgreSQL.
RETAINED_WAL = Signal(
    name="retained_wal",
    signal_class=SignalClass.BUDGET,
    unit=Unit.SIZE,
    threshold=None,
    source=DatabaseSample,
    read=_retained_wal,
)


def _autovacuum(sample: DatabaseSample, before: DatabaseSample | None) -> float | None:
    return None if sample.autovacuum is None else float(sample.autovacuum)


def _autovacuum_about(sample: DatabaseSample) -> str:
    return f"of {sample.vacuumed_table}" if sample.vacuumed_table else ""


# An autovacuum at work on the table of the update.
# Unit: yes (1) or no (0). Cost: a share of one statement a second. Class: budget, for ten minutes
# at a time: it cleans up after us, and an index build has to wait for it anyway. Not observable
# where the tables of an update are not known, without PostgreSQL, and without the role
# `pg_monitor`.
AUTOVACUUM = Signal(
    name="autovacuum",
    signal_class=SignalClass.BUDGET,
    unit=Unit.YES_NO,
    threshold=1.0,
    source=DatabaseSample,
    read=_autovacuum,
    about=_autovacuum_about,
    longest_hold_s=600.0,
)


def _longest_transaction(sample: DatabaseSample, before: DatabaseSample | None) -> float | None:
    return None if sample.longest_transaction_s is None else sample.longest_transaction_s * 1000


# Age of the oldest transaction of anybody else in the database.
# Unit: ms. Cost: a share of one statement a second. Class: budget, for the start of one-shots only:
# `CREATE INDEX CONCURRENTLY` waits for every older transaction, and keeps rows from being cleaned
# up meanwhile. Not observable without PostgreSQL; nor, without the role `pg_monitor`, while
# sessions of other roles are in the database, unless one of our own role's is old enough.
LONGEST_TRANSACTION = Signal(
    name="longest_transaction",
    signal_class=SignalClass.BUDGET,
    unit=Unit.DURATION,
    threshold=300_000.0,
    source=DatabaseSample,
    read=_longest_transaction,
    of_sessions=True,
    one_shot_only=True,
)
