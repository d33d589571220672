"""Answers as bytes: status, headers and body. Pure."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from synapse_bgthrottle.codec import to_json
from synapse_bgthrottle.core.config.problems import Problem
from synapse_bgthrottle.core.levers.request import escaped
from synapse_bgthrottle.schema import ErrorAnswer

# On every answer. The API is for programs: no header allows pages of other origins to read it.
HEADERS: Mapping[str, str] = {
    "Content-Type": "application/json",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}


@attrs.frozen
class Answer:
    """An answer, ready to send. Its headers come in addition to `HEADERS`."""

    status: int
    body: bytes
    headers: Mapping[str, str] = attrs.field(factory=dict)


class RefusedError(Exception):
    """The request is refused; `answer` says why, in Matrix's error shape."""

    def __init__(
        self,
        status: int,
        errcode: str,
        error: str,
        headers: Mapping[str, str] | None = None,
        **fields: Any,
    ) -> None:
        super().__init__(f"{status} {errcode}: {error}")
        body = encode(ErrorAnswer(errcode=errcode, error=error, **fields))
        self.answer = Answer(status, body, headers or {})


def encode(content: object) -> bytes:
    """A record as JSON in ASCII, which terminals and logs show as it is."""
    return json.dumps(to_json(content), allow_nan=False, separators=(",", ":")).encode("ascii")


def invalid(problems: Sequence[Problem]) -> RefusedError:
    """The error for all these problems.

    Keys are escaped, because a key as sent may contain half a character, which many readers refuse.
    """
    shown = [Problem(tuple(map(escaped, p.path)), escaped(p.message)) for p in problems]
    return RefusedError(
        400,
        "M_INVALID_PARAM",
        "; ".join(map(str, shown)),
        problems=tuple(shown),
    )
