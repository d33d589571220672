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


def _datastores(api: Any) -> Any:
    return call(get(api, "_hs", "get_datastores"))


def _pools(api: Any) -> list[Any]:
    return call(list, get(_datastores(api), "databases")) or []


def _has_databases(api: Any) -> bool:
    """Whether each database has a name; the module cannot use one without."""
    pools = _pools(api)
    return bool(pools) and all(call(get(pool, "name")) is not None for pool in pools)


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


def _on_pools(*names: str) -> Check:
    def check(api: Any) -> bool:
        pools = _pools(api)
        return bool(pools) and all(_has(pool, *names) for pool in pools)

    return check


def _on_main_pool(name: str) -> Check:
    return lambda api: _has(get(_datastores(api), "main", "db_pool", "_db_pool"), name)


def _of_home_server(cost: str, *names: str, behind: str = "ModuleApi._hs") -> Detail:
    name = ".".join(("HomeServer", *names))
    return Detail(name, lambda api: _has(api, "_hs", *names), cost, behind)


def _of_section(name: str) -> Detail:
    return _of_home_server(
        f"{name} has no effect", "config", "background_updates", name, behind=_SECTION
    )


def _of_pool(cost: str, name: str, *names: str) -> Detail:
    return Detail(f"DatabasePool.{name}", _on_pools(name, *names), cost, _DATABASES)


def _of_updater(cost: str, name: str) -> Detail:
    check = _on_pools("updates", name)
    return Detail(f"BackgroundUpdater.{name}", check, cost, behind="DatabasePool.updates")


def _of_handlers(cost: str, name: str) -> Detail:
    behind = "BackgroundUpdater._background_update_handlers"
    return Detail(f"_BackgroundUpdateHandler.{name}", _on_handlers(name), cost, behind)


def _of_module(cost: str, module: str, *names: str) -> Detail:
    """Something in a module, or of a class there."""
    name = ".".join(names if len(names) > 1 else (module, *names))
    return Detail(name, lambda api: _has(import_module(module), *names), cost)


def _set_by(cost: str, module: str, class_name: str, method: str, attribute: str) -> Detail:
    """An attribute that this method sets; there is no instance to look at yet."""

    def check(api: Any) -> bool:
        function = get(import_module(module), class_name, method)
        return attribute in get(call(unwrap, function), "__code__", "co_names", default=())

    return Detail(f"{class_name}.{attribute}", check, cost)


_DATABASES = "HomeServer.get_datastores().databases"
_SECTION = "HomeServer.config.background_updates"
_UPDATES, _REQUESTS = "synapse.storage.background_updates", "synapse.http.request_metrics"
_CONTEXT, _ENGINES = "synapse.logging.context", "synapse.storage.engines"
_NO_SQL_CHECK = "the sql check cannot run, and holds all updates if it is configured"
_NO_LOCK_WAIT = "a batch that waits for a lock is shown as one that works"
_NO_ITEMS = "items are not counted: limits of items per second count what was asked for"

