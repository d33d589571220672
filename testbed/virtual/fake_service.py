"""A service that records its calls, and answers with the examples of openapi.json."""

import json
from collections.abc import Callable
from importlib import resources
from typing import Any

from synapse_bgthrottle.core.config.problems import InvalidConfigError, Problem
from synapse_bgthrottle.core.levers.request import (
    LeverRequest,
    NothingMatchesError,
    StoreUnavailableError,
    TooManyLeversError,
)
from testbed.openapi.operations import OPERATIONS

OPENAPI: Any = json.loads(
    resources.files("synapse_bgthrottle.api").joinpath("openapi.json").read_bytes()
)

_ANSWERS: dict[str, Any] = {operation.name: operation.answer for operation in OPERATIONS}

# Exceptions for updates of these names.
ERRORS: dict[str, Exception] = {
    "nothing_matches": NothingMatchesError("no pause matches"),
    "too_many": TooManyLeversError("100 levers are in force"),
    "no_store": StoreUnavailableError("nothing has changed: no answer"),
    "perhaps": StoreUnavailableError("it may still be done", may_be_done=True),
    "broken": RuntimeError("told to fail"),
    "no_database": InvalidConfigError([Problem(("database",), "found 'x'; accepted is master")]),
}


def example(method: str, path: str) -> Any:
    """The example of the answer."""
    answer = OPENAPI["paths"][path][method]["responses"]["200"]
    return answer["content"]["application/json"]["example"]


class FakeService:
    """A service without effects.

    Args:
        tell: called with a description of each call.
    """

    def __init__(self, tell: Callable[[str], object]) -> None:
        self._tell = tell

    async def status(self) -> Any:
        self._tell("status")
        return _ANSWERS["status"]

    async def history(self, limit: int, update: str | None, database: str | None) -> Any:
        self._tell(f"history {limit} {update} {database}")
        self._raise(update)
        return _ANSWERS["history"].history

    async def uses(self, limit: int) -> Any:
        self._tell(f"uses {limit}")
        return _ANSWERS["uses"].uses

    async def load(self) -> Any:
        self._tell("load")
        return _ANSWERS["load"].load

    async def explain(self, update: str, database: str, one_shot: bool) -> Any:
        self._tell(f"explain {update} {database} {one_shot}")
        self._raise(update)
        return _ANSWERS["explain"]

    async def change_levers(self, request: LeverRequest, author: str) -> Any:
        self._tell(f"{request.action.value} {request.update} by {author}")
        self._raise(request.update)
        return _ANSWERS[request.action.value]

    def _raise(self, update: str | None) -> None:
        if update in ERRORS:
            raise ERRORS[update]
