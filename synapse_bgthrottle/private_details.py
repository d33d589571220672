"""The private details of Synapse that the module reads, and what each costs where it is not there.

The one list of them: a test holds it against what the module's files read.
"""

import attrs

_DATABASES = ("_hs", "get_datastores()", "databases")
_POOL = (*_DATABASES, "*")
_UPDATER = (*_POOL, "updates")
_HANDLER = (*_UPDATER, "_background_update_handlers", "values()", "?")
_SECTION = ("_hs", "config", "background_updates")


@attrs.frozen
class Detail:
    """A private detail, and where to find it.

    A step of a path is an attribute; or, with `()`, one that is called; or `*`, each of several,
    or `?`, each of those that there are; or, with `=`, an attribute that the function sets.

    Attributes:
        name: its class and its own, or its module and its own.
        path: the way to it.
        cost: what the module cannot do without it.
        module: the module of Synapse where the path begins; empty: at the module API.
        instead: another path, from the module API, that does as well.
    """

    name: str
    path: tuple[str, ...]
    cost: str
    module: str = ""
    instead: tuple[str, ...] = ()


def _of_updater(name: str, cost: str) -> Detail:
    return Detail(f"BackgroundUpdater.{name}", (*_UPDATER, name), cost)


def _of_section(name: str) -> Detail:
    cost = f"what was tuned by {name} no longer holds"
    return Detail(f"HomeServer.config.background_updates.{name}", (*_SECTION, name), cost)


def _of_requests(name: str, path: tuple[str, ...], cost: str) -> Detail:
    module = "synapse.http.request_metrics"
    return Detail(name if "." in name else f"{module}.{name}", path, cost, module)


