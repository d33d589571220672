"""Private attributes that this version of Synapse lacks, and what the module loses by that.

The module can throttle without any of them. Other files access them with a guard. Here they are
checked once at the start, so that administrators learn of a gap. Some never existed in old
versions. This is the only list of them, and a test compares it with the module's files.
"""

from collections.abc import Callable, Iterator
from importlib import import_module
from inspect import unwrap
from typing import Any

import attrs
from synapse.module_api import ModuleApi

from synapse_bgthrottle.homeserver.internals.guard import call, get
from synapse_bgthrottle.homeserver.internals.synapse_metrics import ServerMetrics
from synapse_bgthrottle.schema import MissingDetail

# Given the module API, whether a detail exists. It may raise if it does not.
Check = Callable[[Any], bool]


@attrs.frozen
class Detail:
    """A private detail of Synapse.

    Attributes:
        name: its class or module, and its own name.
        is_there: checks whether it exists.
        cost: what the module cannot do without it.
        behind: another detail through which this one is reached; empty: none.
    """

    name: str
    is_there: Check
    cost: str
    behind: str = ""


def missing(api: ModuleApi) -> tuple[MissingDetail, ...]:
    """What this version lacks, without what is only reached through something missing."""
    return (*_missing_details(api), *_missing_metrics())


def _missing_details(api: ModuleApi) -> Iterator[MissingDetail]:
    gone: set[str] = set()
    for detail in DETAILS:
        if detail.behind in gone:
            gone.add(detail.name)
        elif not _is_there(api, detail):
            gone.add(detail.name)
            yield MissingDetail(name=detail.name, cost=detail.cost)


def _missing_metrics() -> Iterator[MissingDetail]:
    for metric, cost in ServerMetrics().unreadable():
        yield MissingDetail(name=f"metric {metric}", cost=cost)


def _is_there(api: ModuleApi, detail: Detail) -> bool:
    return bool(call(detail.is_there, api))  # a property of a later version may raise anything


def _has(thing: Any, *names: str) -> bool:
    """Whether it has an attribute that has an attribute ...; the last one may be None."""
    *way, last = names
    for name in way:
        thing = getattr(thing, name)
    return hasattr(thing, last)


def _at_api(*names: str) -> Check:
    return lambda api: _has(api, *names)


def _in_module(module: str, *names: str) -> Check:
    return lambda api: _has(import_module(module), *names)


def _sets(module: str, class_name: str, method: str, attribute: str) -> Check:
    """Whether this method sets the attribute; there is no instance to look at yet."""

    def check(api: Any) -> bool:
        function = get(import_module(module), class_name, method)
        return attribute in get(call(unwrap, function), "__code__", "co_names", default=())

    return check


def _datastores(api: Any) -> Any:
    return call(get(api, "_hs", "get_datastores"))


def _pools(api: Any) -> list[Any]:
    return call(list, get(_datastores(api), "databases")) or []


def _has_databases(api: Any) -> bool:
    """Whether each database has a name; the module cannot use one without."""
    pools = _pools(api)
    return bool(pools) and all(call(get(pool, "name")) is not None for pool in pools)


def _on_pools(*names: str) -> Check:
    def check(api: Any) -> bool:
        pools = _pools(api)
        return bool(pools) and all(_has(pool, *names) for pool in pools)

    return check


def _on_main_pool(name: str) -> Check:
    return lambda api: _has(get(_datastores(api), "main", "db_pool", "_db_pool"), name)


def _on_handlers(name: str) -> Check:
    """Whether all handlers have it; true without handlers."""

    def check(api: Any) -> bool:
        for pool in _pools(api):
            handlers = get(pool, "updates", "_background_update_handlers", "values")
            if not all(_has(handler, name) for handler in handlers()):
                return False
        return True

    return check


def _has_timers(api: Any) -> bool:
    clock = get(api, "_hs", "get_clock")  # before Synapse 1.90
    return hasattr(api, "delayed_background_call") or _has(call(clock), "call_later")


