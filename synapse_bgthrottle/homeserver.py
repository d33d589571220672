"""The one place that knows Synapse's private side.

Nothing here is needed to throttle: each thing is asked for with a guard, and where a version of
Synapse lacks it, the module works with less detail.
"""

import logging
import math
import time
from collections.abc import Callable
from contextlib import nullcontext, suppress
from importlib import import_module
from typing import Any

import attrs
from synapse.module_api import ModuleApi

from synapse_bgthrottle.limits import FixedSleep, Settings

request_metrics: Any = None
with suppress(ImportError):  # without it requests cannot be seen
    request_metrics = import_module("synapse.http.request_metrics")

_requests: Any = getattr(request_metrics, "_in_flight_requests", None)
_requests_lock = getattr(request_metrics, "_in_flight_requests_lock", nullcontext())

logger = logging.getLogger(__name__)

_LONG_POLL_S = 0.15
_COUNT_EVERY_S = 0.25

# Looking at more, two hundred times a second, would cost more than a hundredth of a core.
_MOST_REQUESTS = 500

# Changes nothing, but needs what the end of every batch needs: a connection, the lock of the
# writer on SQLite, a lock on the queue's table and a server that is not read-only on PostgreSQL.
_WRITE_NOTHING = "UPDATE background_updates SET update_name = update_name WHERE 1 = 0"
_WRITE_NOTHING_TO_POSTGRES = (  # one trip, and a question that ends by itself
    f"SET LOCAL lock_timeout = 250; SET LOCAL statement_timeout = 2000; {_WRITE_NOTHING}"
)


@attrs.frozen
class StockSettings:
    """What stock Synapse does, by the server's own `background_updates:` section.

    `BUILT_IN` are the values of a server whose administrator set none.
    """

    sleep_ms: float
    target_duration_ms: int
    default_batch_items: int
    min_batch_items: int


BUILT_IN = StockSettings(1000, 100, 100, 1)


class Database:
    """One database of the server, with its queue of updates."""

    def __init__(self, api: ModuleApi, name: str, pool: Any = None) -> None:
        """`pool` is Synapse's DatabasePool, None where it cannot be had."""
        self.name = name
        self._api = api
        self._pool = pool

    @property
    def enabled(self) -> bool:
        """Synapse's own switch; taken to be on where it cannot be read."""
        return bool(_get(self._pool, "updates", "enabled", default=True))

    def items_done(self) -> int | None:
        """Items that Synapse counted for the current update since it started; None: unknown."""
        current = _call(_get(self._pool, "updates", "get_current_update"))
        items = _get(current, "total_item_count")
        return items if isinstance(items, int) else None

    def known_updates(self) -> frozenset[str]:
        """The names of all updates that this server can run; empty where that is unknown."""
        handlers = _get(self._pool, "updates", "_background_update_handlers", default={})
        return frozenset(handlers)

    def is_controlled_by(self, on_update: Callable[..., Any]) -> bool:
        """Whether this callback is the registered one; taken for granted where it is unknown."""
        return bool(
            _get(self._pool, "updates", "_on_update_callback", default=on_update) == on_update
        )

    async def probe(self) -> str | None:
        """Ask the database whether a batch could end; None is yes, otherwise what it complains of.

        Raises:
            Exception: whatever a lost connection makes of it.
        """
        run = _get(self._pool, "runInteraction", default=self._api.run_db_interaction)
        complaint: str | None = await run("bgthrottle_probe", _probe)
        return complaint


