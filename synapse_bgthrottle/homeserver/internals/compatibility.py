"""Private attributes that this version of Synapse lacks, and what the module loses by that.

The module can throttle without any of them. Other files access them with a guard. Here they are
checked once at the start, so that administrators learn of a gap. Some never existed in old
versions. This is the only list of them, and a test compares it with the module's files.
"""

from collections.abc import Iterator
from importlib import import_module
from inspect import unwrap
from types import MappingProxyType
from typing import Any

from synapse.module_api import ModuleApi

from synapse_bgthrottle.homeserver.internals.guard import call, get
from synapse_bgthrottle.homeserver.internals.synapse_metrics import ServerMetrics
from synapse_bgthrottle.schema import MissingDetail

_POOLS = "_hs.get_datastores().databases[]"

# How to reach the owner of an attribute: from the module API, or from a module, with a colon after
# it. `f()` is the function's answer, and `all[]` is each element.
_OWNERS = {
    "ModuleApi": "",
    "HomeServer": "_hs.",
    "ConnectionPool": "_hs.get_datastores().main.db_pool._db_pool.",
    "DatabasePool": f"{_POOLS}.",
    "BackgroundUpdater": f"{_POOLS}.updates.",
    "_BackgroundUpdateHandler": f"{_POOLS}.updates._background_update_handlers.values()[].",
    "background_updates": "synapse.storage.background_updates:",
    "request_metrics": "synapse.http.request_metrics:",
    "database": "synapse.storage.database:",
    "engines": "synapse.storage.engines:",
    "context": "synapse.logging.context:",
    "site": "synapse.http.site:",
}

_NO_DATABASES = (
    "a database is known only once an update of it has begun; what is shown of the main one may be"
    " of another; its updater is unknown"
)
_NO_SQL_CHECK = "the sql check cannot run, and holds all updates if it is configured"
_NO_LOCK_WAIT = "a batch that waits for a lock is shown as one that works"
_NO_ITEMS = "items are not counted: limits of items per second count what was asked for"

