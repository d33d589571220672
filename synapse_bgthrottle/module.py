"""The module as Synapse loads it: configuration, registration, the three callbacks."""

import logging
from contextlib import AbstractAsyncContextManager, suppress
from typing import Any

from synapse.module_api import ModuleApi
from synapse.module_api.errors import ConfigError

from synapse_bgthrottle.api.resource import ThrottleResource
from synapse_bgthrottle.core.config.parser import Config, parse
from synapse_bgthrottle.core.config.problems import InvalidConfigError
from synapse_bgthrottle.core.reports.log_lines import doing
from synapse_bgthrottle.core.scheduling.effective_limits import least_batch_items
from synapse_bgthrottle.homeserver.composition import assembled, introduce
from synapse_bgthrottle.homeserver.fallback import FallbackIteration
from synapse_bgthrottle.homeserver.internals.guard import InternalErrors, Reporting
from synapse_bgthrottle.homeserver.service import ThrottleService

logger = logging.getLogger(__name__)


class BackgroundUpdateThrottle:
    """Throttles the server's background updates in the main process; does nothing in workers."""

    def __init__(self, config: Config, api: ModuleApi) -> None:
        self._active = False
        self._on_internal_error = InternalErrors()
        # Made only once, because a callback could not catch an error in making them.
        self._beginning = Reporting(self._on_internal_error, "at the start of an iteration")
        self._sizing = Reporting(self._on_internal_error, "for the size of a batch")
        if api.worker_app is not None:
            logger.debug("Background updates run in the main process only: nothing to do here")
            self._serve(api, config.api_path, None)
            return
        self._parts = assembled(api, config, self._on_internal_error)
        api.register_background_update_controller_callbacks(
            on_update=self.on_update,
            default_batch_size=self.default_batch_size,
            min_batch_size=self.min_batch_size,
        )
        databases = self._parts.host.databases.values()
        self._active = all(database.is_controlled_by(self.on_update) for database in databases)
        if self._active:
            parts = self._parts
            parts.recorder.start()
            missing, warnings = introduce(api, config, parts)
            service = ThrottleService(
                parts.host,
                parts.throttle,
                parts.recorder,
                parts.iterations.by_database,
                missing,
                warnings,
            )
            self._serve(api, config.api_path, service)
        else:
            logger.warning(
                "synapse_bgthrottle has no effect: another module, earlier in the list `modules`,"
                " already controls the background updates. List one of the two only."
            )

    @staticmethod
    def parse_config(config: Any) -> Config:
        """The configuration from homeserver.yaml, checked. Raises ConfigError with all problems."""
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
        """Synapse calls this before each iteration of an update."""
        parts = self._parts
        with self._beginning:
            return parts.iterations.begin(database_name, update_name, one_shot)
        # errors are logged; this iteration must not stay open, because nobody will end it
        with suppress(Exception):
            parts.iterations.leave(database_name)
        key = (database_name, update_name)
        return FallbackIteration(parts.host, parts.throttle, key, one_shot)

    async def default_batch_size(self, update_name: str, database_name: str) -> int:
        """Synapse calls this for the size of a batch before it has counted any item."""
        with self._sizing:
            return self._parts.throttle.batch_items(database_name, update_name)
        return max(self._parts.host.stock.default_batch_items, _floor(update_name))

    async def min_batch_size(self, update_name: str, database_name: str) -> int:
        """Synapse calls this for the least size of any other batch, which is then its size."""
        with self._sizing:
            return self._parts.throttle.batch_items(database_name, update_name)
        stock = self._parts.host.stock
        items: float = stock.min_batch_items
        update = self._parts.throttle.updates.get((database_name, update_name))
        if update is not None and update.decision is not None:
            # The target duration makes Synapse use the least size, which must not be one item.
            items = min(stock.default_batch_items, update.limits.max_batch_items)
        return max(int(items), _floor(update_name))

    def __repr__(self) -> str:
        if not self._active:
            return "<BackgroundUpdateThrottle: no effect in this process>"
        updates = self._parts.throttle.updates
        states = [
            doing(name, database, updates[name, database.update_name])
            for name, database in self._parts.throttle.databases.items()
        ]
        return f"<BackgroundUpdateThrottle: {'; '.join(states) or 'no update seen so far'}>"

    def _serve(self, api: ModuleApi, path: str | None, service: ThrottleService | None) -> None:
        if path is None:
            return
        # after an error the server starts without the API
        with Reporting(self._on_internal_error, "at the start of the HTTP API"):
            resource = ThrottleResource(api, service, self._on_internal_error)
            api.register_web_resource(path, resource)


def _floor(update_name: str) -> int:
    with suppress(Exception):  # the last resort must not fail; 100 is enough for any update
        return least_batch_items(update_name)
    return 100
