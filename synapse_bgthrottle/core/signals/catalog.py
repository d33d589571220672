"""All signals, in the order in which they are told: who adds one lists it here. Pure."""

from types import MappingProxyType

from synapse_bgthrottle.core.signals import check_signals, database_signals, process_signals

SIGNALS = MappingProxyType(
    {
        signal.name: signal
        for signal in (
            process_signals.EVENT_LOOP_LAG,
            process_signals.REACTOR_TICK,
            process_signals.POOL_WAIT,
            database_signals.DATABASE_POOL_WAIT,
            database_signals.DATABASE_QUERY,
            database_signals.FOREGROUND_BACKENDS,
            process_signals.BATCH_SLOWDOWN,
            database_signals.BLOCKED_SESSIONS,
            database_signals.REPLICA_LAG,
            database_signals.WAL_RATE,
            database_signals.RETAINED_WAL,
            check_signals.DISK_FREE,
            database_signals.AUTOVACUUM,
            database_signals.LONGEST_TRANSACTION,
            check_signals.PAUSE_FILE,
            check_signals.HTTP,
            check_signals.SQL,
        )
    }
)
