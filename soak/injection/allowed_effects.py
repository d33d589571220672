"""What a life with an error of our own may do by design: hold updates without a budget's value."""

from __future__ import annotations

from typing import Any

# How often a call fails.
ALWAYS = 10**9
ONCE = 1

# A budget that is set and cannot be read holds updates: that is its promise. By file, the
# beginnings of the calls without which there is no value of a budget that the lives set: nothing
# else of these files may hold.
_BY_DESIGN = {
    "homeserver.sampling.operator_checks": (
        "self._host.",
        "self._questions.",
        "CheckSample(",
        "shutil.disk_usage(",
        "min(",
        "float(",
        "os.stat(",
        "engine_of(txn)",
        "txn.",
    ),
    "homeserver.sampling.http_check": ("",),
    "homeserver.sampling.sql_check": ("",),
    "homeserver.sampling.database_sampler": (
        "txn.",
        "bool(vacuum)",
        "self._look(",
        "self._lock_wait_s(",
        "self._replica_lag_s(",
        "self._owed_since_s.get(",
        "min(self._owed_since_s",
        "max(lag_s",
        "max(active - ours",
        "_float(build[1])",
        "float(value)",
    ),
    # The queue, without which nothing can be released.
    "homeserver.internals.database": ("txn.execute('SET LOCAL lock_timeout",),
    "homeserver.internals.server": (
        "self._api.defer_to_thread(",
        "self._api.run_db_interaction(",
    ),
}
# The same of what is told with a traceback: errors of ours on the way from looking to a value.
_TOLD_BY_DESIGN = {
    "homeserver.internals.bounded_calls": ("partial(", "host.call_later("),
    "homeserver.sampling.poller": (
        "self.ask(",
        "Call(",
        "self._answer()",
        "self._question.",
        "self._pass_on(",
    ),
    "core.signals.signal_set": ("",),
    "core.signals.signal_state": ("",),
    "homeserver.internals.guard": ("getattr(thing, name",),  # Synapse's timers, and all else
    "homeserver.internals.server": (
        "get(self._api, 'delayed_background_call')",
        "delayed(delay_s",
        "self._timers.call_later(",
    ),
    "homeserver.composition": ("self._throttle.observe(",),
    "homeserver.sampling.sampler": (
        "self._host.now_s()",
        "self._host.wall_s()",
        "timer.late_s(",
        "self._guarded(",
        "partial(",
        "look()",
        "self._observe(",
    ),
    "homeserver.internals.timers": (
        "self._delayed(delay_s",
        "self._now_s()",
        "self._wall_s()",
        "Timer(",
        "self._pending.append(",
        "max(",
        "min(now_s",
    ),
    "core.scheduling.throttle": (
        "isinstance(sample, DatabaseSample)",
        "self.databases.items()",
        "database.board.observe(",
    ),
}

# Synapse's own, with which answering begins, and with which answers are waited for: Twisted tells
# of each request, and of each answer that nobody took.
_TAKEN_FOR_GRANTED = (
    "run_in_background(self._serve, request)",
    "make_deferred_yieldable(self._running)",
    "make_deferred_yieldable(waiter)",
    "PreserveLoggingContext()",
    "self._waiter.callback(None)",
)


def not_forgiven(name: str, times: int, lived: Any) -> list[str]:
    """What is wrong with the life in which this call failed so often.

    By design, only an error that stays may hold updates, or be told again; and nothing may fail.
    """
    place, _, called = name.partition(" ")
    file = place.split(":")[0]
    may_hold = called.startswith(_BY_DESIGN.get(file, ("never",))) and not lived.tracebacks
    may_hold = may_hold or called.startswith(_TOLD_BY_DESIGN.get(file, ("never",)))
    wrong = list(lived.failed)
    if not (times == ALWAYS and may_hold and lived.is_closed):
        wrong += lived.held
    if not (times == ALWAYS and name.endswith(_TAKEN_FOR_GRANTED)):
        wrong += lived.told
    return wrong
