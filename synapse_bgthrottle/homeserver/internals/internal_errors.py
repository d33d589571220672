"""What becomes of errors of our own."""

import logging
from typing import Protocol

logger = logging.getLogger(__name__)


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
            "an error of its own %s; such updates go on at stock's pace."
            " Further errors of this kind are not logged.",
            where,
            exc_info=error,
        )