# A detail comes after the one through which it is reached.
DETAILS: tuple[Detail, ...] = (
    Detail(
        "ModuleApi._hs",
        lambda api: _has(api, "_hs"),
        "the server's settings, its databases, their queues and its workers are unknown",
    ),
    Detail(
        _DATABASES,
        _has_databases,
        "a database is known only once an update of it has begun; what is shown of the main one"
        " may be of another; its updater is unknown",
        behind="ModuleApi._hs",
    ),
    _of_pool("SQLite and PostgreSQL look alike: on SQLite requests get no gaps", "engine"),
    _of_pool(
        "only the main database can be asked: with split databases, the others' queue and load"
        " are unknown",
        "runInteraction",
    ),
    Detail(
        "HomeServer.get_datastores().main.db_pool._db_pool",
        _on_main_pool("connkw"),
        _NO_SQL_CHECK,
        behind="ModuleApi._hs",
    ),
    Detail("ConnectionPool.dbapiName", _on_main_pool("dbapiName"), _NO_SQL_CHECK, "ModuleApi._hs"),
    _of_pool(_NO_LOCK_WAIT, "_db_pool", "connections"),
    _of_pool(
        "Synapse's switch, its count of items, what it knows and whether it gave up are unknown",
        "updates",
    ),
    _of_updater("if updates are switched off during a wait, one more batch runs", "enabled"),
    _of_updater(_NO_ITEMS, "get_current_update"),
    _of_updater(
        "names that this version does not know, in the queue and in rules, are not reported;"
        " handlers of updates are unknown",
        "_background_update_handlers",
    ),
    _of_handlers("that an update is a one-shot is known only once it has begun", "oneshot"),
    _of_handlers(
        "the table of an index build is not known: an autovacuum of it does not hold the build",
        "callback",
    ),
    _of_updater(
        "another module that already controls the updates is not seen", "_on_update_callback"
    ),
    _of_updater(
        "whether Synapse gave up after five failures is not known,"
        " and no explanation mentions a silent database",
        "_running",
    ),
    _of_updater("whether Synapse gave up is guessed from its stop amid an update", "_aborted"),
    _of_updater(
        "that Synapse gave up is shown even after a new start came to its end", "_all_done"
    ),
    _of_updater(
        "updates that Synapse gave up, or does not work on, are not started again by the module",
        "start_doing_background_updates",
    ),
    _of_updater(
        "which update is first in the queue is known only once it has begun",
        "_current_background_update",
    ),
    _set_by(_NO_ITEMS, _UPDATES, "BackgroundUpdatePerformance", "__init__", "total_item_count"),
    _of_module(
        "batches get a target duration of 0; their sizes stay the same",
        _UPDATES,
        "BackgroundUpdatePerformance",
        "average_items_per_ms",
    ),
    _of_home_server(
        "settings of the section background_updates have no effect", "config", "background_updates"
    ),
    _of_section("sleep_enabled"),
    _of_section("sleep_duration_ms"),
    _of_section("update_duration_ms"),
    _of_section("default_batch_size"),
    _of_section("min_batch_size"),
    _of_home_server(
        "workers are unknown: clients are seen in the main process only",
        "config",
        "redis",
        "redis_enabled",
    ),
    _of_module(
        "requests in progress are not seen: batches do not wait for gaps between them, and on"
        " SQLite the adaptive pace is as slow as if clients were always there",
        _REQUESTS,
        "_in_flight_requests",
    ),
    _of_module(
        "a look at the requests sees nothing while another thread changes them",
        _REQUESTS,
        "_in_flight_requests_lock",
    ),
    _set_by(
        "requests that wait for other servers count as waiting clients",
        _REQUESTS,
        "RequestMetrics",
        "start",
        "start_ts",
    ),
    _set_by("long polls count as waiting clients", _REQUESTS, "RequestMetrics", "start", "name"),
    Detail(
        "ModuleApi.delayed_background_call",
        _has_timers,
        "there are no timers: nothing can be paused, there is no history, and no signal is"
        " read, so updates may use 9 % of the time while clients are here",
    ),
    _of_module(
        "locks and vacuums in the way are not seen, and a thread waits for a lock",
        "synapse.storage.database",
        "LoggingTransaction",
        "database_engine",
    ),
    _of_module(
        "PostgreSQL is not recognised: locks and vacuums in the way are not seen there",
        _ENGINES,
        "PostgresEngine",
    ),
    _of_module(
        "SQLite is not recognised: requests get no gaps there, and a thread waits for a lock",
        _ENGINES,
        "Sqlite3Engine",
    ),
    _of_module(
        "log lines may have the name of another request", _CONTEXT, "PreserveLoggingContext"
    ),
    _of_module(_NO_LOCK_WAIT, _CONTEXT, "current_context"),
    _of_module(_NO_LOCK_WAIT, _CONTEXT, "LoggingContext", "get_resource_usage"),
    _of_module(_NO_LOCK_WAIT, _CONTEXT, "ContextResourceUsage", "db_txn_count"),
    _of_module(
        "the metrics of requests leave out those to this module",
        "synapse.http.site",
        "SynapseRequest",
        "processing",
    ),
)
