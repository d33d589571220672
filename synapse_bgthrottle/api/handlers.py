"""What each path of the API does, and what it needs from the module."""

import logging
from collections.abc import Awaitable, Callable
from datetime import datetime, timezone
from functools import partial
from typing import Any, Protocol

from synapse_bgthrottle import schema
from synapse_bgthrottle.api.concurrency import SharedAnswers
from synapse_bgthrottle.api.request_parsing import parse_query
from synapse_bgthrottle.api.responses import Answer, RefusedError, encode, invalid
from synapse_bgthrottle.api.routes import Route
from synapse_bgthrottle.core.config.problems import InvalidConfigError
from synapse_bgthrottle.core.levers.request import (
    Action,
    LeverRequest,
    NothingMatchesError,
    StoreUnavailableError,
    TooManyLeversError,
    escaped,
    parse_lever_request,
)
from synapse_bgthrottle.core.units import settings_in_words

logger = logging.getLogger(__name__)

_DID = {
    Action.PAUSE: "paused",
    Action.RESUME: "resumed",
    Action.RELEASE: "released",
    Action.OVERRIDE: "overrode the settings of",
    Action.RESET: "reset",
}


class Service(Protocol):
    """Reads and changes what background updates do.

    Each call must end within seconds, whatever the database does. The API itself has no time limit.
    Any call raises StoreUnavailableError if the database does not answer; its message says whether
    nothing has changed, or the change may still be made. Those that take a database raise
    InvalidConfigError if there is none of this name.
    """

    async def status(self) -> schema.ThrottleStatus:
        """The status of all databases."""

    async def history(
        self, limit: int, update: str | None, database: str | None
    ) -> tuple[schema.HistoryEntry, ...]:
        """Runs of updates whose name the glob `update` matches (None: all), newest first."""

    async def uses(self, limit: int) -> tuple[schema.Use, ...]:
        """Who used which lever, newest first."""

    async def load(self) -> tuple[schema.SeenHour, ...]:
        """Clients' activity in the hours of the week."""

    async def explain(self, update: str, database: str, one_shot: bool) -> schema.Explanation:
        """The limits and holds of an update of this name, whether it is pending or not."""

    async def change_levers(self, request: LeverRequest, author: str) -> schema.LeverAnswer:
        """Carry out a valid request. `author` is the administrator's full user ID.

        Raises NothingMatchesError if it matches no pending update, or no lever, and
        TooManyLeversError if no further lever can be made.
        """


class Endpoints:
    """Passes administrators' requests to the service. `openapi` is the API's description."""

    def __init__(self, service: Service, openapi: bytes) -> None:
        self._service = service
        self._openapi = openapi
        # All open pages request the status every few seconds, and a history may be long. To encode
        # them is half of their cost.
        self._reads: SharedAnswers[Answer] = SharedAnswers()

    async def answer(
        self, route: Route, query: bytes, body: Callable[[], object], author: str
    ) -> Answer:
        """The answer to the request of an administrator, `author`.

        `query` is as sent, without the question mark. `body` is only called for levers.
        Raises RefusedError if the request is wrong, or cannot be carried out.
        """
        if route.action is not None:
            content = body()
            parse_query({}, query)
            return await _refusing(self._change(route.action, content, author))
        read = partial(self._read, route, parse_query(route.parameters, query))
        return await _refusing(self._reads.answer((route.path, query), read))

    async def _read(self, route: Route, values: dict[str, Any]) -> Answer:
        if route.read is None:
            return Answer(200, self._openapi)
        found = await route.read(self._service, **values)
        return _ok(found if route.record is None else route.record(found))

    async def _change(self, action: Action, content: object, author: str) -> Answer:
        request = parse_lever_request(action, content)
        try:
            done = await self._service.change_levers(request, author)
        finally:
            self._reads.forget()
        logger.info("%s", log_line(request, author, done))
        return _ok(done)


def _ok(content: object) -> Answer:
    # Not in a thread, as in Synapse: the encoder holds the interpreter's lock all the time.
    return Answer(200, encode(content))


async def _refusing(answer: Awaitable[Answer]) -> Answer:
    """The answer; errors of the service become refusals."""
    try:
        return await answer
    except InvalidConfigError as error:
        raise invalid(error.problems) from None
    except NothingMatchesError as error:
        raise RefusedError(404, "M_NOT_FOUND", str(error)) from error
    except TooManyLeversError as error:
        raise RefusedError(429, "M_LIMIT_EXCEEDED", str(error)) from error
    except StoreUnavailableError as error:
        may_be_done = error.may_be_done
        raise RefusedError(503, "M_UNKNOWN", str(error), may_be_done=may_be_done) from error


def log_line(request: LeverRequest, author: str, answer: schema.LeverAnswer) -> str:
    """Who did what to which updates until when, and why, in one line."""
    line = f"{author} {_DID[request.action]} {request.update}"
    line += " in all databases" if request.database is None else f" in {request.database}"
    if request.written:
        line += f" to {settings_in_words(request.written)}"
    for lever in answer.made:
        until = datetime.fromtimestamp((lever.ends_ms or 0) / 1000, timezone.utc)
        line += f" until {until:%Y-%m-%d %H:%M:%S} UTC"
    count = len(answer.ended)
    if count:
        line += f", which ended {count} earlier" + (" one" if count == 1 else " ones")
    line += f": {request.reason}" if request.reason else ", no reason given"
    return escaped(line)
