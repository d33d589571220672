"""A steering that writes down what it is asked, and answers the examples of openapi.json."""

import json
from collections.abc import Callable
from importlib import resources
from typing import Any

from synapse_bgthrottle import schema
from synapse_bgthrottle.core.config.problems import InvalidConfigError, Problem
from synapse_bgthrottle.core.levers.request import (
    LeverRequest,
    NothingMatchesError,
    StoreUnavailableError,
    TooManyLeversError,
)

OPENAPI: Any = json.loads(
    resources.files("synapse_bgthrottle.api").joinpath("openapi.json").read_bytes()
)

# What it raises for updates of these names.
ERRORS: dict[str, Exception] = {
    "nothing_matches": NothingMatchesError("no pause matches"),
    "too_many": TooManyLeversError("100 levers are in force"),
    "no_store": StoreUnavailableError(),
    "perhaps": StoreUnavailableError("it may still be done", may_be_done=True),
    "broken": RuntimeError("told to fail"),
    "no_database": InvalidConfigError([Problem(("database",), "found 'x'; accepted is master")]),
}


def example(method: str, path: str) -> Any:
    """The example of the answer."""
    answer = OPENAPI["paths"][path][method]["responses"]["200"]
    return answer["content"]["application/json"]["example"]


class FakeSteering:
    """Does nothing.

    Args:
        tell: called with each thing asked for.
    """

    def __init__(self, tell: Callable[[str], object]) -> None:
        self._tell = tell

    async def status(self) -> schema.ThrottleStatus:
        self._tell("status")
        return schema.decode(schema.ThrottleStatus, example("get", "/v1/status"))

    async def history(
        self, limit: int, update: str | None, database: str | None
    ) -> tuple[schema.HistoryEntry, ...]:
        self._tell(f"history {limit} {update} {database}")
        self._raise(update)
        return schema.decode(schema.History, example("get", "/v1/history")).history

    async def uses(self, limit: int) -> tuple[schema.Use, ...]:
        self._tell(f"uses {limit}")
        return schema.decode(schema.Uses, example("get", "/v1/uses")).uses

    async def load(self) -> tuple[schema.SeenHour, ...]:
        self._tell("load")
        return schema.decode(schema.Load, example("get", "/v1/load")).load

    async def explain(self, update: str, database: str, one_shot: bool) -> schema.Explanation:
        self._tell(f"explain {update} {database} {one_shot}")
        self._raise(update)
        return schema.decode(schema.Explanation, example("get", "/v1/explain"))

    async def pull(self, request: LeverRequest, author: str) -> schema.LeverAnswer:
        self._tell(f"{request.action.value} {request.update} by {author}")
        self._raise(request.update)
        return schema.decode(schema.LeverAnswer, example("post", f"/v1/{request.action.value}"))

    def _raise(self, update: str | None) -> None:
        if update in ERRORS:
            raise ERRORS[update]