class Homeserver:
    """The server that the module is loaded into.

    Attributes:
        databases: by name; complete only where Synapse's private side is as known.
        stock: what stock Synapse would do.
    """

    def __init__(self, api: ModuleApi) -> None:
        self._api = api
        hs = _get(api, "_hs")
        pools = _get(_call(_get(hs, "get_datastores")), "databases", default=())
        names = [(_call(_get(pool, "name")), pool) for pool in pools]
        self.databases = {
            name: Database(api, name, pool) for name, pool in names if isinstance(name, str)
        }
        self._has_workers = bool(_get(hs, "config", "redis", "redis_enabled", default=False))
        self.stock = _stock_settings(_get(hs, "config", "background_updates"))
        self.sleep = api.sleep
        self._received = 0
        self._count_again_s = -math.inf

    def database(self, name: str) -> Database:
        if name not in self.databases:
            self.databases[name] = Database(self._api, name)
        return self.databases[name]

    def tuned(self) -> Settings:
        """What the administrator set to other than Synapse's defaults in `background_updates:`."""
        stock = self.stock

        def unless_default(name: str) -> Any:
            value = getattr(stock, name)
            return value if value != getattr(BUILT_IN, name) else None

        sleep_ms = unless_default("sleep_ms")
        return Settings(
            target_duration_ms=unless_default("target_duration_ms"),
            pace=None if sleep_ms is None else FixedSleep(sleep_ms),
            default_batch_items=unless_default("default_batch_items"),
            min_batch_items=unless_default("min_batch_items"),
        )

    def active_requests(self) -> int | None:
        """Requests of clients that somebody waits for; None: they cannot be seen.

        A request that has been in flight for longer than `_LONG_POLL_S` is taken for a long poll
        of `/sync`, of which a server always has dozens. With workers, clients are elsewhere; with
        very many requests, looking would cost too much.
        """
        if _requests is None or self._has_workers or len(_requests) > _MOST_REQUESTS:
            return None
        started_after_s = self.wall_s() - _LONG_POLL_S
        with _requests_lock:
            starts_s = [request.start_ts for request in _requests]
        return len([start_s for start_s in starts_s if start_s > started_after_s])

    def requests_received(self) -> int:
        """How many requests have ever come in, as of a quarter of a second ago or less."""
        now_s = self.now_s()
        if now_s >= self._count_again_s:
            self._count_again_s = now_s + _COUNT_EVERY_S
            self._received = int(_total(getattr(request_metrics, "requests_counter", None)))
        return self._received

    def now_s(self) -> float:
        """Seconds on a clock that only goes forward."""
        return time.monotonic()

    def wall_s(self) -> float:
        """Seconds since the epoch."""
        return time.time()


def _stock_settings(section: Any) -> StockSettings:
    sleep_ms = _number(_get(section, "sleep_duration_ms"), 0, BUILT_IN.sleep_ms)
    return StockSettings(
        sleep_ms=sleep_ms if _get(section, "sleep_enabled", default=True) else 0.0,
        target_duration_ms=int(
            _number(_get(section, "update_duration_ms"), 1, BUILT_IN.target_duration_ms)
        ),
        default_batch_items=int(
            _number(_get(section, "default_batch_size"), 1, BUILT_IN.default_batch_items)
        ),
        min_batch_items=int(_number(_get(section, "min_batch_size"), 1, BUILT_IN.min_batch_items)),
    )


def _number(value: Any, least: float, default: float) -> float:
    # Synapse does not check its own section: a string there makes every batch of stock fail.
    if value is None or (isinstance(value, (int, float)) and least <= value < 2**31):
        return default if value is None else value
    logger.warning("Ignoring %r in the server's background_updates: using %s", value, default)
    return default


def _total(counter: Any) -> float:
    samples = (s for metric in counter.collect() for s in metric.samples) if counter else ()
    return float(sum(sample.value for sample in samples if sample.name.endswith("_total")))


def _get(thing: Any, *names: str, default: Any = None) -> Any:
    for name in names:
        thing = getattr(thing, name, None)
    return default if thing is None else thing


def _call(function: Any) -> Any:
    if function is None:
        return None
    try:
        return function()
    except Exception as error:  # whatever became of it in this version: it is not needed
        logger.debug("Synapse's %r is not what it was: %r", function, error)
        return None


def _probe(txn: Any) -> str | None:
    # Errors are caught here, because what leaves this function as an error of the database is
    # tried four times more by Synapse, in the thread that the foreground needs.
    engine = type(getattr(txn, "database_engine", None)).__name__
    try:
        if engine == "Sqlite3Engine":
            _write_nothing_to_sqlite(txn)
        elif engine == "PostgresEngine":
            txn.execute(_WRITE_NOTHING_TO_POSTGRES)
        else:
            txn.execute(_WRITE_NOTHING)
    except Exception as error:  # in a database thread: nothing to be cancelled here
        if "ProgrammingError" in (parent.__name__ for parent in type(error).__mro__):
            return None  # the question is not understood, but that is an answer
        return str(error).strip().split("\n")[0] or type(error).__name__
    return None


def _write_nothing_to_sqlite(txn: Any) -> None:
    # Without waiting for a lock: the wait would be in the only thread that the server has.
    txn.execute("PRAGMA busy_timeout")
    (busy_timeout_ms,) = txn.fetchone()
    txn.execute("PRAGMA busy_timeout = 0")
    try:
        txn.execute(_WRITE_NOTHING)
    finally:
        txn.execute(f"PRAGMA busy_timeout = {int(busy_timeout_ms)}")
