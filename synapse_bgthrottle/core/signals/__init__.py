"""What can be known of the server's load: one small file for each signal. Pure."""

from types import MappingProxyType

from synapse_bgthrottle.core.signals import (
    autovacuum,
    batch_slowdown,
    blocked_sessions,
    database_pool_wait,
    database_query,
    disk_free,
    event_loop_lag,
    foreground_backends,
    http,
    longest_transaction,
    pause_file,
    pool_wait,
    reactor_tick,
    replica_lag,
    retained_wal,
    sql,
    wal_rate,
)
from synapse_bgthrottle.core.signals.signal import Signal, SignalClass, Unit

# In the order in which they are told.
SIGNALS = MappingProxyType(
    {
        module.SIGNAL.name: module.SIGNAL
        for module in (
            event_loop_lag,
            reactor_tick,
            pool_wait,
            database_pool_wait,
            database_query,
            foreground_backends,
            batch_slowdown,
            blocked_sessions,
            replica_lag,
            wal_rate,
            retained_wal,
            disk_free,
            autovacuum,
            longest_transaction,
            pause_file,
            http,
            sql,
        )
    }
)

__all__ = ["SIGNALS", "Signal", "SignalClass", "Unit"]
