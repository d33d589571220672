"""The parameters behind a path's question mark, checked. Pure."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl

import attrs

from synapse_bgthrottle.lever_requests import is_glob, is_name
from synapse_bgthrottle.problems import LONGEST_NAME, Problem, missing, refused
from synapse_bgthrottle.web.answers import RefusedError, invalid
from synapse_bgthrottle.web.routes import EXPLAIN, HISTORY, USES, Route

LONGEST_BYTES = 4096

_MOST_PARAMETERS = 10


@attrs.frozen
class Parameter:
    """A parameter: what is accepted, how it is read, and what it is if left out.

    Attributes:
        accepted: for people.
        parse: raises ValueError for anything else.
        default: already read.
        is_required: it cannot be left out.
    """

    accepted: str
    parse: Callable[[str], Any]
    default: Any = None
    is_required: bool = False


def _limit(value: str) -> int:
    if re.fullmatch("[0-9]{1,4}", value, re.ASCII) is None or not 1 <= int(value) <= 1000:
        raise ValueError("out of range")
    return int(value)


def _if(is_valid: Callable[[object], bool]) -> Callable[[str], str]:
    def parse(value: str) -> str:
        if not is_valid(value):
            raise ValueError("not valid")
        return value

    return parse


_LIMIT = Parameter("a whole number from 1 to 1000", _limit, 100)
_GLOB = Parameter(f"a name or a glob, of 1 to {LONGEST_NAME} printable characters", _if(is_glob))
_NAME = Parameter(f"a name, of 1 to {LONGEST_NAME} printable characters", _if(is_name))
_FLAG = Parameter("true or false", lambda value: {"true": True, "false": False}[value], False)

PARAMETERS: Mapping[Route, Mapping[str, Parameter]] = {
    HISTORY: {"limit": _LIMIT, "update": _GLOB, "database": _NAME},
    USES: {"limit": _LIMIT},
    EXPLAIN: {
        "update": attrs.evolve(_NAME, is_required=True),
        "database": attrs.evolve(_NAME, default="master"),
        "one_shot": _FLAG,
    },
}


def parse_query(route: Route, raw: bytes) -> dict[str, Any]:
    """All parameters of the route, by name.

    Args:
        route: which ones there are.
        raw: as it was sent; empty where there is none.

    Raises:
        RefusedError: something is wrong with it; tells everything that is.
    """
    if len(raw) > LONGEST_BYTES:
        raise RefusedError(400, "M_INVALID_PARAM", f"The query is over {LONGEST_BYTES} bytes")
    try:
        pairs = parse_qsl(
            raw.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=bool(raw),  # before 3.11 an empty one is refused
            errors="strict",
            max_num_fields=_MOST_PARAMETERS,
        )
    except ValueError:  # UnicodeDecodeError is one
        raise RefusedError(400, "M_INVALID_PARAM", "The query cannot be read") from None
    parameters = PARAMETERS.get(route, {})
    values: dict[str, Any] = {}
    problems = list(_read(parameters, pairs, values))
    if problems:
        raise invalid(problems)
    return values


def _read(
    parameters: Mapping[str, Parameter], pairs: list[tuple[str, str]], values: dict[str, Any]
) -> Iterator[Problem]:
    accepted = ", ".join(parameters) or "none"
    for name, value in pairs:
        at = (name[:LONGEST_NAME],)
        if name not in parameters:
            yield Problem(at, f"unknown parameter; accepted are {accepted}")
        elif name in values:
            yield Problem(at, "found more than once; accepted is once")
        else:
            values[name] = None
            try:
                values[name] = parameters[name].parse(value)
            except (ValueError, KeyError):
                yield refused(at, value, parameters[name].accepted)
    for name, parameter in parameters.items():
        if name not in values:
            values[name] = parameter.default
            if parameter.is_required:
                yield missing((name,), parameter.accepted)
