"""What the module says of itself in the log once it is in control."""

import logging

from synapse.module_api import ModuleApi

from synapse_bgthrottle.core.config.parser import Config
from synapse_bgthrottle.core.reports import config_warnings
from synapse_bgthrottle.homeserver.composition import Parts
from synapse_bgthrottle.homeserver.internals import compatibility
from synapse_bgthrottle.homeserver.service import StartNotes

logger = logging.getLogger(__name__)


def start_notes(api: ModuleApi, parts: Parts) -> StartNotes:
    """What is found at the start, for the status too; an error of ours leaves it out."""
    try:
        return StartNotes(missing=compatibility.missing(api))
    except Exception as error:  # the server starts without
        parts.on_internal_error("looking for what this Synapse lacks", error)
        return StartNotes()


def introduce(config: Config, parts: Parts, notes: StartNotes) -> None:
    """What is controlled, what is doubtful in the configuration, and what this Synapse lacks."""
    databases = parts.host.databases
    logger.info(
        "synapse_bgthrottle controls the background updates of %s, with %d rules",
        ", ".join(databases) or "this server",
        len(config.rules),
    )
    kept = ", ".join(config_warnings.taken_over(parts.host.stock.tuned()))
    if kept:
        logger.info("Unless the module's config says otherwise, background_updates: %s", kept)
    known = frozenset().union(*(database.known_updates() for database in databases.values()))
    first = next(iter(databases), "master")
    for warning in (
        *config_warnings.unmatched(config, known, databases.keys()),
        *config_warnings.too_small(config, parts.throttle.limits_of, first),
        *config_warnings.skipped(config, parts.host.wall_s()),
        *config_warnings.secrets(config),
    ):
        logger.warning("%s", warning)
    for detail in notes.missing:
        logger.info("this Synapse has no %s: %s", detail.name, detail.cost)
