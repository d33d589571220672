"""The blocking client and the asynchronous one. Both have the calls in `requests` as methods."""

from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import suppress
from functools import wraps
from threading import Thread
from typing import Any, ClassVar, Generic, ParamSpec, TypeVar, cast, overload

import anyio
import attrs
import httpx

from synapse_bgthrottle.client import requests
from synapse_bgthrottle.client.connection import TIMEOUT_S, Body, Connection
from synapse_bgthrottle.client.requests import MODULE_PREFIX, Call

P = ParamSpec("P")
T = TypeVar("T")


class _Method(Generic[P, T]):
    """A method of a client: it sends the call that a function makes, and has its docstring."""

    def __init__(self, make: Callable[P, Call[T]]) -> None:
        self._make = make

    @overload
    def __get__(self, client: None, owner: type) -> Callable[P, Call[T]]: ...
    @overload
    def __get__(self, client: "Client", owner: type) -> Callable[P, T]: ...
    @overload
    def __get__(self, client: "AsyncClient", owner: type) -> Callable[P, Awaitable[T]]: ...
    def __get__(self, client: "Client | AsyncClient | None", owner: type) -> Callable[P, Any]:
        if client is None:
            return self._make

        @wraps(self._make)
        def send(*args: P.args, **kwargs: P.kwargs) -> T | Awaitable[T]:
            return client._send(self._make(*args, **kwargs))

        return send


class _Client:
    """What both clients have."""

    _http_class: ClassVar[Any]
    _socket_class: ClassVar[Any]

    def __init__(
        self,
        url: str,
        token: str,
        *,
        prefix: str = MODULE_PREFIX,
        timeout_s: float = TIMEOUT_S,
        transport: httpx.BaseTransport | httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """`prefix` is the path of the module's API; `transport` is httpx's, for tests.

        Raises ValueError, without the token in its message, if an argument cannot work, and
        CertificatesError if the file in SSL_CERT_FILE cannot be used.
        """
        self._connection = Connection(url, token, prefix, timeout_s)
        self._transport = transport
        self._http = self._made()

    def _made(self) -> Any:
        path = self._connection.socket_path
        transport = self._transport
        if transport is None and path is not None:
            transport = self._socket_class(uds=path)
        return self._http_class(transport=transport, **self._connection.options)

    status = _Method(requests.status)
    enabled = _Method(requests.enabled)
    run = _Method(requests.run)
    throttle_status = _Method(requests.throttle_status)
    history = _Method(requests.history)
    uses = _Method(requests.uses)
    load = _Method(requests.load)
    explain = _Method(requests.explain)
    pause = _Method(requests.pause)
    resume = _Method(requests.resume)
    release = _Method(requests.release)
    override = _Method(requests.override)
    reset = _Method(requests.reset)


class Client(_Client):
    """Calls to one server. It is a context manager; every call may raise ClientError.

    The first three methods use Synapse's own API and work on any server. The others need the
    module, and raise NoModuleError without it.
    """

    _http_class = httpx.Client
    _socket_class = httpx.HTTPTransport

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    @property
    def timeout_s(self) -> float:
        """The longest wait for an answer. It can be set; ValueError: not above 0 s."""
        return self._connection.timeout_s

    @timeout_s.setter
    def timeout_s(self, value: float) -> None:
        self._connection = attrs.evolve(self._connection, timeout_s=value)
        self._http.timeout = self._connection.timeouts

    def _send(self, call: Call[T]) -> T:
        # In a thread, because nothing else limits a slow answer: httpx's limit is for each byte.
        answer: Future[T] = Future()
        http, connection = self._http, self._connection
        Thread(target=_answer, args=(answer, http, connection, call), daemon=True).start()
        try:
            return answer.result(connection.whole_s)
        except FutureTimeoutError:
            self._http = self._made()
            with suppress(Exception):  # the other thread still uses it, and ends by this
                http.close()
            raise connection.too_slow() from None


def _answer(answer: "Future[T]", http: httpx.Client, connection: Connection, call: Call[T]) -> None:
    try:
        with connection.errors(), http.stream(**connection.request(call)) as response:
            body = Body(response.headers)
            for part in cast(httpx.SyncByteStream, response.stream):
                body.add(part)
        answer.set_result(connection.result(call, response, body.content))
    except BaseException as error:
        answer.set_exception(error)


class AsyncClient(_Client):
    """The client for asyncio and trio: the methods of `Client`, to be awaited."""

    _http_class = httpx.AsyncClient
    _socket_class = httpx.AsyncHTTPTransport

    async def __aenter__(self) -> "AsyncClient":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _send(self, call: Call[T]) -> T:
        connection = self._connection
        try:
            with anyio.fail_after(connection.whole_s), connection.errors():
                async with self._http.stream(**connection.request(call)) as response:
                    body = Body(response.headers)
                    async for part in cast(httpx.AsyncByteStream, response.stream):
                        body.add(part)
        except TimeoutError:
            raise connection.too_slow() from None
        return connection.result(call, response, body.content)
