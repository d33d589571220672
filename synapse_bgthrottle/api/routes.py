"""The paths, their methods and parameters, and what those that only read show."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from importlib import resources
from typing import Any

import attrs

from synapse_bgthrottle import schema
from synapse_bgthrottle.api.request_parsing import FLAG, GLOB, LIMIT, NAME, Parameter
from synapse_bgthrottle.api.responses import RefusedError
from synapse_bgthrottle.core.levers.request import Action


@attrs.frozen
class Route:
    """A path of the API."""

    path: str  # below the path of the resource
    # Asks the service for what it shows, with the values of `parameters`.
    read: Callable[..., Awaitable[object]] | None = None
    parameters: Mapping[str, Parameter] = attrs.field(factory=dict)
    record: Callable[[Any], object] | None = None  # in which that is sent; None: it is a record
    action: Action | None = None  # the lever request that it makes; None: it only reads
    file: str | None = None  # the file of the page that it serves; None: it is a path of the API

    @property
    def methods(self) -> tuple[str, ...]:
        return ("GET", "HEAD") if self.action is None else ("POST",)


_OF_HISTORY = {"limit": LIMIT, "update": GLOB, "database": NAME}
_OF_EXPLAIN = {
    "update": attrs.evolve(NAME, is_required=True),
    "database": attrs.evolve(NAME, default="master"),
    "one_shot": FLAG,
}

ROUTES: Mapping[bytes, Route] = {
    route.path.encode(): route
    for route in (
        Route("v1/status", lambda service: service.status()),
        Route("v1/history", lambda service, **q: service.history(**q), _OF_HISTORY, schema.History),
        Route("v1/uses", lambda service, **q: service.uses(**q), {"limit": LIMIT}, schema.Uses),
        Route("v1/load", lambda service: service.load(), record=schema.Load),
        Route("v1/explain", lambda service, **q: service.explain(**q), _OF_EXPLAIN),
        Route("v1/openapi.json"),
        *(Route(f"v1/{action.value}", action=action) for action in Action),
    )
}

# The page's files are relative to the API's root, so its path needs a trailing slash.
SLASHLESS = Route("", file="")

# The page's files. A path that was sent never reaches the file system.
FOLDER = resources.files("synapse_bgthrottle.api").joinpath("page")
_INDEX = "index.html"

PAGE: Mapping[bytes, Route] = {
    route.path.encode(): route
    for name in sorted(file.name for file in FOLDER.iterdir())
    for route in [Route("" if name == _INDEX else f"page/{name}", file=name)]
}


def find(path: bytes, mounted: Sequence[bytes], method: bytes) -> Route:
    """The route of a request.

    Each thing has exactly one path: nothing is decoded, dropped or corrected. So a proxy's rules
    for paths have the same effect here.

    `mounted` has the parts of the resource's own path, as the server decoded them. `path` is as it
    was sent, without the query. Raises RefusedError if there is no such path (404), or not with
    this method (405).
    """
    prefix = b"".join(b"/" + part for part in mounted) + b"/"
    # Twisted finds the root below itself under the empty name, any number of times.
    is_exact = (path + b"/").startswith(prefix) and b"" not in mounted
    below = path[len(prefix) :]
    route = (ROUTES.get(below) or PAGE.get(below)) if is_exact else None
    if route is not None and len(path) < len(prefix):
        route = SLASHLESS
    if route is None:
        raise RefusedError(404, "M_UNRECOGNIZED", "Unrecognized request")
    if method.decode("ascii", "replace") not in route.methods:
        allowed = ", ".join(route.methods)
        error = f"Unrecognized method; allowed: {allowed}"
        raise RefusedError(405, "M_UNRECOGNIZED", error, {"Allow": allowed})
    return route
