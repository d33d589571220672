"""Which private details of Synapse this version lacks, and what that costs: the one list of them.

None is needed to throttle. What is asked for elsewhere with a guard is looked for here once, at the
start, so that it is told and not noticed. Some were never there in old versions.
"""

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from importlib import import_module
from typing import Any

import attrs
from synapse import module_api
from synapse.module_api import ModuleApi

from synapse_bgthrottle import guarded, homeserver, server_metrics
from synapse_bgthrottle.guarded import call, get

_DATABASES = ("_hs", "get_datastores()", "databases")
_POOL = (*_DATABASES, "*")
_UPDATER = (*_POOL, "updates")


@attrs.frozen
class MissingDetail:
    """A private detail that is not there.

    Attributes:
        name: its class and its own, or its module and its own.
        cost: what the module cannot do without it.
    """

    name: str
    cost: str

    def to_json(self) -> dict[str, str]:
        return {"name": self.name, "cost": self.cost}


@attrs.frozen
class _Detail:
    """Where to find one, from the module API; `()` calls, `*` is each of several."""

    name: str
    path: tuple[str, ...]
    cost: str


_DETAILS = (
    _Detail(
        "ModuleApi._hs",
        ("_hs",),
        "nothing is known of the server's settings, its databases, their queues and its workers",
    ),
    _Detail(
        "HomeServer.get_datastores().databases",
        (*_POOL, "name()"),
        "a database is known only once an update of it has begun; what is said of the main one"
        " may be of another; nothing of its updater is known",
    ),
    _Detail(
        "DatabasePool.engine",
        (*_POOL, "engine"),
        "SQLite and PostgreSQL are not told apart: on SQLite requests get no gaps",
    ),
    _Detail(
        "DatabasePool.runInteraction",
        (*_POOL, "runInteraction"),
        "only the main database can be asked: with split databases, the others' queue and load"
        " are unknown",
    ),
    _Detail(
        "DatabasePool._db_pool",
        (*_POOL, "_db_pool", "connections"),
        "a batch that waits for somebody's lock counts as one that works",
    ),
    _Detail(
        "DatabasePool.updates",
        _UPDATER,
        "Synapse's switch, its count of items, what it knows and whether it gave up are unknown",
    ),
    _Detail(
        "BackgroundUpdater.enabled",
        (*_UPDATER, "enabled"),
        "where updates are switched off during a wait, one more batch runs",
    ),
    _Detail(
        "BackgroundUpdater.get_current_update",
        (*_UPDATER, "get_current_update"),
        "items are not counted: limits of items per second count what was asked for",
    ),
    _Detail(
        "BackgroundUpdater._background_update_handlers",
        (*_UPDATER, "_background_update_handlers"),
        "names that this version does not know, in the queue and in rules, are not told",
    ),
    _Detail(
        "BackgroundUpdater._on_update_callback",
        (*_UPDATER, "_on_update_callback"),
        "another module that already controls the updates is not noticed",
    ),
    _Detail(
        "BackgroundUpdater._running",
        (*_UPDATER, "_running"),
        "whether Synapse gave up after five failures is not known",
    ),
    _Detail(
        "BackgroundUpdater._current_background_update",
        (*_UPDATER, "_current_background_update"),
        "which update is first in the queue is known only once it has begun",
    ),
    _Detail(
        "HomeServer.config.background_updates",
        ("_hs", "config", "background_updates", "sleep_duration_ms"),
        "what was tuned in the section background_updates no longer holds",
    ),
    _Detail(
        "HomeServer.config.redis.redis_enabled",
        ("_hs", "config", "redis", "redis_enabled"),
        "workers are not known of: whether clients are there is seen in the main process only",
    ),
)


def missing(api: ModuleApi) -> tuple[MissingDetail, ...]:
    """What this version lacks; of what is only reached through something missing, nothing."""
    return (*_missing_from(api), *_missing_elsewhere(api))


def _missing_from(api: ModuleApi) -> Iterator[MissingDetail]:
    gone: list[tuple[str, ...]] = []
    for detail in _DETAILS:
        if any(detail.path[: len(path)] == path for path in gone):
            continue
        if not _leads(api, detail.path):
            # A pool without a name is none for us: nothing that is behind it is reached.
            path = detail.path[:-1] if detail.path[-1] == "name()" else detail.path
            gone.append(path)
            yield MissingDetail(detail.name, detail.cost)


def _leads(thing: Any, path: tuple[str, ...]) -> bool:
    """Whether the path leads anywhere from here; a None at its end is something."""
    if not path:
        return True
    step, rest = path[0], path[1:]
    if step == "*":
        things = call(list, thing) or []
        return bool(things) and all(_leads(each, rest) for each in things)
    name = step.removesuffix("()")
    if not hasattr(thing, name):
        return False
    found = getattr(thing, name)
    if step.endswith("()"):
        found = call(found)
        return found is not None and _leads(found, rest)
    return _leads(found, rest)


def _missing_elsewhere(api: ModuleApi) -> Iterator[MissingDetail]:
    checks: tuple[tuple[str, Callable[[], bool], str], ...] = (
        (
            "synapse.http.request_metrics._in_flight_requests",
            homeserver.requests_are_seen,
            "requests that are being answered are not seen: batches are not put between them",
        ),
        (
            "ModuleApi.delayed_background_call",
            lambda: _has_timers(api),
            "there are no timers: nothing can be paused, there is no history, and no signal is"
            " looked at",
        ),
        (
            "LoggingTransaction.database_engine",
            lambda: _has("synapse.storage.database", "LoggingTransaction", "database_engine"),
            "no lock or vacuum that is in the way is seen, and a lock is waited for in a thread",
        ),
        (
            "synapse.logging.context.PreserveLoggingContext",
            lambda: guarded.PreserveLoggingContext is not nullcontext,
            "lines in the log may bear the wrong request's name",
        ),
        (
            "synapse.logging.context.current_context",
            lambda: guarded.current_context is not None,
            "a batch that waits for somebody's lock counts as one that works",
        ),
        (
            "SynapseRequest.processing",
            lambda: _has("synapse.http.site", "SynapseRequest", "processing"),
            "the metrics of requests leave out those to this module",
        ),
    )
    for name, is_there, cost in checks:
        if not is_there():
            yield MissingDetail(name, cost)
    for metric, cost in server_metrics.ServerMetrics().unreadable():
        yield MissingDetail(f"metric {metric}", cost)


def _has_timers(api: ModuleApi) -> bool:
    if get(api, "delayed_background_call") is not None:
        return True
    clock = call(get(api, "_hs", "get_clock"))  # before Synapse 1.90
    runs = get(module_api, "run_as_background_process")
    return runs is not None and get(clock, "call_later") is not None


def _has(module: str, *names: str) -> bool:
    return get(call(import_module, module), *names) is not None
