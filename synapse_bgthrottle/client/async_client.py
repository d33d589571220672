"""The client for asyncio and trio: the same methods as `Client`, awaited."""

from collections.abc import Mapping
from types import TracebackType
from typing import Any, TypeVar

import httpx

from synapse_bgthrottle.client import requests
from synapse_bgthrottle.client.connection import TIMEOUT_S, Connection
from synapse_bgthrottle.client.requests import MODULE_PREFIX, Call
from synapse_bgthrottle.schema import (
    Explanation,
    HistoryEntry,
    LeverAnswer,
    SeenHour,
    ThrottleStatus,
    UpdatesStatus,
    Use,
)

T = TypeVar("T")


class AsyncClient:
    """Calls to one server. A context manager; every call raises ClientError.

    The first four methods are Synapse's own API and work on any server; the others need the
    module, and raise NoModuleError without it.
    """

    def __init__(
        self,
        url: str,
        token: str,
        *,
        prefix: str = MODULE_PREFIX,
        timeout_s: float = TIMEOUT_S,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """`prefix` is the path of the module's API; `transport` is httpx's, for tests.

        Raises:
            ValueError: an argument can never work; the message does not contain the token.
        """
        self._connection = Connection(url, token, prefix, timeout_s)
        self._http = httpx.AsyncClient(transport=transport, **self._connection.options)

    async def __aenter__(self) -> "AsyncClient":
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def status(self) -> UpdatesStatus:
        """What every database is at now, as far as Synapse itself tells."""
        return await self._send(requests.status())

    async def enabled(self, value: bool | None = None) -> bool:
        """Synapse's own switch: how it stands or, with a value, how it stands once it is set."""
        return await self._send(requests.enabled(value))

    async def set_enabled(self, value: bool) -> bool:
        """Set Synapse's own switch. What is off has no end but a restart, which puts it on."""
        return await self._send(requests.enabled(value))

    async def run(
        self, job: str, *, old_key: str | None = None, before_ts_ms: int | None = None
    ) -> None:
        """Put one of `JOBS` into the queue; the other arguments are for `event_resign`.

        Raises:
            RefusedError: the server does not know the job, or it is in the queue already.
        """
        await self._send(requests.run(job, old_key, before_ts_ms))

    async def throttle_status(self) -> ThrottleStatus:
        """Queue, progress, decisions, signals, levers and problems."""
        return await self._send(requests.throttle_status())

    async def history(
        self, limit: int = 100, update: str | None = None, database: str | None = None
    ) -> tuple[HistoryEntry, ...]:
        """Updates that went or go on, newest first; `update` is a pattern, `limit` 1 to 1000."""
        return await self._send(requests.history(limit, update, database))

    async def uses(self, limit: int = 100) -> tuple[Use, ...]:
        """Who used which lever, newest first."""
        return await self._send(requests.uses(limit))

    async def load(self) -> tuple[SeenHour, ...]:
        """How busy clients were in each hour of the week that was watched."""
        return await self._send(requests.load())

    async def explain(
        self, update: str, database: str = "master", one_shot: bool = False
    ) -> Explanation:
        """The rule, the limits and the levers of an update, and what would hold it now."""
        return await self._send(requests.explain(update, database, one_shot))

    async def pause(
        self,
        update: str = "*",
        *,
        database: str | None = None,
        duration: str | int | None = None,
        reason: str = "",
    ) -> LeverAnswer:
        """Stop matching updates. `duration`: `"24h"` or ms, 1 s to 30 d; None: the server's."""
        return await self._send(requests.lever("pause", update, database, duration, reason))

    async def resume(
        self, update: str = "*", *, database: str | None = None, reason: str = ""
    ) -> LeverAnswer:
        """End pauses that the pattern equals or matches.

        Raises:
            NotFoundError: there is none.
        """
        return await self._send(requests.lever("resume", update, database, None, reason))

    async def release(
        self,
        update: str,
        *,
        database: str | None = None,
        duration: str | int | None = None,
        reason: str = "",
    ) -> LeverAnswer:
        """Let matching pending updates go once, whatever windows and approvals say.

        Raises:
            NotFoundError: no pending update matches.
        """
        return await self._send(requests.lever("release", update, database, duration, reason))

    async def override(
        self,
        update: str,
        settings: Mapping[str, Any],
        *,
        database: str | None = None,
        duration: str | int | None = None,
        reason: str = "",
    ) -> LeverAnswer:
        """Put other settings in force for matching updates, until `duration` is over.

        Raises:
            RefusedError: with a problem for each setting that is wrong.
        """
        return await self._send(
            requests.lever("override", update, database, duration, reason, settings)
        )

    async def reset(
        self, update: str = "*", *, database: str | None = None, reason: str = ""
    ) -> LeverAnswer:
        """End overrides and releases that match.

        Raises:
            NotFoundError: there is none.
        """
        return await self._send(requests.lever("reset", update, database, None, reason))

    async def _send(self, call: Call[T]) -> T:
        with self._connection.errors():
            response = await self._http.request(**self._connection.request(call))
        return self._connection.result(call, response)
