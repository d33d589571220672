"""A virtual server without some of the private attributes that the module reads."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from importlib import import_module
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import synapse.app.homeserver  # noqa: F401 - with all metrics that a server has
from prometheus_client import REGISTRY

from testbed.virtual.server import VirtualServer

# They bring log contexts of their own.
_ANSWERING = ("api.concurrency",)

_METRICS = (
    "synapse_storage_schedule_time",
    "python_twisted_reactor_tick_time",
    "synapse_http_server_response_time_seconds",
    "synapse_http_server_response_count",
)
UPDATER = "_hs.get_datastores.databases.updates"

_MAIN_POOL = "_hs.get_datastores.main.db_pool._db_pool"
_SECTION = "_hs.config.background_updates"

# Where each detail is: below the API, calls and each of several being passed through.
_BELOW_API = {
    "ModuleApi._hs": "_hs",
    "HomeServer.get_datastores().databases": "_hs.get_datastores.databases",
    "DatabasePool.name()": "_hs.get_datastores.databases.name",
    "DatabasePool.engine": "_hs.get_datastores.databases.engine",
    "DatabasePool.runInteraction": "_hs.get_datastores.databases.runInteraction",
    "ConnectionPool.connkw": f"{_MAIN_POOL}.connkw",
    "ConnectionPool.dbapiName": f"{_MAIN_POOL}.dbapiName",
    "DatabasePool._db_pool.connections": "_hs.get_datastores.databases._db_pool.connections",
    "DatabasePool.updates": UPDATER,
    "BackgroundUpdater.enabled": f"{UPDATER}.enabled",
    "BackgroundUpdater.get_current_update": f"{UPDATER}.get_current_update",
    "BackgroundUpdater._background_update_handlers": f"{UPDATER}._background_update_handlers",
    "_BackgroundUpdateHandler.oneshot": f"{UPDATER}._background_update_handlers.oneshot",
    "_BackgroundUpdateHandler.callback": f"{UPDATER}._background_update_handlers.callback",
    "BackgroundUpdater._on_update_callback": f"{UPDATER}._on_update_callback",
    "BackgroundUpdater.start_doing_background_updates": (
        f"{UPDATER}.start_doing_background_updates"
    ),
    "BackgroundUpdater._running": f"{UPDATER}._running",
    "BackgroundUpdater._aborted": f"{UPDATER}._aborted",
    "BackgroundUpdater._all_done": f"{UPDATER}._all_done",
    "BackgroundUpdater._current_background_update": f"{UPDATER}._current_background_update",
    "HomeServer.config.background_updates": _SECTION,
    "HomeServer.config.background_updates.sleep_enabled": f"{_SECTION}.sleep_enabled",
    "HomeServer.config.background_updates.sleep_duration_ms": f"{_SECTION}.sleep_duration_ms",
    "HomeServer.config.background_updates.update_duration_ms": f"{_SECTION}.update_duration_ms",
    "HomeServer.config.background_updates.default_batch_size": f"{_SECTION}.default_batch_size",
    "HomeServer.config.background_updates.min_batch_size": f"{_SECTION}.min_batch_size",
    "HomeServer.config.redis.redis_enabled": "_hs.config.redis.redis_enabled",
    "ModuleApi.delayed_background_call": "delayed_background_call",
}
# The same below modules of Synapse.
_BELOW_MODULES = {
    "synapse.storage.background_updates": (
        "BackgroundUpdatePerformance.__init__.total_item_count",
        "BackgroundUpdatePerformance.average_items_per_ms",
    ),
    "synapse.http.request_metrics": (
        "_in_flight_requests",
        "_in_flight_requests_lock",
        "RequestMetrics.start.start_ts",
        "RequestMetrics.start.name",
    ),
    "synapse.storage.database": ("LoggingTransaction.database_engine",),
    "synapse.storage.engines": ("PostgresEngine", "Sqlite3Engine"),
    "synapse.logging.context": (
        "PreserveLoggingContext",
        "current_context",
        "LoggingContext.get_resource_usage",
        "ContextResourceUsage.db_txn_count",
    ),
    "synapse.http.site": ("SynapseRequest.processing",),
}
_IN_MODULES = {
    f"{module.rpartition('.')[2]}.{path}": (module, path)
    for module, paths in _BELOW_MODULES.items()
    for path in paths
}
HIDDEN = {**_BELOW_API, **{name: path for name, (_, path) in _IN_MODULES.items()}}
MODULE = {
    **dict.fromkeys(_BELOW_API, ""),
    **{name: module for name, (module, _) in _IN_MODULES.items()},
}
METRICS = frozenset(f"metric {name}" for name in _METRICS)
EVERYTHING = sorted(HIDDEN.keys() | METRICS)


class Lacking:
    """Something without some of its attributes, as far as what is reached through it goes.

    Args:
        thing: what it stands for.
        hidden: paths from here, with dots; calls, and each of several, are passed through.
    """

    def __init__(self, thing: Any, hidden: frozenset[str]) -> None:
        self._thing = thing
        self._hidden = hidden

    def __getattribute__(self, name: str) -> Any:
        # What a class sets is read from its own `__init__`, and not from the one above.
        if name == "__init__":
            return self.__getattr__(name)
        return super().__getattribute__(name)

    def __getattr__(self, name: str) -> Any:
        if name in self._hidden:
            raise AttributeError(name)
        start = f"{name}."
        below = frozenset(path[len(start) :] for path in self._hidden if path.startswith(start))
        return lacking(getattr(self._thing, name), below)


class LackingFunction:
    """A function that does not set some attributes, and of whose answer some are hidden."""

    def __init__(self, function: Any, hidden: frozenset[str]) -> None:
        self._function = function
        self._hidden = hidden
        names = getattr(getattr(function, "__code__", None), "co_names", ())
        self.__code__ = SimpleNamespace(co_names=set(names) - hidden)

    def __call__(self, *arguments: Any) -> Any:
        return lacking(self._function(*arguments), self._hidden)


def lacking(thing: Any, hidden: frozenset[str]) -> Any:
    if not hidden:
        return thing
    if isinstance(thing, list):
        return [lacking(each, hidden) for each in thing]
    if isinstance(thing, dict):
        return {key: lacking(each, hidden) for key, each in thing.items()}
    if callable(thing) and not isinstance(thing, type):
        return LackingFunction(thing, hidden)
    return Lacking(thing, hidden)


class Requests:
    """Requests in flight: one that has just come, a long poll, one that waits for a server."""

    def __init__(self, server: VirtualServer, hidden: frozenset[str]) -> None:
        self._server = server
        self._hidden = hidden
        self.are_there = False

    def __len__(self) -> int:
        return 3 * self.are_there

    def __iter__(self) -> Iterator[Any]:
        now_s = self._server.clock.time()
        for start_ts, name in ((now_s, "A"), (now_s, "SyncRestServlet"), (now_s - 9, "B")):
            if self.are_there:
                yield lacking(SimpleNamespace(start_ts=start_ts, name=name), self._hidden)


@contextmanager
def without(server: VirtualServer, *names: str) -> Iterator[Requests]:
    """The server lacks these; the requests in flight that it has."""
    hidden = {name: HIDDEN[name] for name in names if name in HIDDEN}
    by_module: dict[str, set[str]] = {}
    for name, path in hidden.items():
        by_module.setdefault(MODULE[name], set()).add(path)
    last = frozenset(path.rpartition(".")[2] for path in hidden.values())
    below_api = by_module.pop("", set())
    for name in last & {"total_item_count", "average_items_per_ms"}:
        below_api.add(f"{UPDATER}.get_current_update.{name}")
    server.api = lacking(server.api, frozenset(below_api))
    requests = Requests(server, last)
    gone = {name.removeprefix("metric ") for name in names}

    def import_what_is_there(module: str) -> Any:
        return lacking(import_module(module), frozenset(by_module.get(module, ())))

    collectors = REGISTRY._names_to_collectors
    left = {
        name: collector
        for name, collector in collectors.items()
        if name.removesuffix("_total").removesuffix("_sum") not in gone
    }
    places: dict[str, Any] = {
        "synapse_bgthrottle.homeserver.internals.compatibility.import_module": import_what_is_there
    }
    unseen = "_in_flight_requests" in last
    places["synapse_bgthrottle.homeserver.internals.server._requests"] = (
        None if unseen else requests
    )
    if "_in_flight_requests_lock" in last:
        places["synapse_bgthrottle.homeserver.internals.server._requests_lock"] = nullcontext()
    if "database_engine" in last:
        places["testbed.virtual.pool.Transaction.database_engine"] = None
    if "Sqlite3Engine" in last:
        places["testbed.virtual.pool.Transaction.database_engine"] = object()
    if "PreserveLoggingContext" in last:
        for user in (
            "homeserver.internals.guard",
            "homeserver.internals.bounded_calls",
            *_ANSWERING,
        ):
            places[f"synapse_bgthrottle.{user}.PreserveLoggingContext"] = nullcontext
    with ExitStack() as stack:
        stack.enter_context(patch.object(REGISTRY, "_names_to_collectors", left))
        for place, instead in places.items():
            stack.enter_context(patch(place, instead))
        yield requests
