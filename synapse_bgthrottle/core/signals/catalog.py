"""All signals, in the order in which reports list them: to add one, add it here. Pure."""

from types import MappingProxyType

from synapse_bgthrottle.core.signals.samples import (
    BatchSample,
    CheckSample,
    DatabaseSample,
    ProcessSample,
)
from synapse_bgthrottle.core.signals.signal import NotYet, Signal, SignalClass, Unit

# The mean over a longer time says nothing of now.
_LONGEST_RATE_S = 60.0


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1000


def _mean_ms(
    sum_s: float | None, before_s: float | None, count: float | None, before: float | None
) -> float | None:
    """The mean in ms of what was added since; 0 where nothing was, None where a part is unknown.

    A sum that shrank began anew: nothing is known then.
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


def _wal_rate(now: DatabaseSample, before: DatabaseSample | None) -> float | NotYet | None:
    if now.wal_bytes is None:
        return None
    if before is None or before.wal_bytes is None:
        return NotYet.NOT_YET
    written, passed_s = now.wal_bytes - before.wal_bytes, now.at_s - before.at_s
    if written < 0 or not 0 < passed_s <= _LONGEST_RATE_S:  # another server, or a long pause
        return NotYet.NOT_YET
    return written / passed_s


def _autovacuum(now: DatabaseSample, before: DatabaseSample | None) -> float | None:
    return None if now.autovacuum is None else float(now.autovacuum)


_ALL = (
    # How late a timer of our own is. Cost: one timer, four times a second while updates are
    # pending. Always readable. The best signal for an update that works on the reactor thread.
    Signal(
        name="event_loop_lag",
        signal_class=SignalClass.SOFT,
        unit=Unit.DURATION,
        threshold=50.0,
        source=ProcessSample,
        read=lambda now, before: now.timer_late_s * 1000,
    ),
    # Mean time of a turn of the event loop, by Synapse's own metric
    # `python_twisted_reactor_tick_time`. Cost: two numbers read. Not observable with a reactor that
    # Synapse does not measure.
    Signal(
        name="reactor_tick",
        signal_class=SignalClass.SOFT,
        unit=Unit.DURATION,
        threshold=50.0,
        source=ProcessSample,
        read=_reactor_tick,
    ),
    # How long everybody's transactions wait for a connection to the database: the mean, by
    # Synapse's own metric `synapse_storage_schedule_time`. Cost: two numbers read.
    Signal(
        name="pool_wait",
        signal_class=SignalClass.SOFT,
        unit=Unit.DURATION,
        threshold=10.0,
        source=ProcessSample,
        read=_pool_wait,
    ),
    # Our own wait for a connection: the first part of the round trip to the database. Cost: one
    # transaction a second, shared with all signals of the database. Without an answer the last
    # value holds until it is stale.
    Signal(
        name="database_pool_wait",
        signal_class=SignalClass.SOFT,
        unit=Unit.DURATION,
        threshold=10.0,
        source=DatabaseSample,
        read=lambda now, before: _ms(now.pool_wait_s),
    ),
    # Time that the database takes for our statement: the second part of the round trip. Without an
    # answer the last value holds until it is stale. The threshold counts from the least value of
    # the last ten minutes, as in LEDBAT (RFC 6817): how far away the database is says nothing about
    # its load.
    Signal(
        name="database_query",
        signal_class=SignalClass.SOFT,
        unit=Unit.DURATION,
        threshold=20.0,
        source=DatabaseSample,
        read=lambda now, before: _ms(now.query_s),
        base_s=600.0,
    ),
    # Sessions of clients at work in the database, but ours. The threshold is the number of this
    # machine's cores, unless configured. With workers it is what sees their clients. Not observable
    # without PostgreSQL; nor without the role `pg_monitor` while sessions of other roles are in the
    # database, unless those of our own role are enough.
    Signal(
        name="foreground_backends",
        signal_class=SignalClass.SOFT,
        unit=Unit.COUNT,
        threshold=4.0,
        source=DatabaseSample,
        read=lambda now, before: now.foreground_backends,
        of_sessions=True,
    ),
    # Time per item of our own batches, against the same while nobody else was active. Items are not
    # equal (one room may cost a thousand small ones), so it only corroborates: the threshold is far
    # from 1. Not observable before a quiet moment was seen. The idea is MS Manners' (SOSP '99):
    # one's own progress shows contention that nothing else shows.
    Signal(
        name="batch_slowdown",
        signal_class=SignalClass.SOFT,
        unit=Unit.FACTOR,
        threshold=10.0,
        source=BatchSample,
        read=lambda now, before: now.slowdown,
    ),
    # Sessions that wait for a lock which a batch of ours holds, for over 100 ms. These are hurt for
    # certain, so we back off at once. Not observable without PostgreSQL; of sessions of other
    # roles, not without the role `pg_monitor`.
    Signal(
        name="blocked_sessions",
        signal_class=SignalClass.PANIC,
        unit=Unit.COUNT,
        threshold=1.0,
        source=DatabaseSample,
        read=lambda now, before: now.blocked_sessions,
        of_sessions=True,
    ),
    # Replay lag of the slowest replica of PostgreSQL. Seen on the primary only, and with the role
    # `pg_monitor` (or `pg_read_all_stats`). One that is connected and hangs is seen by the reply
    # that it owes. One that is not connected is not seen: `retained_wal` sees its slot.
    Signal(
        name="replica_lag",
        signal_class=SignalClass.BUDGET,
        unit=Unit.DURATION,
        threshold=10_000.0,
        source=DatabaseSample,
        read=lambda now, before: _ms(now.replica_lag_s),
    ),
    # Write-ahead log that PostgreSQL writes, of everybody's, since the last answer. Not observable
    # on a replica and without PostgreSQL.
    Signal(
        name="wal_rate",
        signal_class=SignalClass.BUDGET,
        unit=Unit.RATE,
        threshold=None,
        source=DatabaseSample,
        read=_wal_rate,
    ),
    # Write-ahead log that PostgreSQL keeps for the replication slot that is furthest behind. Only
    # the operator knows the room on that disk. Not observable without PostgreSQL.
    Signal(
        name="retained_wal",
        signal_class=SignalClass.BUDGET,
        unit=Unit.SIZE,
        threshold=None,
        source=DatabaseSample,
        read=lambda now, before: now.retained_wal_bytes,
    ),
    # Space left on the disk of the database. Cost: one `statvfs` in ten seconds. Not observable
    # where the path is neither configured nor known.
    Signal(
        name="disk_free",
        signal_class=SignalClass.BUDGET,
        unit=Unit.SIZE,
        threshold=float(1 << 30),
        source=CheckSample,
        read=lambda now, before: now.value,
        less_is_worse=True,
    ),
    # An autovacuum at work on the table of the update. It holds ten minutes at a time: it cleans up
    # after us, and an index build has to wait for it anyway. Not observable where the tables of an
    # update are not known, without PostgreSQL, and without the role `pg_monitor`.
    Signal(
        name="autovacuum",
        signal_class=SignalClass.BUDGET,
        unit=Unit.YES_NO,
        threshold=1.0,
        source=DatabaseSample,
        read=_autovacuum,
        about=lambda now: f"of {now.vacuumed_table}" if now.vacuumed_table else "",
        longest_hold_s=600.0,
    ),
    # Age of the oldest transaction of anybody else in the database. It holds the start of one-shots
    # only: `CREATE INDEX CONCURRENTLY` waits for every older transaction, and keeps rows from being
    # cleaned up meanwhile. Not observable without PostgreSQL; nor, without the role `pg_monitor`,
    # while sessions of other roles are in the database, unless one of our own role's is old enough.
    Signal(
        name="longest_transaction",
        signal_class=SignalClass.BUDGET,
        unit=Unit.DURATION,
        threshold=300_000.0,
        source=DatabaseSample,
        read=lambda now, before: _ms(now.longest_transaction_s),
        of_sessions=True,
        one_shot_only=True,
    ),
    # A file whose presence holds all updates, so that no command need run. Cost: one `stat` in ten
    # seconds. A path that cannot be looked at is taken for present.
    Signal(
        name="pause_file",
        signal_class=SignalClass.BUDGET,
        unit=Unit.YES_NO,
        threshold=None,
        source=CheckSample,
        read=lambda now, before: now.value,
        about=lambda now: now.about,
    ),
    # An HTTP check of the operator's: any answer but one of 200 to 299 holds all updates, and so
    # does no answer in time. Cost: one request in ten seconds.
    Signal(
        name="http",
        signal_class=SignalClass.BUDGET,
        unit=Unit.YES_NO,
        threshold=None,
        source=CheckSample,
        read=lambda now, before: now.value,
        about=lambda now: now.about,
    ),
    # A query of the operator's, whose first value is compared with the operator's threshold. Cost:
    # one statement in ten seconds, which may not write, and is ended after 250 ms. An error, no
    # answer in time, no row or NULL holds: what cannot be read is taken for the worst.
    Signal(
        name="sql",
        signal_class=SignalClass.BUDGET,
        unit=Unit.COUNT,
        threshold=None,
        source=CheckSample,
        read=lambda now, before: now.value,
    ),
)

SIGNALS = MappingProxyType({signal.name: signal for signal in _ALL})
