"""What Synapse serves below the module's path, on every HTTP listener of the process."""

import logging
from contextlib import nullcontext, suppress
from importlib import resources
from typing import TYPE_CHECKING, Any

from synapse.module_api import ModuleApi, run_in_background
from twisted.internet.defer import CancelledError
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from synapse_bgthrottle.api.auth import administrator
from synapse_bgthrottle.api.concurrency import RequestQueue
from synapse_bgthrottle.api.handlers import Endpoints, Service
from synapse_bgthrottle.api.request_parsing import LARGEST_BODY_BYTES, check_size, parse_body
from synapse_bgthrottle.api.responses import HEADERS, Answer, RefusedError
from synapse_bgthrottle.api.routes import Route, find
from synapse_bgthrottle.api.static_files import PageFiles
from synapse_bgthrottle.core.scheduling.failures import complaint_of, is_from_database
from synapse_bgthrottle.homeserver.internals.guard import OnInternalError, get

if TYPE_CHECKING:
    from synapse.http.site import SynapseRequest

logger = logging.getLogger(__name__)

_FAILED = RefusedError(500, "M_UNKNOWN", "Internal server error").answer
_CANCELLED = RefusedError(503, "M_UNKNOWN", "The request was cancelled").answer
_UNAVAILABLE = RefusedError(503, "M_UNKNOWN", "The database does not answer").answer
_ELSEWHERE = RefusedError(
    404,
    "M_UNRECOGNIZED",
    "This is a worker. Background updates run in the main process: send this request there.",
    is_worker=True,
).answer


class ThrottleResource(Resource):
    """The HTTP API, and the page that uses it.

    Synapse's metrics and logs of requests show the name of this class as `servlet`. Synapse's own
    JSON resources are not used, because they let every web page read their answers (CORS).
    Without a `service` this is a worker, which only answers that the main process has the API.
    """

    def __init__(
        self,
        api: ModuleApi,
        service: Service | None,
        on_internal_error: OnInternalError,
    ) -> None:
        untyped: Any = super()
        untyped.__init__()
        self.isLeaf = True
        self._api = api
        self._on_internal_error = on_internal_error
        self._endpoints: Endpoints | None = None
        if service is not None:
            self._page = PageFiles()
            package = resources.files("synapse_bgthrottle.api")
            self._endpoints = Endpoints(service, package.joinpath("openapi.json").read_bytes())
        self._queue = RequestQueue()

    def render(self, request: "SynapseRequest") -> int:
        """Twisted calls this when a request has arrived completely."""
        run_in_background(self._serve, request)
        return NOT_DONE_YET

    async def _serve(self, request: "SynapseRequest") -> None:
        try:
            client = _Client(request)
            processing = get(request, "processing", default=nullcontext)
            with processing():  # until its end the request's log context and metrics are in use
                answer = await self._answer(request, client)
                if client.is_there:
                    client.send(answer)
        except CancelledError:
            raise
        except Exception as error:  # no caller would log it only once
            self._on_internal_error("serving a request", error)
            untyped: Any = request
            with suppress(Exception):  # the client must not wait for an answer that never comes
                untyped.loseConnection()

    async def _answer(self, request: "SynapseRequest", client: "_Client") -> Answer:
        if self._endpoints is None:
            return _ELSEWHERE
        where = "answering a request"
        try:
            path, _, query = request.uri.partition(b"?")
            route = find(path, request.prepath or (), request.method)
            where = f"answering {route.path or 'the page'}"
            if route.file is not None:
                return self._page.answer(route, path, client.header("If-None-Match"))
            return await self._answer_administrator(request, client, route, query)
        except CancelledError:
            return _CANCELLED  # no caller could handle it
        except RefusedError as error:
            return error.answer
        except Exception as error:
            return self._failed(where, error)

    async def _answer_administrator(
        self, request: "SynapseRequest", client: "_Client", route: Route, query: bytes
    ) -> Answer:
        author = await administrator(self._api, request)
        # The queue comes after the check of the token, so that strangers cannot keep an
        # administrator out. To check a token costs no more than at any other path.
        await self._queue.enter()
        try:
            if self._endpoints is None or not client.is_there:
                # a client that hung up cannot see the result, so no lever is made
                return _CANCELLED
            return await self._endpoints.answer(route, query, client.body, author)
        finally:
            self._queue.leave()

    def _failed(self, where: str, error: Exception) -> Answer:
        if is_from_database(error):  # Synapse looks up unknown tokens in the database
            logger.warning("synapse_bgthrottle: 503 while %s: %s", where, complaint_of(error))
            return _UNAVAILABLE
        self._on_internal_error(where, error)
        return _FAILED


class _Client:
    """The sender of a request, who may hang up at any time: then `is_there` is false."""

    def __init__(self, request: "SynapseRequest") -> None:
        self._request = request
        self.is_there = True
        request.notifyFinish().addErrback(self._lost)

    def _lost(self, _: object) -> None:
        self.is_there = False

    def header(self, name: str) -> str | None:
        """A header; None: there is none, or it is not UTF-8, which Twisted refuses to decode."""
        value = None
        with suppress(UnicodeDecodeError):
            value = self._request.getHeader(name)
        return value

    def body(self) -> object:
        """The body's JSON; RefusedError: it is too large, or wrong."""
        length = self.header("Content-Length")
        if length is not None and length.isdigit():
            check_size(int(length))
        content = self._request.content
        return parse_body(b"" if content is None else content.read(LARGEST_BODY_BYTES + 1))

    def send(self, answer: Answer) -> None:
        request: Any = self._request  # Twisted has no types for it
        request.setResponseCode(answer.status)
        for name, value in {**HEADERS, **answer.headers}.items():
            request.setHeader(name, value)
        if answer.status != 304:  # a 304 would need the length of the file that is not sent
            request.setHeader("Content-Length", str(len(answer.body)))
        request.write(answer.body)
        request.finish()