# What the module cannot do without each attribute, by its owner and its name. An attribute that a
# function sets stands behind that function: there is no instance to look at yet.
COSTS = MappingProxyType(
    {
        "ModuleApi._hs": "the server's settings, its databases, their queues and its workers are"
        " unknown",
        "ModuleApi.delayed_background_call": "there are no timers: nothing can be paused, there is"
        " no history, and no signal is read, so updates may use 9 % of the time while clients are"
        " here",
        "HomeServer.get_datastores().databases": _NO_DATABASES,
        "HomeServer.config.background_updates": "settings of the section background_updates have"
        " no effect",
        "HomeServer.config.background_updates.sleep_enabled": "sleep_enabled has no effect",
        "HomeServer.config.background_updates.sleep_duration_ms": "sleep_duration_ms has no effect",
        "HomeServer.config.background_updates.update_duration_ms": "update_duration_ms has no"
        " effect",
        "HomeServer.config.background_updates.default_batch_size": "default_batch_size has no"
        " effect",
        "HomeServer.config.background_updates.min_batch_size": "min_batch_size has no effect",
        "HomeServer.config.redis.redis_enabled": "workers are unknown: clients are seen in the"
        " main process only",
        "ConnectionPool.connkw": _NO_SQL_CHECK,
        "ConnectionPool.dbapiName": _NO_SQL_CHECK,
        "DatabasePool.name()": _NO_DATABASES,
        "DatabasePool.engine": "SQLite and PostgreSQL look alike: on SQLite requests get no gaps",
        "DatabasePool.runInteraction": "only the main database can be asked: with split databases,"
        " the others' queue and load are unknown",
        "DatabasePool._db_pool.connections": _NO_LOCK_WAIT,
        "DatabasePool.updates": "Synapse's switch, its count of items, what it knows and whether it"
        " gave up are unknown",
        "BackgroundUpdater.enabled": "if updates are switched off during a wait, one more batch"
        " runs",
        "BackgroundUpdater.get_current_update": _NO_ITEMS,
        "BackgroundUpdater._background_update_handlers": "names that this version does not know, in"
        " the queue and in rules, are not reported; handlers of updates are unknown",
        "_BackgroundUpdateHandler.oneshot": "that an update is a one-shot is known only once it has"
        " begun",
        "_BackgroundUpdateHandler.callback": "the table of an index build is not known: an"
        " autovacuum of it does not hold the build",
        "BackgroundUpdater._on_update_callback": "another module that already controls the updates"
        " is not seen",
        "BackgroundUpdater._running": "whether Synapse gave up after five failures is not known,"
        " and no explanation mentions a silent database",
        "BackgroundUpdater._aborted": "whether Synapse gave up is guessed from its stop amid an"
        " update",
        "BackgroundUpdater._all_done": "that Synapse gave up is shown even after a new start came"
        " to its end",
        "BackgroundUpdater.start_doing_background_updates": "updates that Synapse gave up, or does"
        " not work on, are not started again by the module",
        "BackgroundUpdater._current_background_update": "which update is first in the queue is"
        " known only once it has begun",
        "background_updates.BackgroundUpdatePerformance.__init__.total_item_count": _NO_ITEMS,
        "background_updates.BackgroundUpdatePerformance.average_items_per_ms": "batches get a"
        " target duration of 0; their sizes stay the same",
        "request_metrics._in_flight_requests": "requests in progress are not seen: batches do not"
        " wait for gaps between them, and on SQLite the adaptive pace is as slow as if clients were"
        " always there",
        "request_metrics._in_flight_requests_lock": "a look at the requests sees nothing while"
        " another thread changes them",
        "request_metrics.RequestMetrics.start.start_ts": "requests that wait for other servers"
        " count as waiting clients",
        "request_metrics.RequestMetrics.start.name": "long polls count as waiting clients",
        "database.LoggingTransaction.database_engine": "locks and vacuums in the way are not"
        " seen, and a thread waits for a lock",
        "engines.PostgresEngine": "PostgreSQL is not recognised: locks and vacuums in the way are"
        " not seen there",
        "engines.Sqlite3Engine": "SQLite is not recognised: requests get no gaps there, and a"
        " thread waits for a lock",
        "context.PreserveLoggingContext": "log lines may have the name of another request",
        "context.current_context": _NO_LOCK_WAIT,
        "context.LoggingContext.get_resource_usage": _NO_LOCK_WAIT,
        "context.ContextResourceUsage.db_txn_count": _NO_LOCK_WAIT,
        "site.SynapseRequest.processing": "the metrics of requests leave out those to this module",
    }
)


def missing(api: ModuleApi) -> Iterator[MissingDetail]:
    """What this version lacks, without what is only reached through something missing."""
    gone: list[str] = []
    for name, cost in COSTS.items():
        owner, _, attribute = name.partition(".")
        path = _OWNERS[owner] + attribute
        if not path.startswith(tuple(gone)) and not _is_there(api, path):
            gone += (f"{path}.", f"{path}[")
            yield MissingDetail(name=name, cost=cost)
    for metric, cost in ServerMetrics().unreadable():
        yield MissingDetail(name=f"metric {metric}", cost=cost)


def _is_there(api: ModuleApi, path: str) -> bool:
    module, is_below_module, way = path.rpartition(":")
    # a property of a later version may raise anything
    if is_below_module:
        return bool(call(lambda: _has(import_module(module), way)))
    has_clock = path == "delayed_background_call" and get(
        call(get(api, "_hs", "get_clock")), "call_later"
    )  # which are the timers before Synapse 1.90
    return bool(has_clock or call(_has, api, way))


def _has(thing: Any, way: str) -> bool:
    """Whether it has an attribute that has an attribute ...; the last one may be None."""
    step, _, rest = way.partition(".")
    name = step.removesuffix("[]").removesuffix("()")
    code = get(call(unwrap, thing), "__code__")
    if code is not None:
        return name in code.co_names
    has_it = hasattr(thing, name)
    thing = getattr(thing, name)
    if "()" in step:
        thing = thing()
        has_it = thing is not None
    each = list(thing) if step.endswith("[]") else [thing]
    return has_it and (not rest or all(_has(one, rest) for one in each))
