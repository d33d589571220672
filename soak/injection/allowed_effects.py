"""Allowed effects of an error of our own: updates are held without a budget's value."""

from typing import Any

# How often a call fails in a life.
ALWAYS = 10**9
ONCE = 1

# A budget that is configured and cannot be read holds updates: that is its promise. By file, the
# beginnings of the calls that such a value needs. No other call of these files may hold updates.
_BY_DESIGN = {
    "homeserver.sampling.operator_checks": (
        "self._host.",
        "self._questions.",
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
        "batch_age_s(",
        "self._columns(",
        "self._lock_wait_s(",
        "self._replica_lag_s(",
        "self._owed_since_s.get(",
        "min(self._owed_since_s",
        "max(lag_s",
        "max(active - ours",
        "_float(build[1])",
        "float(value)",
    ),
    # The queue, which a release needs.
    "homeserver.internals.database": ("txn.execute('SET LOCAL lock_timeout",),
    "homeserver.internals.server": (
        "self._api.defer_to_thread(",
        "self._api.run_db_interaction(",
    ),
}
# The same for tracebacks: errors of our own on the way from a sample to a value.
_TOLD_BY_DESIGN = {
    "homeserver.internals.bounded_calls": ("partial(", "host.call_later("),
    "homeserver.sampling.poller": (
        "self.ask(",
        "self.host.",
        "self._answer()",
        "self.query(",
        "self.answer_of(",
        "self.pass_on(",
    ),
    "core.signals.signal_set": ("",),
    "core.signals.signal_state": ("",),
    "homeserver.internals.guard": ("getattr(thing, name",),  # Synapse's timers, and everything else
    "homeserver.internals.server": (
        "get(self._api, 'delayed_background_call')",
        "delayed(delay_s",
    ),
    "homeserver.composition": ("self._throttle.observe(",),
    "homeserver.sampling.sampler": (
        "self._host.now_s()",
        "self._host.wall_s()",
        "timer.late_s(",
        "self._host.reporting(",
        "self._pass_on(",
        "partial(",
        "look()",
        "check()",
        "sample(",
        "CheckSample(",
        "self._observe(",
    ),
    "homeserver.internals.timers": (
        "self._delayed(delay_s",
        "self._now_s()",
        "self._wall_s()",
        "Timer(",
        "self._pending.append(",
        "self.call_overdue(",
        "max(",
        "min(now_s",
    ),
    "core.scheduling.throttle": (
        "isinstance(sample, DatabaseSample)",
        "self.databases.items()",
        "database.board.observe(",
    ),
}

# Synapse's own calls that begin an answer or wait for one. Twisted logs each such request, and each
# unhandled answer.
_TAKEN_FOR_GRANTED = (
    "run_in_background(self._serve, request)",
    "make_deferred_yieldable(self._running)",
    "make_deferred_yieldable(waiter)",
    "PreserveLoggingContext()",
    "self._waiter.callback(None)",
)


def not_forgiven(name: str, times: int, lived: Any) -> list[str]:
    """What is wrong with a life in which this call failed so often.

    By design, only a lasting error may hold updates or be logged again, and no iteration may fail.
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
