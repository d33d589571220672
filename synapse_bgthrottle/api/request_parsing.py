"""Reads a request's body and the parameters of its URL. Pure."""

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl

import attrs

from synapse_bgthrottle.api.responses import RefusedError, invalid
from synapse_bgthrottle.codec import MOST_LEVELS, depth, refuse_constant
from synapse_bgthrottle.core.config.problems import LONGEST_NAME, Problem, missing, refused
from synapse_bgthrottle.core.levers.request import is_glob, is_name

LARGEST_BODY_BYTES = 64 * 1024
LONGEST_QUERY_BYTES = 4096

_MOST_DIGITS = 20  # enough for 64-bit numbers; Python needs long to read very long ones
_MOST_PARAMETERS = 10


class _RefusedJsonError(ValueError):
    """Valid JSON that the API does not accept."""


def parse_body(raw: bytes) -> object:
    """The content, {} if empty; RefusedError: too large (413), not JSON, or ambiguous (400)."""
    check_size(len(raw))
    if not raw:
        return {}
    try:
        content = json.loads(
            raw.decode("utf-8"),
            object_pairs_hook=_unique,
            parse_constant=refuse_constant,
            parse_int=_integer,
            parse_float=_float,
        )
        if depth(content) > MOST_LEVELS:
            raise _RefusedJsonError(f"The body is nested deeper than {MOST_LEVELS} levels")
    except RecursionError:
        raise RefusedError(400, "M_BAD_JSON", "The body is nested too deep") from None
    except UnicodeDecodeError:
        raise RefusedError(400, "M_NOT_JSON", "The body is not UTF-8") from None
    except _RefusedJsonError as error:
        raise RefusedError(400, "M_BAD_JSON", str(error)) from None
    except ValueError as error:
        raise RefusedError(400, "M_NOT_JSON", f"The body is not JSON: {error}") from None
    return content


def check_size(size_bytes: int) -> None:
    """Refuse a body that is too large."""
    if size_bytes > LARGEST_BODY_BYTES:
        error = f"The body is larger than {LARGEST_BODY_BYTES} bytes"
        raise RefusedError(413, "M_TOO_LARGE", error)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):  # JSON parsers differ in which one they take
        raise _RefusedJsonError("A key occurs twice in one object")
    return content


def _integer(digits: str) -> int:
    if len(digits) > _MOST_DIGITS:
        raise _RefusedJsonError(f"A number has more than {_MOST_DIGITS} digits")
    return int(digits)


def _float(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise _RefusedJsonError("A number is too large")
    return value


@attrs.frozen
class Parameter:
    """A parameter of a URL; `accepted` says which values are valid, for people."""

    accepted: str
    is_valid: Callable[[str], bool]
    convert: Callable[[str], Any] = str
    default: Any = None
    is_required: bool = False


def _is_limit(value: str) -> bool:
    return re.fullmatch("[0-9]{1,4}", value) is not None and 1 <= int(value) <= 1000


LIMIT = Parameter("a whole number from 1 to 1000", _is_limit, int, 100)
GLOB = Parameter(f"a name or a glob, of 1 to {LONGEST_NAME} printable characters", is_glob)
NAME = Parameter(f"a name, of 1 to {LONGEST_NAME} printable characters", is_name)
FLAG = Parameter(
    "true or false", lambda value: value in ("true", "false"), lambda value: value == "true", False
)


def parse_query(parameters: Mapping[str, Parameter], raw: bytes) -> dict[str, Any]:
    """The values of all these parameters, by name; RefusedError: lists everything that is wrong."""
    if len(raw) > LONGEST_QUERY_BYTES:
        raise RefusedError(400, "M_INVALID_PARAM", f"The query is over {LONGEST_QUERY_BYTES} bytes")
    try:
        pairs = parse_qsl(
            raw.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=bool(raw),  # Python before 3.11 refuses an empty query
            errors="strict",
            max_num_fields=_MOST_PARAMETERS,
        )
    except ValueError:  # includes UnicodeDecodeError
        raise RefusedError(400, "M_INVALID_PARAM", "The query cannot be read") from None
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
        elif parameters[name].is_valid(value):
            values[name] = parameters[name].convert(value)
        else:
            values[name] = None
            yield refused(at, value, parameters[name].accepted)
    for name, parameter in parameters.items():
        if name not in values:
            values[name] = parameter.default
            if parameter.is_required:
                yield missing((name,), parameter.accepted)
