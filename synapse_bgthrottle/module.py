"""The module as Synapse loads it: configuration, registration, the three callbacks."""

import logging
from contextlib import AbstractAsyncContextManager, suppress
from typing import Any

from synapse.module_api import ModuleApi
from synapse.module_api.errors import ConfigError

from synapse_bgthrottle.api.resource import ThrottleResource
from synapse_bgthrottle.core.adaptive.weekly_activity import SeenWeek
from synapse_bgthrottle.core.config.parser import Config, parse
from synapse_bgthrottle.core.config.problems import InvalidConfigError
from synapse_bgthrottle.core.reports import config_warnings
from synapse_bgthrottle.core.reports.log_lines import SampleTeller, Teller
from synapse_bgthrottle.core.scheduling.quirks import least_batch_items
from synapse_bgthrottle.core.scheduling.throttle import Throttle
from synapse_bgthrottle.core.signals.samples import DatabaseSample, ProcessSample, Sample
from synapse_bgthrottle.core.tracking.runs import Courses
from synapse_bgthrottle.homeserver.fallback import StockIteration
from synapse_bgthrottle.homeserver.internals import private_side
from synapse_bgthrottle.homeserver.internals.server import Homeserver
from synapse_bgthrottle.homeserver.iteration import Iteration
from synapse_bgthrottle.homeserver.progress_tracker import ProgressWatch
from synapse_bgthrottle.homeserver.prometheus.update_metrics import Metrics
from synapse_bgthrottle.homeserver.recorder import Keeper
from synapse_bgthrottle.homeserver.sampling.database_probe import DatabaseWatch
from synapse_bgthrottle.homeserver.sampling.sampler import Sampler
from synapse_bgthrottle.homeserver.service import ModuleSteering
from synapse_bgthrottle.homeserver.storage.lever_writer import LeverDesk
from synapse_bgthrottle.homeserver.storage.store import Store
from synapse_bgthrottle.schema import MissingDetail

logger = logging.getLogger(__name__)


