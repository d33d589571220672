"""All signals, in the order in which reports list them: to add one, add it here. Pure."""

from types import MappingProxyType

from synapse_bgthrottle.core.signals.samples import (
    BatchSample,
    CheckSample,
    DatabaseSample,
    ProcessSample,
)
from synapse_bgthrottle.core.signals.signal import NoRateYet, Signal, SignalClass, Unit

_SOFT, _BUDGET, _PANIC = SignalClass.SOFT, SignalClass.BUDGET, SignalClass.PANIC

# A mean over a longer time tells nothing of the present.
_LONGEST_RATE_S = 60.0


def _value(now: CheckSample, before: CheckSample | None) -> float | None:
    return now.value


def _about(now: CheckSample) -> str:
    return now.about


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1000


def _mean_ms(
    sum_s: float | None, before_s: float | None, count: float | None, before: float | None
) -> float | None:
    """The mean in ms of what was added since; 0: nothing was added, None: unknown.

    If a sum or count shrank, its counter was reset, and the mean is unknown.
    """
    if sum_s is None or before_s is None or count is None or before is None:
        return None
    added, added_s = count - before, sum_s - before_s
    if added < 0 or added_s < 0:
        return None
    return added_s / added * 1000 if added else 0.0


def _reactor_tick(now: ProcessSample, before: ProcessSample | None) -> float | None:
    if before is None:
        return None
    return _mean_ms(now.tick_s, before.tick_s, now.ticks, before.ticks)


def _pool_wait(now: ProcessSample, before: ProcessSample | None) -> float | None:
    if before is None:
        return None
    return _mean_ms(now.pool_wait_s, before.pool_wait_s, now.pool_waits, before.pool_waits)


def _wal_rate(now: DatabaseSample, before: DatabaseSample | None) -> float | NoRateYet | None:
    if now.wal_bytes is None:
        return None
    if before is None or before.wal_bytes is None:
        return NoRateYet.NO_RATE_YET
    written, passed_s = now.wal_bytes - before.wal_bytes, now.at_s - before.at_s
    if written < 0 or not 0 < passed_s <= _LONGEST_RATE_S:  # after a failover, or a long pause
        return NoRateYet.NO_RATE_YET
    return written / passed_s


