"""A request's body as JSON, and nothing that JSON has not. Pure."""

import json
import math
from typing import Any

from synapse_bgthrottle.api.responses import RefusedError

LARGEST_BYTES = 64 * 1024

_DEEPEST = 16
_MOST_DIGITS = 20  # of 64-bit numbers; Python takes its time to read very long ones


class _RefusedJsonError(ValueError):
    """It is JSON, but none that anybody writes."""


def parse_body(raw: bytes) -> object:
    """What the body says; an empty one is an empty object.

    Raises:
        RefusedError: it is too large (413), or not JSON that has one reading only (400).
    """
    check_size(len(raw))
    if not raw:
        return {}
    try:
        content = json.loads(
            raw.decode("utf-8"),
            object_pairs_hook=_object,
            parse_constant=_constant,
            parse_int=_integer,
            parse_float=_float,
        )
        _check_depth(content)
    except RecursionError:
        raise RefusedError(400, "M_BAD_JSON", "It is nested too deep") from None
    except UnicodeDecodeError:
        raise RefusedError(400, "M_NOT_JSON", "The body is not UTF-8") from None
    except _RefusedJsonError as error:
        raise RefusedError(400, "M_BAD_JSON", str(error)) from None
    except ValueError as error:
        raise RefusedError(400, "M_NOT_JSON", f"The body is not JSON: {error}") from None
    return content


def check_size(size_bytes: int) -> None:
    """Of a body.

    Raises:
        RefusedError: it is too large.
    """
    if size_bytes > LARGEST_BYTES:
        error = f"The body is larger than {LARGEST_BYTES} bytes"
        raise RefusedError(413, "M_TOO_LARGE", error)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):  # readers differ in which one they take
        raise _RefusedJsonError("A key stands twice in one object")
    return content


def _constant(name: str) -> Any:
    raise ValueError(f"{name} is no number")


def _integer(digits: str) -> int:
    if len(digits) > _MOST_DIGITS:
        raise _RefusedJsonError(f"A number has more than {_MOST_DIGITS} digits")
    return int(digits)


def _float(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise _RefusedJsonError("A number is too large")
    return value


def _check_depth(content: object) -> None:
    level = [content]
    for _ in range(_DEEPEST):
        level = [inner for item in level for inner in _inside(item)]
        if not level:
            return
    raise _RefusedJsonError(f"It is nested deeper than {_DEEPEST} levels")


def _inside(item: object) -> list[Any]:
    if isinstance(item, dict):
        return list(item.values())
    return item if isinstance(item, list) else []
