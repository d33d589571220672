"""Which path is what, and by which method. Pure."""

from collections.abc import Mapping, Sequence

import attrs

from synapse_bgthrottle.lever_requests import Action
from synapse_bgthrottle.web.answers import RefusedError


@attrs.frozen
class Route:
    """A path of the API.

    Attributes:
        path: below that of the resource.
        action: the lever that it pulls; None: it only tells.
    """

    path: str
    action: Action | None = None

    @property
    def methods(self) -> tuple[str, ...]:
        return ("GET", "HEAD") if self.action is None else ("POST",)


STATUS = Route("v1/status")
HISTORY = Route("v1/history")
USES = Route("v1/uses")
EXPLAIN = Route("v1/explain")
OPENAPI = Route("v1/openapi.json")

ROUTES: Mapping[bytes, Route] = {
    route.path.encode(): route
    for route in (
        STATUS,
        HISTORY,
        USES,
        EXPLAIN,
        OPENAPI,
        *(Route(f"v1/{action.value}", action) for action in Action),
    )
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
    is_exact = path.startswith(prefix) and b"" not in mounted
    route = ROUTES.get(path.removeprefix(prefix)) if is_exact else None
    if route is None:
        raise RefusedError(404, "M_UNRECOGNIZED", "Unrecognized request")
    if method.decode("ascii", "replace") not in route.methods:
        allowed = ", ".join(route.methods)
        error = f"Unrecognized method; allowed: {allowed}"
        raise RefusedError(405, "M_UNRECOGNIZED", error, {"Allow": allowed})
    return route
