"""Which path is what, and by which method. Pure."""

from collections.abc import Mapping, Sequence

import attrs

from synapse_bgthrottle.api.responses import RefusedError
from synapse_bgthrottle.core.levers.request import Action


@attrs.frozen
class Route:
    """A path of the API.

    Attributes:
        path: below that of the resource.
        action: the lever that it pulls; None: it only tells.
        file: which file of the page it is; None: it is one of the API.
    """

    path: str
    action: Action | None = None
    file: str | None = None

    @property
    def methods(self) -> tuple[str, ...]:
        return ("GET", "HEAD") if self.action is None else ("POST",)


STATUS = Route("v1/status")
HISTORY = Route("v1/history")
USES = Route("v1/uses")
LOAD = Route("v1/load")
EXPLAIN = Route("v1/explain")
OPENAPI = Route("v1/openapi.json")

ROUTES: Mapping[bytes, Route] = {
    route.path.encode(): route
    for route in (
        STATUS,
        HISTORY,
        USES,
        LOAD,
        EXPLAIN,
        OPENAPI,
        *(Route(f"v1/{action.value}", action) for action in Action),
    )
}

# The page: each file by its own name. No path that was sent ever gets near a file system.
INDEX = "index.html"
PAGE_FILES = (
    "actions.js",
    "api.js",
    "changes.js",
    "charts.js",
    "dom.js",
    "forms.js",
    "icon.svg",
    "journal.js",
    "overview.js",
    "page.js",
    "poll.js",
    "queue.js",
    "signals.js",
    "style.css",
    "trace.js",
    "uplot-1.6.32.min.css",
    "uplot-1.6.32.min.js",
    "uplot-LICENSE.txt",
    "week.js",
    "windows.js",
    "words.js",
)

# What the page names stands below the API's root, which is why that needs its slash.
SLASHLESS = Route("", file="")

PAGE: Mapping[bytes, Route] = {
    b"": Route("", file=INDEX),
    **{f"page/{name}".encode(): Route(f"page/{name}", file=name) for name in PAGE_FILES},
}


def find(path: bytes, mounted: Sequence[bytes], method: bytes) -> Route:
    """The route of a request.

    One thing has one path: nothing is decoded, left out or put right in it, so that a proxy's rules
    about paths mean the same here.

    Args:
        path: as it was sent, without the query.
        mounted: the parts of the resource's own path, as the server decoded them.
        method: as it was sent.

    Raises:
        RefusedError: there is none (404), or not by this method (405).
    """
    prefix = b"".join(b"/" + part for part in mounted) + b"/"
    # The server's root is below itself by the empty name, any number of times.
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
