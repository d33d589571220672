"""Asking Synapse for what a version of it may lack; and who is told of errors of our own."""

import logging
from collections.abc import Callable
from contextlib import nullcontext
from importlib import import_module
from typing import Any, Protocol

logger = logging.getLogger(__name__)


def get(thing: Any, *names: str, default: Any = None) -> Any:
    """The attribute of the attribute ... of a thing, or the default where any is missing."""
    try:
        for name in names:
            thing = getattr(thing, name, None)
    except Exception as error:  # a property of a later version, whatever it needs
        logger.debug("Synapse's %s cannot be had: %r", ".".join(names), error)
        return default
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


def count_transactions() -> Callable[[], int | None]:
    """What counts the transactions that have ended on behalf of the log context of now."""
    context = call(current_context)

    def count() -> int | None:
        transactions = get(call(get(context, "get_resource_usage")), "db_txn_count")
        return transactions if isinstance(transactions, int) else None

    return count


_contexts = call(import_module, "synapse.logging.context")

current_context: Any = get(_contexts, "current_context")

# In no log context: what goes on in there brings its own.
PreserveLoggingContext: Any = get(_contexts, "PreserveLoggingContext", default=nullcontext)


class OnInternalError(Protocol):
    """Tells of an error of ours; must not raise."""

    def __call__(self, where: str, error: Exception) -> None: ...


class InternalErrors:
    """Logs errors of ours, each kind once for each place."""

    def __init__(self) -> None:
        self._logged: set[tuple[str, type]] = set()

    def __call__(self, where: str, error: Exception) -> None:
        if (where, type(error)) in self._logged:
            return
        self._logged.add((where, type(error)))
        logger.error(
            "internal error %s; such updates go on at stock Synapse's pace."
            " Further errors of this kind are not logged.",
            where,
            exc_info=error,
        )
