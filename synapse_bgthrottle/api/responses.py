"""What is answered: status, headers and body, as bytes. Pure."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from synapse_bgthrottle.core.config.problems import Problem
from synapse_bgthrottle.core.levers.request import escaped
from synapse_bgthrottle.schema import ErrorAnswer, to_json

# On every answer. It is for programs, and for nobody else's pages: no header allows another origin.
HEADERS: Mapping[str, str] = {
    "Content-Type": "application/json",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}


@attrs.frozen
class Answer:
    """An answer, ready to be sent.

    Attributes:
        status: HTTP's.
        body: JSON.
        headers: beside `HEADERS`.
    """

    status: int
    body: bytes
    headers: Mapping[str, str] = attrs.field(factory=dict)


class RefusedError(Exception):
    """The request is not done.

    Attributes:
        answer: says why, in Matrix's shape.
    """

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
    """A record as JSON, in ASCII: no terminal and no log reads anything else into it.

    Raises:
        ValueError: it has a number that JSON has not.
        TypeError: it has what JSON has not.
    """
    return json.dumps(to_json(content), allow_nan=False, separators=(",", ":")).encode("ascii")


def invalid(problems: Sequence[Problem]) -> RefusedError:
    """Refused for all of these problems.

    A key comes as it was sent, and may have half a character, more than many a reader can take.
    """
    shown = [Problem(tuple(map(escaped, p.path)), escaped(p.message)) for p in problems]
    return RefusedError(
        400,
        "M_INVALID_PARAM",
        "; ".join(map(str, shown)),
        problems=tuple(shown),
    )
