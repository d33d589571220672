"""What the module logs at the start, once it is in control."""

import logging
from collections.abc import Iterator

from synapse.module_api import ModuleApi

from synapse_bgthrottle.core.config.parser import Config
from synapse_bgthrottle.core.reports import config_warnings
from synapse_bgthrottle.homeserver.composition import Parts
from synapse_bgthrottle.homeserver.internals import compatibility
from synapse_bgthrottle.homeserver.service import StartNotes
from synapse_bgthrottle.schema import MissingDetail

logger = logging.getLogger(__name__)


def start_notes(api: ModuleApi, config: Config, parts: Parts) -> StartNotes:
    """Warnings and missing private attributes, also for the status. An error leaves a part out."""
    missing: tuple[MissingDetail, ...] = ()
    warnings: tuple[str, ...] = ()
    try:
        missing = compatibility.missing(api)
    except Exception as error:  # the server starts without it
        parts.on_internal_error("looking for what this Synapse lacks", error)
    try:
        warnings = tuple(_doubtful(config, parts))
    except Exception as error:  # the server starts without it
        parts.on_internal_error("looking for what is doubtful in the configuration", error)
    return StartNotes(missing, warnings)


def introduce(config: Config, parts: Parts, notes: StartNotes) -> None:
    """Log what is controlled, warnings about the configuration, and what this Synapse lacks."""
    logger.info(
        "synapse_bgthrottle controls the background updates of %s, with %d %s",
        ", ".join(parts.host.databases) or "this server",
        len(config.rules),
        "rule" if len(config.rules) == 1 else "rules",
    )
    kept = ", ".join(config_warnings.taken_over(parts.host.stock.tuned()))
    if kept:
        logger.info(
            "From the server's background_updates, unless the module's config says otherwise: %s",
            kept,
        )
    for warning in notes.warnings:
        logger.warning("%s", warning)
    for detail in notes.missing:
        logger.info("this Synapse has no %s: %s", detail.name, detail.cost)


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
