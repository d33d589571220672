"""A module for a real server that logs the sampler's samples."""

import logging
from typing import Any

from synapse.module_api import ModuleApi

from synapse_bgthrottle.core.config.signal_settings import SignalSettings
from synapse_bgthrottle.core.signals.samples import Sample
from synapse_bgthrottle.homeserver.internals.server import Homeserver
from synapse_bgthrottle.homeserver.sampling.sampler import Sampler

logger = logging.getLogger("synapse_bgthrottle.tests.sampling")


class Sampling:
    """Samples from its start to its end as if an update were pending."""

    def __init__(self, config: dict[str, Any], api: ModuleApi) -> None:
        settings = SignalSettings(**config)
        sampler = Sampler(Homeserver(api, self._tell_error), settings, self._tell)
        sampler.begin("master", "event_resign")

    @staticmethod
    def parse_config(config: dict[str, Any]) -> dict[str, Any]:
        return config

    def _tell(self, database_name: str | None, sample: Sample) -> None:
        logger.info("%s: %r", database_name, sample)

    def _tell_error(self, where: str, error: Exception) -> None:
        logger.error("%s", where, exc_info=error)
