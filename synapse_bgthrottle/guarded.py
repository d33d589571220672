"""Asking Synapse for what a version of it may lack."""

import logging
from contextlib import nullcontext
from importlib import import_module
from typing import Any

logger = logging.getLogger(__name__)


def get(thing: Any, *names: str, default: Any = None) -> Any:
    """The attribute of the attribute ... of a thing, or the default where any is missing."""
    for name in names:
        thing = getattr(thing, name, None)
    return default if thing is None else thing


def call(function: Any, *arguments: Any) -> Any:
    """What the function answers; None where there is none, or where it fails."""
    if function is None:
        return None
    try:
        return function(*arguments)
    except Exception as error:  # whatever became of it in this version: it is not needed
        logger.debug("Synapse's %r is not what it was: %r", function, error)
        return None


# In no log context: what goes on in there brings its own.
PreserveLoggingContext: Any = get(
    call(import_module, "synapse.logging.context"), "PreserveLoggingContext", default=nullcontext
)
