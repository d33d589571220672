"""Synapse's private attributes for the server; `database` has those for one database.

The module can throttle without them. Each access is guarded.
"""

import logging
import os
import time
from collections.abc import Callable
from contextlib import nullcontext
from importlib import import_module
from typing import Any

from synapse import module_api
from synapse.module_api import ModuleApi

from synapse_bgthrottle.core.config.stock import StockSettings, stock_settings
from synapse_bgthrottle.core.scheduling.state import Facts
from synapse_bgthrottle.homeserver.internals.database import Database
from synapse_bgthrottle.homeserver.internals.guard import (
    InternalErrors,
    OnInternalError,
    Reporting,
    call,
    get,
)
from synapse_bgthrottle.homeserver.internals.synapse_metrics import NOT_COUNTED, ServerMetrics
from synapse_bgthrottle.homeserver.internals.timers import Process, Timers

__all__ = ["Database", "Homeserver"]

logger = logging.getLogger(__name__)

_request_metrics = call(import_module, "synapse.http.request_metrics")
_requests: Any = get(_request_metrics, "_in_flight_requests")
_requests_lock: Any = get(_request_metrics, "_in_flight_requests_lock", default=nullcontext())

_LONGEST_WAIT_S = 1.0
_COUNT_EVERY_S = 0.25

# With more requests, a look a hundred times a second would cost over one percent of a core. Then
# they are read only as often as the answers are counted.
_MANY_REQUESTS = 500


class Homeserver:
    """The server that the module is loaded into."""

    def __init__(self, api: ModuleApi, on_internal_error: OnInternalError | None = None) -> None:
        self._api = api
        self.on_internal_error = on_internal_error or InternalErrors()
        self.server_name = str(get(api, "server_name", default=""))  # as in user IDs
        self._hs = hs = get(api, "_hs")
        stores = call(get(hs, "get_datastores"))
        pools: list[Any] = call(list, get(stores, "databases")) or []
        names = [(call(get(pool, "name")), pool) for pool in pools]
        # By name; complete only if Synapse's private attributes are as expected.
        self.databases = {
            name: Database(api, name, pool) for name, pool in names if isinstance(name, str)
        }
        self.main = Database(api, "main", get(stores, "main", "db_pool"), is_main=True)
        self._has_workers = bool(get(hs, "config", "redis", "redis_enabled", default=False))
        self.stock = _stock(get(hs, "config", "background_updates"))
        self.sleep = api.sleep  # uses wall-clock time, so it lasts longer if the clock is set back
        timers = Timers(self._delayed, self.now_s, self.wall_s)
        self.call_later, self.call_overdue = timers.call_later, timers.call_overdue
        self._metrics = ServerMetrics()
        self._answered = 0
        self._count_again_s = 0.0
        self._active: int | None = None
        self._look_again_s = 0.0

    def reporting(self, where: str) -> Reporting:
        """A block whose own errors are reported instead of raised."""
        return Reporting(self.on_internal_error, where)

    def database(self, name: str) -> Database:
        """The database of this name. If Synapse did not show it, it is known from now on."""
        if name not in self.databases:
            self.databases[name] = Database(self._api, name)
        return self.databases[name]

    def _delayed(self, delay_s: float, description: str, process: Process) -> Any:
        delayed = get(self._api, "delayed_background_call")
        if delayed is not None:
            return delayed(delay_s * 1000, process, desc=description)
        # before Synapse 1.90
        run: Any = get(module_api, "run_as_background_process")
        clock = call(get(self._hs, "get_clock"))
        return get(clock, "call_later")(delay_s, run, description, process)

    async def in_thread(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Run a function that may block in a thread, and return its answer."""
        return await self._api.defer_to_thread(function, *arguments)

    def facts(self) -> Facts:
        """The facts about the server that decisions need."""
        return Facts(
            cores=os.cpu_count() or 1,
            sees_requests=_requests is not None and not self._has_workers,
            databases=frozenset(self.databases),
            sqlite_databases=frozenset(
                name for name, database in self.databases.items() if database.is_sqlite
            ),
        )

    def active_requests(self) -> int | None:
        """Clients' requests in progress; None: unknown.

        Without long polls, of which a server always has dozens, and without requests for the
        updates' status. Requests in progress for longer than `_LONGEST_WAIT_S` do not count either,
        because most wait for other servers. With workers it is None, because clients are elsewhere.
        With very many requests the number is up to a quarter of a second old.
        """
        if _requests is None or self._has_workers:
            return None
        now_s = self.now_s()
        if now_s >= self._look_again_s or (call(len, _requests) or 0) <= _MANY_REQUESTS:
            self._look_again_s = now_s + _COUNT_EVERY_S
            self._active = call(_waited_for, _requests, self.wall_s() - _LONGEST_WAIT_S)
        return self._active

    def requests_answered(self) -> int:
        """Number of requests answered so far, at most a quarter of a second old."""
        now_s = self.now_s()
        if now_s >= self._count_again_s:
            self._count_again_s = now_s + _COUNT_EVERY_S
            self._answered = self._metrics.answered()
        return self._answered

    def now_s(self) -> float:
        """Seconds on the monotonic clock."""
        return time.monotonic()

    def wall_s(self) -> float:
        """Seconds since the epoch."""
        return time.time()


def _stock(section: Any) -> StockSettings:
    """The section `background_updates`, with defaults for missing or unusable values."""
    given = {
        "sleep_enabled": get(section, "sleep_enabled", default=True),
        "sleep_duration_ms": get(section, "sleep_duration_ms"),
        "background_update_duration_ms": get(section, "update_duration_ms"),
        "default_batch_size": get(section, "default_batch_size"),
        "min_batch_size": get(section, "min_batch_size"),
    }
    settings, unusable = stock_settings(given)
    for key in unusable:
        logger.warning("Ignoring %s: %r in the server's background_updates", key, given[key])
    return settings


def _waited_for(requests: Any, started_after_s: float) -> int:
    """How many of the requests count and started later than this.

    If this version of Synapse has no start time, the request counts as just started.
    """
    count = 0
    with _requests_lock:
        for request in requests:
            start_s = getattr(request, "start_ts", None)
            if start_s is None or start_s > started_after_s:
                count += getattr(request, "name", None) not in NOT_COUNTED
    return count
