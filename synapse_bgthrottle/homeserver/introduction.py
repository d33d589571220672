"""What the module logs at the start, once it is in control."""

import logging
from collections.abc import Iterator

from synapse.module_api import ModuleApi

from synapse_bgthrottle.core.config.parser import Config
from synapse_bgthrottle.core.reports import config_warnings
from synapse_bgthrottle.homeserver.composition import Parts
from synapse_bgthrottle.homeserver.internals import compatibility
from synapse_bgthrottle.schema import MissingDetail

logger = logging.getLogger(__name__)


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
        missing = compatibility.missing(api)
    with reporting("looking for what is doubtful in the configuration"):
        warnings = tuple(_doubtful(config, parts))
    with reporting("at its start"):
        logger.info(
            "synapse_bgthrottle controls the background updates of %s, with %d rules",
            ", ".join(parts.host.databases) or "this server",
            len(config.rules),
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


def _doubtful(config: Config, parts: Parts) -> Iterator[str]:
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
