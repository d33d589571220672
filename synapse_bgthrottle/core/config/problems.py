"""Problems of a text: where, what was found, what is accepted. Pure."""

import difflib
import reprlib
from collections.abc import Callable, Iterable, Sequence

from synapse_bgthrottle import schema

Path = tuple[str, ...]
Problem = schema.Problem

LONGEST_NAME = 200

_SHORT = reprlib.Repr()  # values may be huge, because YAML aliases multiply
_SHORT.maxstring = _SHORT.maxother = 60
_SHORT.maxlevel = 3  # each level may show six times as much
_LONGEST_FOUND = 300


class InvalidConfigError(Exception):
    """All problems of one configuration, or of one request: at least one."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = tuple(problems)


def refused(path: Path, value: object, accepted: str) -> Problem:
    """A wrong value, and what is accepted instead."""
    return Problem(path, f"found {found(value)}; accepted is {accepted}")


def missing(path: Path, accepted: str) -> Problem:
    """A required key is missing."""
    return Problem(path, f"missing; accepted is {accepted}")


def unknown_keys(path: Path, raw: Iterable[object], keys: Sequence[str]) -> list[Problem]:
    """A problem for each key in `raw`, a mapping at `path`, that is not one of `keys`."""
    problems = []
    for key in raw:
        if key not in keys:
            name = text(key)[:LONGEST_NAME]
            hint = did_you_mean(name, keys) or ";"
            message = f"unknown key{hint} accepted are {', '.join(keys)}"
            problems.append(Problem((*path, name), message))
    return problems


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean ...?` with the most similar known word; empty: none is similar."""
    close = difflib.get_close_matches(word[:LONGEST_NAME], sorted(known), n=1)
    return f"; did you mean {close[0]}?" if close else ""


def found(value: object) -> str:
    """The value in short, as Python writes it."""
    written = text(value, _SHORT.repr)
    return written if len(written) <= _LONGEST_FOUND else f"{written[:_LONGEST_FOUND]}..."


def text(value: object, write: Callable[[object], str] = str) -> str:
    """The value as `write` writes it, or its type."""
    try:
        return write(value)
    except ValueError:  # Python refuses to print integers of thousands of digits
        return f"a value of type {type(value).__name__}"