_ALL = (
    # How late our own timer fires. Cost: one timer, four times a second while updates are pending.
    # Always readable. The best signal for an update that works on the reactor thread.
    Signal(
        "event_loop_lag",
        _SOFT,
        Unit.DURATION,
        50.0,
        ProcessSample,
        lambda now, before: now.timer_late_s * 1000,
    ),
    # Mean duration of the event loop's turns, from Synapse's metric
    # `python_twisted_reactor_tick_time`. Cost: two numbers read. Not observable with a reactor that
    # Synapse does not measure.
    Signal("reactor_tick", _SOFT, Unit.DURATION, 50.0, ProcessSample, _reactor_tick),
    # Mean time that all transactions wait for a database connection, from Synapse's metric
    # `synapse_storage_schedule_time`. Cost: two numbers read.
    Signal("pool_wait", _SOFT, Unit.DURATION, 10.0, ProcessSample, _pool_wait),
    # How long our query waits for a connection: the first part of its round trip. Cost: one
    # transaction a second, shared with all database signals. Without an answer the last value
    # counts until it is stale.
    Signal(
        "database_pool_wait",
        _SOFT,
        Unit.DURATION,
        10.0,
        DatabaseSample,
        lambda now, before: _ms(now.pool_wait_s),
    ),
    # How long the database takes for our query: the second part of its round trip. Without an
    # answer the last value counts until it is stale. The threshold is added to the least value of
    # the last ten minutes, as in LEDBAT (RFC 6817): the distance to the database is no load.
    Signal(
        "database_query",
        _SOFT,
        Unit.DURATION,
        20.0,
        DatabaseSample,
        lambda now, before: _ms(now.query_s),
        base_s=600.0,
    ),
    # Active sessions in the database, without ours. With workers, this signal sees their clients.
    # The threshold is the number of CPU cores, unless configured. Not observable without
    # PostgreSQL. Without the role `pg_monitor` it is not observable while other roles have
    # sessions, unless those of our own role exceed the threshold.
    Signal(
        "foreground_backends",
        _SOFT,
        Unit.COUNT,
        4.0,
        DatabaseSample,
        lambda now, before: now.foreground_backends,
        of_sessions=True,
    ),
    # Time per item of our batches, relative to the time without active clients. Items differ (one
    # room may cost as much as a thousand small ones), so the threshold is far from 1. Not
    # observable before a moment without clients. Source: MS Manners (SOSP '99): one's own progress
    # shows contention that nothing else shows.
    Signal(
        "batch_slowdown", _SOFT, Unit.FACTOR, 10.0, BatchSample, lambda now, before: now.slowdown
    ),
    # Sessions that wait over 100 ms for a lock which our batch holds. We certainly slow these down,
    # so batches stop at once. Not observable without PostgreSQL, and for other roles' sessions
    # without the role `pg_monitor`.
    Signal(
        "blocked_sessions",
        _PANIC,
        Unit.COUNT,
        1.0,
        DatabaseSample,
        lambda now, before: now.blocked_sessions,
        of_sessions=True,
    ),
    # Replay lag of PostgreSQL's slowest replica. Observable on the primary only, with the role
    # `pg_monitor` or `pg_read_all_stats`. A connected replica that hangs is noticed, because its
    # reply is overdue. For one that is not connected, `retained_wal` watches its slot.
    Signal(
        "replica_lag",
        _BUDGET,
        Unit.DURATION,
        10_000.0,
        DatabaseSample,
        lambda now, before: _ms(now.replica_lag_s),
    ),
    # Write-ahead log that PostgreSQL writes for everybody, since the last answer. Not observable on
    # a replica or without PostgreSQL.
    Signal("wal_rate", _BUDGET, Unit.RATE, None, DatabaseSample, _wal_rate),
    # Write-ahead log that PostgreSQL keeps for the replication slot that is furthest behind. Only
    # the administrator knows that disk's space. Not observable without PostgreSQL.
    Signal(
        "retained_wal",
        _BUDGET,
        Unit.SIZE,
        None,
        DatabaseSample,
        lambda now, before: now.retained_wal_bytes,
    ),
    # Free space on the disk of the database. Cost: one `statvfs` in ten seconds. Not observable if
    # the path is neither configured nor known.
    Signal(
        "disk_free", _BUDGET, Unit.SIZE, float(1 << 30), CheckSample, _value, less_is_worse=True
    ),
    # An autovacuum runs on the update's table. It holds for ten minutes at a time: the vacuum
    # cleans up after the update, and an index build must wait for it anyway. Not observable without
    # PostgreSQL, without the role `pg_monitor`, or if the update's tables are unknown.
    Signal(
        "autovacuum",
        _BUDGET,
        Unit.YES_NO,
        1.0,
        DatabaseSample,
        lambda now, before: None if now.autovacuum is None else float(now.autovacuum),
        about=lambda now: f"of {now.vacuumed_table}" if now.vacuumed_table else "",
        longest_hold_s=600.0,
    ),
    # Age of the oldest transaction that is not ours. It only holds the start of one-shots: `CREATE
    # INDEX CONCURRENTLY` waits for every older transaction, and meanwhile prevents the cleanup of
    # rows. Not observable without PostgreSQL. Without the role `pg_monitor` it is not observable
    # while other roles have sessions, unless one of our own role is old enough.
    Signal(
        "longest_transaction",
        _BUDGET,
        Unit.DURATION,
        300_000.0,
        DatabaseSample,
        lambda now, before: _ms(now.longest_transaction_s),
        of_sessions=True,
        one_shot_only=True,
    ),
    # A file whose presence holds all updates: it needs no command. Cost: one `stat` in ten seconds.
    # A path that cannot be read counts as present.
    Signal("pause_file", _BUDGET, Unit.YES_NO, None, CheckSample, _value, about=_about),
    # The administrator's HTTP check. Any status but 200 to 299 holds all updates, and so does a
    # missing or late answer. Cost: one request in ten seconds.
    Signal("http", _BUDGET, Unit.YES_NO, None, CheckSample, _value, about=_about),
    # The administrator's query. Its first value is compared with the configured threshold. Cost:
    # one statement in ten seconds, which must not write and ends after 250 ms. An error, a late
    # answer, no row and NULL hold: an unreadable value counts as the worst.
    Signal("sql", _BUDGET, Unit.COUNT, None, CheckSample, _value),
)

SIGNALS = MappingProxyType({signal.name: signal for signal in _ALL})
