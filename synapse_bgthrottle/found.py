"""A value that was found in a configuration, as a problem tells it."""

import reprlib
from collections.abc import Callable

_SHORT = reprlib.Repr()  # whole values may be huge: YAML aliases multiply
_SHORT.maxstring = _SHORT.maxother = 60


def found(value: object) -> str:
    """In short, as Python writes it."""
    return text(value, _SHORT.repr)


def text(value: object, write: Callable[[object], str] = str) -> str:
    """As `write` writes it, or its type."""
    try:
        return write(value)
    except ValueError:  # Python refuses to print integers of thousands of digits
        return f"a value of type {type(value).__name__}"
