"""What the HTTP API answers where it refuses or fails, in Matrix's shape."""

from typing import Annotated

import attrs

from synapse_bgthrottle.schema.codec import LeftOut


@attrs.frozen
class Problem:
    """Something that a configuration or a request gets wrong."""

    path: Annotated[tuple[str, ...], "The keys that lead there."] = ()
    message: Annotated[str, "What was found, and what is accepted."] = ""

    def __str__(self) -> str:
        return ": ".join(part for part in (".".join(self.path), self.message) if part)


@attrs.frozen(kw_only=True)
class ErrorAnswer:
    """Why it is not done."""

    errcode: str = ""
    error: Annotated[str, "For people."] = ""
    retry_after_ms: Annotated[int | None, LeftOut(), "With 429 for too many at once."] = None
    is_worker: Annotated[
        bool | None,
        LeftOut(),
        "With 404: this is a worker, and the main process answers this. Left out elsewhere.",
    ] = None
    may_be_done: Annotated[
        bool | None,
        LeftOut(),
        "With 503: what was asked for may have been done, or still be. Where it is left out, it is"
        " not.",
    ] = None
    problems: Annotated[tuple[Problem, ...] | None, LeftOut(), "With 400: all that is wrong."] = (
        None
    )