class BackgroundUpdateThrottle:
    """Throttles the server's background updates, in the main process; elsewhere does nothing."""

    def __init__(self, config: Config, api: ModuleApi) -> None:
        self._active = False
        self._errors_told: set[tuple[str, type]] = set()
        if api.worker_app is not None:
            logger.debug("Background updates run in the main process only: nothing to do here")
            self._serve(api, config.api_path, None)
            return
        self._host = Homeserver(api)
        facts = self._host.facts()
        self._throttle = Throttle(config, self._host.stock.tuned(), facts)
        self._sampler = Sampler(
            self._host, config.signals, self._observe, self._tell_internal_error
        )
        store = Store(self._host)
        courses = Courses(self._throttle)
        desk = LeverDesk(self._host, self._throttle, store)
        self._metrics = Metrics(self._host, self._throttle, courses, self._tell_internal_error)
        progress = ProgressWatch(self._host, self._throttle, courses, self._metrics)
        self._week = SeenWeek(sees_requests=facts.sees_requests)
        self._keeper = Keeper(
            self._host,
            self._throttle,
            store,
            courses,
            progress,
            desk,
            self._week,
            self._tell_internal_error,
        )
        self._watches: dict[str, DatabaseWatch] = {}
        self._tellers: dict[str, Teller] = {}
        self._sample_tellers: dict[str, SampleTeller] = {}
        api.register_background_update_controller_callbacks(
            on_update=self.on_update,
            default_batch_size=self.default_batch_size,
            min_batch_size=self.min_batch_size,
        )
        self._active = all(
            database.is_controlled_by(self.on_update) for database in self._host.databases.values()
        )
        if self._active:
            self._keeper.opening.start()
            missing = self._missing(api)
            steering = ModuleSteering(
                self._host,
                self._throttle,
                store,
                courses,
                progress,
                desk,
                self._keeper,
                self._week,
                self._watches,
                self._tell_internal_error,
                missing,
            )
            self._serve(api, config.api_path, steering)
            try:
                self._introduce(config)
                for detail in missing:
                    logger.info("this Synapse has no %s: %s", detail.name, detail.cost)
            except Exception as error:
                self._tell_internal_error("at its start", error)
        else:
            logger.warning(
                "synapse_bgthrottle has no effect: another module, earlier in the list `modules`,"
                " already controls the background updates. List one of the two only."
            )

    @staticmethod
    def parse_config(config: Any) -> Config:
        """The configuration from homeserver.yaml, checked.

        Raises:
            ConfigError: tells all that is wrong with it.
        """
        try:
            return parse(config)
        except InvalidConfigError as error:
            if len(error.problems) == 1:
                raise ConfigError(error.problems[0].message, error.problems[0].path) from None
            lines = (f"\n      {problem}" for problem in error.problems)
            raise ConfigError(f"{len(error.problems)} problems:{''.join(lines)}", ()) from None

    def on_update(
        self, update_name: str, database_name: str, one_shot: bool
    ) -> AbstractAsyncContextManager[int]:
        """Called by Synapse about to do an iteration of an update."""
        try:
            if database_name not in self._watches:
                database = self._host.database(database_name)
                watch = DatabaseWatch(self._host, database, self._tell_internal_error)
                self._tellers[database_name] = Teller(database_name)
                self._watches[database_name] = watch
            self._throttle.begin(database_name, update_name, one_shot, self._host.now_s())
            self._metrics.begin(database_name, update_name)
            self._sampler.begin(database_name, update_name)
            self._keeper.begin(database_name, update_name)
            return Iteration(
                self._host,
                self._host.database(database_name),
                self._throttle,
                self._watches[database_name],
                self._sampler,
                self._metrics,
                self._tellers[database_name],
                self._tell_internal_error,
                update_name,
            )
        except Exception as error:
            self._tell_internal_error("at the start of an iteration", error)
            with suppress(Exception):  # told; what nobody will end is not under way
                self._sampler.end(database_name)
                self._throttle.leave(database_name)
            return StockIteration(self._host)

    async def default_batch_size(self, update_name: str, database_name: str) -> int:
        """Called by Synapse for the size of a batch while it has counted no item."""
        try:
            return self._throttle.batch_items(database_name, update_name)[0]
        except Exception as error:
            self._tell_internal_error("for the default batch size", error)
            return max(self._host.stock.default_batch_items, _floor(update_name))

    async def min_batch_size(self, update_name: str, database_name: str) -> int:
        """Called by Synapse for the least size of any other batch."""
        try:
            return self._throttle.batch_items(database_name, update_name)[1]
        except Exception as error:
            self._tell_internal_error("for the least batch size", error)
            items: float = self._host.stock.min_batch_items
            update = self._throttle.updates.get((database_name, update_name))
            if update is not None and update.limits.is_exact:
                # The target is so short that this is the size: not of one item, then.
                items = min(self._host.stock.default_batch_items, update.limits.max_batch_items)
            return max(int(items), _floor(update_name))

    def __repr__(self) -> str:
        if not self._active:
            return "<BackgroundUpdateThrottle: no effect in this process>"
        states = []
        for name, database in self._throttle.databases.items():
            update = self._throttle.updates[name, database.update_name]
            ran = update.totals
            doing = "running a batch" if update.batch.start_s is not None else "waiting"
            reason = update.decision.reason if update.decision is not None else "just begun"
            states.append(
                f"{name}: {database.update_name} {doing} ({reason}), {ran.batches} batches"
                f" in {ran.batch_s:.1f}s, {database.failures} failures in a row"
            )
        return f"<BackgroundUpdateThrottle: {'; '.join(states) or 'no update seen so far'}>"

    def _observe(self, database_name: str | None, sample: Sample) -> None:
        self._throttle.observe(database_name, sample)
        self._metrics.observed(database_name)
        if isinstance(sample, ProcessSample):
            self._week.see(sample, self._throttle.pacer.presence, self._host.wall_s())
        if database_name is None or not isinstance(sample, DatabaseSample) or sample.is_of_clients:
            return
        if database_name not in self._sample_tellers:
            self._sample_tellers[database_name] = SampleTeller(database_name)
        database = self._throttle.databases[database_name]
        teller = self._sample_tellers[database_name]
        for level, text in teller.tell(database.update_name, database.board, sample):
            logger.log(level, "%s", text)

    def _serve(self, api: ModuleApi, path: str | None, steering: ModuleSteering | None) -> None:
        if path is None:
            return
        try:
            resource = ThrottleResource(api, steering, self._tell_internal_error)
            api.register_web_resource(path, resource)
        except Exception as error:  # the server starts without
            self._tell_internal_error("at the start of the HTTP API", error)

    def _missing(self, api: ModuleApi) -> tuple[MissingDetail, ...]:
        try:
            return private_side.missing(api)
        except Exception as error:  # the server starts without
            self._tell_internal_error("looking for what this Synapse lacks", error)
            return ()

    def _introduce(self, config: Config) -> None:
        databases = self._host.databases
        logger.info(
            "synapse_bgthrottle controls the background updates of %s, with %d rules",
            ", ".join(databases) or "this server",
            len(config.rules),
        )
        kept = ", ".join(config_warnings.taken_over(self._host.stock.tuned()))
        if kept:
            logger.info("Unless the module's config says otherwise, background_updates: %s", kept)
        known = frozenset().union(*(database.known_updates() for database in databases.values()))
        first = next(iter(databases), "master")
        for remark in (
            *config_warnings.unmatched(config, known, databases.keys()),
            *config_warnings.too_small(config, self._throttle.limits_of, first),
            *config_warnings.skipped(config, self._host.wall_s()),
            *config_warnings.secrets(config),
        ):
            logger.warning("%s", remark)

    def _tell_internal_error(self, where: str, error: Exception) -> None:
        if (where, type(error)) in self._errors_told:
            return
        self._errors_told.add((where, type(error)))
        logger.error(
            "an error of its own %s; such updates go on at stock's pace."
            " Further errors of this kind are not logged.",
            where,
            exc_info=error,
        )


def _floor(update_name: str) -> int:
    try:
        return least_batch_items(update_name)
    except Exception:  # the last resort must not fail: this is enough for any update
        logger.debug("No least batch size for %s", update_name, exc_info=True)
        return 100
