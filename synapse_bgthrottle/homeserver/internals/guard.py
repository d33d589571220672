"""Guarded access to what a version of Synapse may lack; log of the module's own errors."""

import logging
from collections.abc import Callable
from contextlib import nullcontext
from importlib import import_module
from typing import Any, TypeVar

import attrs
from twisted.internet.defer import CancelledError

logger = logging.getLogger(__name__)

T = TypeVar("T")


def get(thing: Any, *names: str, default: Any = None) -> Any:
    """The attribute of the attribute ... of a thing, or the default if any is missing."""
    try:
        for name in names:
            thing = getattr(thing, name, None)
    except Exception as error:  # a property of a later version may raise anything
        logger.debug("Could not read Synapse's %s: %r", ".".join(names), error)
        return default
    return default if thing is None else thing


def call(function: Callable[..., T] | None, *arguments: Any) -> T | None:
    """The function's answer; None if there is no function, or if it raises."""
    if function is None:
        return None
    try:
        return function(*arguments)
    except Exception as error:  # this version may behave differently; the module works without it
        logger.debug("Could not call Synapse's %r: %r", function, error)
        return None


def count_transactions() -> Callable[[], int | None]:
    """A function that counts the ended transactions of the present log context."""
    context = call(current_context)

    def count() -> int | None:
        transactions = get(call(get(context, "get_resource_usage")), "db_txn_count")
        return transactions if isinstance(transactions, int) else None

    return count


_contexts = call(import_module, "synapse.logging.context")

current_context: Any = get(_contexts, "current_context")

# Leaves the log context; the code inside sets its own.
PreserveLoggingContext: Any = get(_contexts, "PreserveLoggingContext", default=nullcontext)


# Reports an error of the module itself: where it was, and the error. It must not raise.
OnInternalError = Callable[[str, Exception], None]


@attrs.frozen
class Reporting:
    """Reports an error of its block instead of raising it. Cancellation passes through."""

    _on_internal_error: OnInternalError
    _where: str

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: BaseException | None, tb: object) -> bool:
        if not isinstance(error, Exception) or isinstance(error, CancelledError):
            return False
        self._on_internal_error(self._where, error)
        return True


class InternalErrors:
    """Logs errors of the module itself, each type once for each place."""

    def __init__(self) -> None:
        self._logged: set[tuple[str, type]] = set()

    def __call__(self, where: str, error: Exception) -> None:
        if (where, type(error)) in self._logged:
            return
        self._logged.add((where, type(error)))
        logger.error(
            "internal error %s; such updates go on at stock Synapse's pace, unless they are paused"
            " or their windows are closed. Further errors of this kind are not logged.",
            where,
            exc_info=error,
        )
