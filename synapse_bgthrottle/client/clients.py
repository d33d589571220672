"""Both clients: one waits for each answer, the other is awaited. Their methods are `requests`."""

from collections.abc import Awaitable, Callable
from functools import wraps
from types import TracebackType
from typing import Any, Generic, ParamSpec, TypeVar, overload

import attrs
import httpx

from synapse_bgthrottle.client import requests
from synapse_bgthrottle.client.connection import TIMEOUT_S, Connection
from synapse_bgthrottle.client.requests import MODULE_PREFIX, Call

P = ParamSpec("P")
T = TypeVar("T")


class _Sent(Generic[P, T]):
    """A method of `Client`: sends the call that a function makes, and has its docstring."""

    def __init__(self, make: Callable[P, Call[T]]) -> None:
        self._make = make

    @overload
    def __get__(self, client: None, owner: type) -> Callable[P, Call[T]]: ...
    @overload
    def __get__(self, client: "Client", owner: type) -> Callable[P, T]: ...
    def __get__(self, client: "Client | None", owner: type) -> Callable[P, Any]:
        if client is None:
            return self._make

        @wraps(self._make)
        def send(*args: P.args, **kwargs: P.kwargs) -> T:
            return client._send(self._make(*args, **kwargs))

        return send


class _Awaited(Generic[P, T]):
    """The same of `AsyncClient`."""

    def __init__(self, make: Callable[P, Call[T]]) -> None:
        self._make = make

    @overload
    def __get__(self, client: None, owner: type) -> Callable[P, Call[T]]: ...
    @overload
    def __get__(self, client: "AsyncClient", owner: type) -> Callable[P, Awaitable[T]]: ...
    def __get__(self, client: "AsyncClient | None", owner: type) -> Callable[P, Any]:
        if client is None:
            return self._make

        @wraps(self._make)
        async def send(*args: P.args, **kwargs: P.kwargs) -> T:
            return await client._send(self._make(*args, **kwargs))

        return send


class Client:
    """Calls to one server. A context manager; every call raises ClientError.

    The first four methods are Synapse's own API and work on any server; the others need the
    module, and raise NoModuleError without it.
    """

    status = _Sent(requests.status)
    enabled = _Sent(requests.enabled)
    set_enabled = _Sent(requests.set_enabled)
    run = _Sent(requests.run)
    throttle_status = _Sent(requests.throttle_status)
    history = _Sent(requests.history)
    uses = _Sent(requests.uses)
    load = _Sent(requests.load)
    explain = _Sent(requests.explain)
    pause = _Sent(requests.pause)
    resume = _Sent(requests.resume)
    release = _Sent(requests.release)
    override = _Sent(requests.override)
    reset = _Sent(requests.reset)

    def __init__(
        self,
        url: str,
        token: str,
        *,
        prefix: str = MODULE_PREFIX,
        timeout_s: float = TIMEOUT_S,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """`prefix` is the path of the module's API; `transport` is httpx's, for tests.

        Raises:
            ValueError: an argument can never work; the message does not contain the token.
        """
        self._connection = Connection(url, token, prefix, timeout_s)
        self._http = httpx.Client(transport=transport, **self._connection.options)

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    @property
    def timeout_s(self) -> float:
        """The longest wait for each part of an answer. Can be set; ValueError: not above 0 s."""
        return self._connection.timeout_s

    @timeout_s.setter
    def timeout_s(self, value: float) -> None:
        self._connection = attrs.evolve(self._connection, timeout_s=value)
        self._http.timeout = httpx.Timeout(value)

    def _send(self, call: Call[T]) -> T:
        with self._connection.errors():
            response = self._http.request(**self._connection.request(call))
        return self._connection.result(call, response)


class AsyncClient:
    """The client for asyncio and trio: the same methods as `Client`, awaited."""

    status = _Awaited(requests.status)
    enabled = _Awaited(requests.enabled)
    set_enabled = _Awaited(requests.set_enabled)
    run = _Awaited(requests.run)
    throttle_status = _Awaited(requests.throttle_status)
    history = _Awaited(requests.history)
    uses = _Awaited(requests.uses)
    load = _Awaited(requests.load)
    explain = _Awaited(requests.explain)
    pause = _Awaited(requests.pause)
    resume = _Awaited(requests.resume)
    release = _Awaited(requests.release)
    override = _Awaited(requests.override)
    reset = _Awaited(requests.reset)

    def __init__(
        self,
        url: str,
        token: str,
        *,
        prefix: str = MODULE_PREFIX,
        timeout_s: float = TIMEOUT_S,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """As for `Client`."""
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

    async def _send(self, call: Call[T]) -> T:
        with self._connection.errors():
            response = await self._http.request(**self._connection.request(call))
        return self._connection.result(call, response)