def _of_updater(name: str, cost: str) -> Detail:
    check = _on_pools("updates", name)
    return Detail(f"BackgroundUpdater.{name}", check, cost, behind="DatabasePool.updates")


def _of_section(name: str) -> Detail:
    section = "HomeServer.config.background_updates"
    check = _at_api("_hs", "config", "background_updates", name)
    return Detail(f"{section}.{name}", check, f"{name} has no effect", section)


# A detail comes after the one through which it is reached.
DETAILS: tuple[Detail, ...] = (
    Detail(
        "ModuleApi._hs",
        _at_api("_hs"),
        "the server's settings, its databases, their queues and its workers are unknown",
    ),
    Detail(
        "HomeServer.get_datastores().databases",
        _has_databases,
        "a database is known only once an update of it has begun; what is shown of the main one"
        " may be of another; its updater is unknown",
        behind="ModuleApi._hs",
    ),
    Detail(
        "DatabasePool.engine",
        _on_pools("engine"),
        "SQLite and PostgreSQL look alike: on SQLite requests get no gaps",
        behind="HomeServer.get_datastores().databases",
    ),
    Detail(
        "DatabasePool.runInteraction",
        _on_pools("runInteraction"),
        "only the main database can be asked: with split databases, the others' queue and load"
        " are unknown",
        behind="HomeServer.get_datastores().databases",
    ),
    Detail(
        "HomeServer.get_datastores().main.db_pool._db_pool",
        _on_main_pool("connkw"),
        "the sql check cannot run, and holds all updates if it is configured",
        behind="ModuleApi._hs",
    ),
    Detail(
        "ConnectionPool.dbapiName",
        _on_main_pool("dbapiName"),
        "the sql check cannot run, and holds all updates if it is configured",
        behind="ModuleApi._hs",
    ),
    Detail(
        "DatabasePool._db_pool",
        _on_pools("_db_pool", "connections"),
        "a batch that waits for a lock of somebody else counts as one that works",
        behind="HomeServer.get_datastores().databases",
    ),
    Detail(
        "DatabasePool.updates",
        _on_pools("updates"),
        "Synapse's switch, its count of items, what it knows and whether it gave up are unknown",
        behind="HomeServer.get_datastores().databases",
    ),
    _of_updater("enabled", "if updates are switched off during a wait, one more batch runs"),
    _of_updater(
        "get_current_update",
        "items are not counted: limits of items per second count what was asked for",
    ),
    _of_updater(
        "_background_update_handlers",
        "names that this version does not know, in the queue and in rules, are not reported;"
        " handlers of updates are unknown",
    ),
    Detail(
        "_BackgroundUpdateHandler.oneshot",
        _on_handlers("oneshot"),
        "that an update is a one-shot is known only once it has begun",
        behind="BackgroundUpdater._background_update_handlers",
    ),
    Detail(
        "_BackgroundUpdateHandler.callback",
        _on_handlers("callback"),
        "the table of an index build is not known: an autovacuum of it does not hold the build",
        behind="BackgroundUpdater._background_update_handlers",
    ),
    _of_updater(
        "_on_update_callback",
        "another module that already controls the updates is not seen",
    ),
    _of_updater(
        "_running",
        "whether Synapse gave up after five failures is not known,"
        " and no explanation mentions a silent database",
    ),
    _of_updater("_aborted", "whether Synapse gave up is guessed from its stop amid an update"),
    _of_updater(
        "_all_done", "that Synapse gave up is shown even after a new start came to its end"
    ),
    _of_updater(
        "start_doing_background_updates",
        "updates that Synapse gave up, or does not work on, are not started again by the module",
    ),
    _of_updater(
        "_current_background_update",
        "which update is first in the queue is known only once it has begun",
    ),
    Detail(
        "BackgroundUpdatePerformance.total_item_count",
        _sets(
            "synapse.storage.background_updates",
            "BackgroundUpdatePerformance",
            "__init__",
            "total_item_count",
        ),
        "items are not counted: limits of items per second count what was asked for",
    ),
    Detail(
        "BackgroundUpdatePerformance.average_items_per_ms",
        _in_module(
            "synapse.storage.background_updates",
            "BackgroundUpdatePerformance",
            "average_items_per_ms",
        ),
        "batches get a target duration of 0; their sizes stay the same",
    ),
    Detail(
        "HomeServer.config.background_updates",
        _at_api("_hs", "config", "background_updates"),
        "settings of the section background_updates have no effect",
        behind="ModuleApi._hs",
    ),
    _of_section("sleep_enabled"),
    _of_section("sleep_duration_ms"),
    _of_section("update_duration_ms"),
    _of_section("default_batch_size"),
    _of_section("min_batch_size"),
    Detail(
        "HomeServer.config.redis.redis_enabled",
        _at_api("_hs", "config", "redis", "redis_enabled"),
        "workers are unknown: clients are seen in the main process only",
        behind="ModuleApi._hs",
    ),
    Detail(
        "synapse.http.request_metrics._in_flight_requests",
        _in_module("synapse.http.request_metrics", "_in_flight_requests"),
        "requests in progress are not seen: batches do not wait for gaps between them, and on"
        " SQLite the adaptive pace is as slow as if clients were always there",
    ),
    Detail(
        "synapse.http.request_metrics._in_flight_requests_lock",
        _in_module("synapse.http.request_metrics", "_in_flight_requests_lock"),
        "a look at the requests sees nothing while another thread changes them",
    ),
    Detail(
        "RequestMetrics.start_ts",
        _sets("synapse.http.request_metrics", "RequestMetrics", "start", "start_ts"),
        "requests that wait for other servers count as waiting clients",
    ),
    Detail(
        "RequestMetrics.name",
        _sets("synapse.http.request_metrics", "RequestMetrics", "start", "name"),
        "long polls count as waiting clients",
    ),
    Detail(
        "ModuleApi.delayed_background_call",
        _has_timers,
        "there are no timers: nothing can be paused, there is no history, and no signal is"
        " read, so updates may use 9 % of the time while clients are here",
    ),
    Detail(
        "LoggingTransaction.database_engine",
        _in_module("synapse.storage.database", "LoggingTransaction", "database_engine"),
        "locks and vacuums in the way are not seen, and a thread waits for a lock",
    ),
    Detail(
        "synapse.storage.engines.PostgresEngine",
        _in_module("synapse.storage.engines", "PostgresEngine"),
        "PostgreSQL is not recognised: locks and vacuums in the way are not seen there",
    ),
    Detail(
        "synapse.storage.engines.Sqlite3Engine",
        _in_module("synapse.storage.engines", "Sqlite3Engine"),
        "SQLite is not recognised: requests get no gaps there, and a thread waits for a lock",
    ),
    Detail(
        "synapse.logging.context.PreserveLoggingContext",
        _in_module("synapse.logging.context", "PreserveLoggingContext"),
        "log lines may have the name of another request",
    ),
    Detail(
        "synapse.logging.context.current_context",
        _in_module("synapse.logging.context", "current_context"),
        "a batch that waits for a lock of somebody else counts as one that works",
    ),
    Detail(
        "LoggingContext.get_resource_usage",
        _in_module("synapse.logging.context", "LoggingContext", "get_resource_usage"),
        "a batch that waits for a lock of somebody else counts as one that works",
    ),
    Detail(
        "ContextResourceUsage.db_txn_count",
        _in_module("synapse.logging.context", "ContextResourceUsage", "db_txn_count"),
        "a batch that waits for a lock of somebody else counts as one that works",
    ),
    Detail(
        "SynapseRequest.processing",
        _in_module("synapse.http.site", "SynapseRequest", "processing"),
        "the metrics of requests leave out those to this module",
    ),
)