# What is reached through something is after it.
DETAILS = (
    Detail(
        "ModuleApi._hs",
        ("_hs",),
        "nothing is known of the server's settings, its databases, their queues and its workers",
    ),
    Detail(
        "HomeServer.get_datastores().databases",
        (*_POOL, "name()"),
        "a database is known only once an update of it has begun; what is said of the main one"
        " may be of another; nothing of its updater is known",
    ),
    Detail(
        "DatabasePool.engine",
        (*_POOL, "engine"),
        "SQLite and PostgreSQL are not told apart: on SQLite requests get no gaps",
    ),
    Detail(
        "DatabasePool.runInteraction",
        (*_POOL, "runInteraction"),
        "only the main database can be asked: with split databases, the others' queue and load"
        " are unknown",
    ),
    Detail(
        "HomeServer.get_datastores().main.db_pool._db_pool",
        ("_hs", "get_datastores()", "main", "db_pool", "_db_pool", "connkw"),
        "the sql check cannot be asked, and holds all updates where it is configured",
    ),
    Detail(
        "ConnectionPool.dbapiName",
        ("_hs", "get_datastores()", "main", "db_pool", "_db_pool", "dbapiName"),
        "the sql check cannot be asked, and holds all updates where it is configured",
    ),
    Detail(
        "DatabasePool._db_pool",
        (*_POOL, "_db_pool", "connections"),
        "a batch that waits for somebody's lock counts as one that works",
    ),
    Detail(
        "DatabasePool.updates",
        _UPDATER,
        "Synapse's switch, its count of items, what it knows and whether it gave up are unknown",
    ),
    _of_updater("enabled", "where updates are switched off during a wait, one more batch runs"),
    _of_updater(
        "get_current_update",
        "items are not counted: limits of items per second count what was asked for",
    ),
    _of_updater(
        "_background_update_handlers",
        "names that this version does not know, in the queue and in rules, are not told; nothing"
        " is known of an update's handler",
    ),
    Detail(
        "_BackgroundUpdateHandler.oneshot",
        (*_HANDLER, "oneshot"),
        "that an update is a one-shot is known only once it has begun",
    ),
    Detail(
        "_BackgroundUpdateHandler.callback",
        (*_HANDLER, "callback"),
        "the table of an index build is not known: an autovacuum of it does not hold the build",
    ),
    _of_updater(
        "_on_update_callback",
        "another module that already controls the updates is not noticed",
    ),
    _of_updater(
        "_running",
        "whether Synapse gave up after five failures is not known,"
        " and no explanation tells of a silent database",
    ),
    _of_updater("_aborted", "that Synapse gave up is taken from its stop amidst an update"),
    _of_updater("_all_done", "that Synapse gave up is told even after a new start came to its end"),
    _of_updater(
        "_current_background_update",
        "which update is first in the queue is known only once it has begun",
    ),
    Detail(
        "BackgroundUpdatePerformance.total_item_count",
        ("BackgroundUpdatePerformance", "__init__", "total_item_count="),
        "items are not counted: limits of items per second count what was asked for",
        "synapse.storage.background_updates",
    ),
    Detail(
        "HomeServer.config.background_updates",
        _SECTION,
        "what was tuned in the section background_updates no longer holds",
    ),
    _of_section("sleep_enabled"),
    _of_section("sleep_duration_ms"),
    _of_section("update_duration_ms"),
    _of_section("default_batch_size"),
    _of_section("min_batch_size"),
    Detail(
        "HomeServer.config.redis.redis_enabled",
        ("_hs", "config", "redis", "redis_enabled"),
        "workers are not known of: whether clients are there is seen in the main process only",
    ),
    _of_requests(
        "_in_flight_requests",
        ("_in_flight_requests",),
        "requests that are being answered are not seen: batches are not put between them, and on"
        " SQLite the adaptive pace is as slow as if clients were always there",
    ),
    _of_requests(
        "_in_flight_requests_lock",
        ("_in_flight_requests_lock",),
        "a look at the requests that meets a change of them in another thread sees nothing",
    ),
    _of_requests(
        "RequestMetrics.start_ts",
        ("RequestMetrics", "start", "start_ts="),
        "requests that wait for other servers are taken for clients who wait",
    ),
    _of_requests(
        "RequestMetrics.name",
        ("RequestMetrics", "start", "name="),
        "long polls are taken for clients who wait",
    ),
    Detail(
        "ModuleApi.delayed_background_call",
        ("delayed_background_call",),
        "there are no timers: nothing can be paused, there is no history, and no signal is"
        " looked at, so that the adaptive pace is 9 % of the time while clients are there",
        instead=("_hs", "get_clock()", "call_later"),  # before Synapse 1.90
    ),
    Detail(
        "LoggingTransaction.database_engine",
        ("LoggingTransaction", "database_engine"),
        "no lock or vacuum that is in the way is seen, and a lock is waited for in a thread",
        "synapse.storage.database",
    ),
    Detail(
        "synapse.storage.engines.PostgresEngine",
        ("PostgresEngine",),
        "PostgreSQL is not told: no lock or vacuum that is in the way is seen there",
        "synapse.storage.engines",
    ),
    Detail(
        "synapse.storage.engines.Sqlite3Engine",
        ("Sqlite3Engine",),
        "SQLite is not told: requests get no gaps there, and a lock is waited for in a thread",
        "synapse.storage.engines",
    ),
    Detail(
        "synapse.logging.context.PreserveLoggingContext",
        ("PreserveLoggingContext",),
        "lines in the log may bear the wrong request's name",
        "synapse.logging.context",
    ),
    Detail(
        "synapse.logging.context.current_context",
        ("current_context",),
        "a batch that waits for somebody's lock counts as one that works",
        "synapse.logging.context",
    ),
    *(
        Detail(
            ".".join(path),
            path,
            "a batch that waits for somebody's lock counts as one that works",
            "synapse.logging.context",
        )
        for path in (
            ("LoggingContext", "get_resource_usage"),
            ("ContextResourceUsage", "db_txn_count"),
        )
    ),
    Detail(
        "SynapseRequest.processing",
        ("SynapseRequest", "processing"),
        "the metrics of requests leave out those to this module",
        "synapse.http.site",
    ),
)
