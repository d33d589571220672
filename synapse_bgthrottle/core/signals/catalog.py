"""All signals, in the order in which reports list them: to add one, add it here. Pure.

`docs/signals.md` says of each what it sees, and when it cannot be read.
"""

from types import MappingProxyType
from typing import Any

from synapse_bgthrottle.core.signals.samples import (
    BatchSample,
    CheckSample,
    DatabaseSample,
    ProcessSample,
)
from synapse_bgthrottle.core.signals.signal import NoRateYetError, Read, Signal, SignalClass, Unit

_SOFT, _BUDGET, _PANIC = SignalClass.SOFT, SignalClass.BUDGET, SignalClass.PANIC
_MS, _COUNT, _SIZE, _YES_NO = Unit.DURATION, Unit.COUNT, Unit.SIZE, Unit.YES_NO

# A mean over a longer time tells nothing of the present.
_LONGEST_RATE_S = 60.0


def _field(name: str, factor: float = 1.0) -> Read:
    """Reads a field of the sample."""

    def read(now: Any, before: Any) -> float | None:
        value = getattr(now, name)
        return None if value is None else value * factor

    return read


def _mean_ms(total: str, count: str) -> Read:
    """Reads the mean in ms of what was added since the sample before; 0: nothing was added.

    If a sum or count shrank, its counter was reset, and the mean is unknown.
    """

    def read(now: Any, before: Any) -> float | None:
        if before is None:
            return None
        values = [getattr(at, name) for name in (total, count) for at in (now, before)]
        if None in values:
            return None
        added_s, added = values[0] - values[1], values[2] - values[3]
        if added < 0 or added_s < 0:
            return None
        return float(added_s / added * 1000) if added else 0.0

    return read


def _wal_rate(now: DatabaseSample, before: DatabaseSample | None) -> float | None:
    if now.wal_bytes is None:
        return None
    if before is None or before.wal_bytes is None:
        raise NoRateYetError
    written, passed_s = now.wal_bytes - before.wal_bytes, now.at_s - before.at_s
    if written < 0 or not 0 < passed_s <= _LONGEST_RATE_S:  # after a failover, or a long pause
        raise NoRateYetError
    return written / passed_s


_ALL = (
    # Cost of the process's signals: one timer, four times a second while updates are pending.
    Signal("event_loop_lag", _SOFT, _MS, 50.0, ProcessSample, _field("timer_late_s", 1000)),
    Signal("reactor_tick", _SOFT, _MS, 50.0, ProcessSample, _mean_ms("tick_s", "ticks")),
    Signal("pool_wait", _SOFT, _MS, 10.0, ProcessSample, _mean_ms("pool_wait_s", "pool_waits")),
    # Cost of the database's signals: one transaction a second, which all of them share.
    Signal("database_pool_wait", _SOFT, _MS, 10.0, DatabaseSample, _field("pool_wait_s", 1000)),
    # The threshold counts from the least value of late, as in LEDBAT (RFC 6817): the distance to
    # the database is no load.
    Signal(
        "database_query", _SOFT, _MS, 20.0, DatabaseSample, _field("query_s", 1000), base_s=600.0
    ),
    Signal(
        "foreground_backends",
        _SOFT,
        _COUNT,
        4.0,
        DatabaseSample,
        _field("foreground_backends"),
        of_sessions=True,
    ),
    # One's own progress shows contention that nothing else shows (MS Manners, SOSP '99). Items
    # differ: one room may cost as much as a thousand small ones. So the threshold is far from 1.
    Signal("batch_slowdown", _SOFT, Unit.FACTOR, 10.0, BatchSample, _field("slowdown")),
    # We certainly slow these sessions down, so batches stop at once.
    Signal(
        "blocked_sessions",
        _PANIC,
        _COUNT,
        1.0,
        DatabaseSample,
        _field("blocked_sessions"),
        of_sessions=True,
    ),
    Signal("replica_lag", _BUDGET, _MS, 10_000.0, DatabaseSample, _field("replica_lag_s", 1000)),
    Signal("wal_rate", _BUDGET, Unit.RATE, None, DatabaseSample, _wal_rate),
    Signal("retained_wal", _BUDGET, _SIZE, None, DatabaseSample, _field("retained_wal_bytes")),
    # Cost: one `statvfs` in ten seconds.
    Signal("disk_free", _BUDGET, _SIZE, 2.0**30, CheckSample, _field("value"), less_is_worse=True),
    Signal(
        "autovacuum",
        _BUDGET,
        _YES_NO,
        1.0,
        DatabaseSample,
        _field("autovacuum"),
        about=lambda now: f"of {now.vacuumed_table}" if now.vacuumed_table else "",
        longest_hold_s=600.0,
    ),
    # `CREATE INDEX CONCURRENTLY` waits for every older transaction, and meanwhile prevents the
    # cleanup of rows.
    Signal(
        "longest_transaction",
        _BUDGET,
        _MS,
        300_000.0,
        DatabaseSample,
        _field("longest_transaction_s", 1000),
        of_sessions=True,
        one_shot_only=True,
    ),
    *(
        Signal(
            name, _BUDGET, _YES_NO, None, CheckSample, _field("value"), about=lambda now: now.about
        )
        for name in ("pause_file", "http")
    ),
    Signal("sql", _BUDGET, _COUNT, None, CheckSample, _field("value")),
)

SIGNALS = MappingProxyType({signal.name: signal for signal in _ALL})
