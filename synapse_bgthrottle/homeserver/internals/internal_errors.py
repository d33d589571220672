"""What becomes of errors of our own."""

from typing import Protocol


class OnInternalError(Protocol):
    """Tells of an error of ours; must not raise."""

    def __call__(self, where: str, error: Exception) -> None: ...
