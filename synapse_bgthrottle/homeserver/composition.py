"""Builds the module's parts in the main process, from the bottom up, and introduces them."""

import logging
from collections.abc import Iterator

import attrs
from synapse.module_api import ModuleApi

from synapse_bgthrottle.core.adaptive.weekly_activity import WeeklyActivity
from synapse_bgthrottle.core.config.parser import Config
from synapse_bgthrottle.core.reports import config_warnings
from synapse_bgthrottle.core.reports.log_lines import SignalLog
from synapse_bgthrottle.core.scheduling.throttle import Throttle
from synapse_bgthrottle.core.signals.samples import DatabaseSample, ProcessSample, Sample
from synapse_bgthrottle.core.tracking.runs import UpdateRuns
from synapse_bgthrottle.homeserver.internals import compatibility
from synapse_bgthrottle.homeserver.internals.guard import OnInternalError
from synapse_bgthrottle.homeserver.internals.server import Homeserver
from synapse_bgthrottle.homeserver.iteration import Iterations
from synapse_bgthrottle.homeserver.progress_tracker import ProgressTracker
from synapse_bgthrottle.homeserver.prometheus.update_metrics import Metrics
from synapse_bgthrottle.homeserver.recorder import Recorder
from synapse_bgthrottle.homeserver.restarter import Restarter
from synapse_bgthrottle.homeserver.sampling.sampler import Sampler
from synapse_bgthrottle.homeserver.storage.lever_writer import LeverWriter
from synapse_bgthrottle.homeserver.storage.loader import StoreLoader
from synapse_bgthrottle.homeserver.storage.store import Store
from synapse_bgthrottle.schema import MissingDetail

logger = logging.getLogger(__name__)


@attrs.define(slots=False, eq=False)
class Observations:
    """Passes each sample on to all who need it."""

    _host: Homeserver
    _throttle: Throttle
    _metrics: Metrics
    _week: WeeklyActivity
    _log_lines: dict[str, SignalLog] = attrs.field(factory=dict, init=False)

    def take(self, database_name: str | None, sample: Sample) -> None:
        """Take a sample of one database, or (None) one that concerns all databases."""
        self._throttle.observe(database_name, sample)
        self._metrics.observed(database_name)
        if isinstance(sample, ProcessSample):
            self._week.see(sample, self._throttle.pacer.activity, self._host.wall_s())
        if database_name is None or not isinstance(sample, DatabaseSample) or sample.is_of_clients:
            return
        if database_name not in self._log_lines:
            self._log_lines[database_name] = SignalLog(database_name)
        database = self._throttle.databases[database_name]
        log = self._log_lines[database_name]
        for level, text in log.lines(database.update_name, database.signal_set, sample):
            logger.log(level, "%s", text)


@attrs.frozen
class Parts:
    """The parts that the module itself uses; each class says what it does."""

    host: Homeserver
    throttle: Throttle
    recorder: Recorder
    iterations: Iterations


def assembled(api: ModuleApi, config: Config, on_internal_error: OnInternalError) -> Parts:
    """All parts, for the server that loads the module. Nothing runs yet."""
    host = Homeserver(api, on_internal_error)
    facts = host.facts()
    # Makes the decisions, and remembers them.
    throttle = Throttle(config, host.stock.tuned(), facts)
    # Data that lasts, in memory and in the module's tables.
    runs = UpdateRuns(throttle)
    metrics = Metrics(host, throttle, runs)
    store = Store(host)
    week = WeeklyActivity(sees_requests=facts.sees_requests)
    # Measures the load while an iteration is open, and passes the samples on.
    observations = Observations(host, throttle, metrics, week)
    sampler = Sampler(host, config.signals, observations.take)
    recorder = Recorder(
        host,
        throttle,
        store=store,
        loader=StoreLoader(host, throttle, store),
        levers=LeverWriter(host, throttle, store),
        runs=runs,
        progress=ProgressTracker(host, throttle, runs, metrics, week),
        restarter=Restarter(host, throttle, sampler, store, metrics, config.restart_aborted_s),
        week=week,
    )
    # What Synapse calls.
    iterations = Iterations(host, throttle, sampler, metrics, recorder)
    return Parts(host, throttle, recorder, iterations)


def introduce(
    api: ModuleApi, config: Config, parts: Parts
) -> tuple[tuple[MissingDetail, ...], tuple[str, ...]]:
    """Log what is controlled, what this Synapse lacks, and warnings about the configuration.

    The last two are the answer, for the status. An error leaves a part out.
    """
    missing: tuple[MissingDetail, ...] = ()
    warnings: tuple[str, ...] = ()
    reporting = parts.host.reporting
    with reporting("looking for what this Synapse lacks"):
        missing = tuple(compatibility.missing(api))
    with reporting("checking the configuration"):
        warnings = tuple(_config_warnings(config, parts))
    with reporting("at its start"):
        logger.info(
            "synapse_bgthrottle controls the background updates of %s, with %d %s",
            ", ".join(parts.host.databases) or "this server",
            len(config.rules),
            "rule" if len(config.rules) == 1 else "rules",
        )
        kept = ", ".join(config_warnings.taken_over(parts.host.stock.tuned()))
        if kept:
            logger.info(
                "From the server's background_updates, unless the module's config says otherwise:"
                " %s",
                kept,
            )
        for warning in warnings:
            logger.warning("%s", warning)
        for detail in missing:
            logger.info("this Synapse has no %s: %s", detail.name, detail.cost)
    return missing, warnings


def _config_warnings(config: Config, parts: Parts) -> Iterator[str]:
    databases = parts.host.databases
    known = frozenset().union(*(database.known_updates() for database in databases.values()))
    for doubt in (
        *config.doubts,
        *config_warnings.unknown_names(config, known),
        *config_warnings.unknown_databases(config, databases.keys()),
    ):
        yield str(doubt)
    first = next(iter(databases), "master")
    yield from config_warnings.too_small(config, parts.throttle.limits.of, first)
    yield from config_warnings.skipped(config, parts.host.wall_s())
    yield from config_warnings.secrets(config)
