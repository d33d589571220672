"""Who may use the API: administrators of the server, by a token in the header."""

import re
from typing import TYPE_CHECKING

from synapse.module_api import ModuleApi
from synapse.module_api.errors import SynapseError

from synapse_bgthrottle.api.responses import RefusedError
from synapse_bgthrottle.homeserver.internals.guard import get

if TYPE_CHECKING:
    from synapse.http.site import SynapseRequest

ADMINISTRATOR_SCOPE = "urn:synapse:admin:*"

# Other characters make Synapse, or its database, fail instead of refusing.
_BEARER = re.compile(rb"Bearer ([\x21-\x7e]{1,4096})")


async def administrator(api: ModuleApi, request: "SynapseRequest") -> str:
    """The full ID of the administrator who asks.

    With delegated authentication a token has a scope, and only that counts: there, an account that
    once was an administrator's may since be anybody's. Otherwise it is the account that counts.

    Raises:
        RefusedError: nobody is known by the token (401), or nobody who may (403).
        Exception: whatever Synapse raises where it fails.
    """
    _check_token(request)
    try:
        requester = await api.get_user_by_req(request)
        user_id = str(requester.user)
        scope = get(requester, "scope", default=())  # since 1.86
        # What bridges have may act as many users, and nobody thought of this of theirs.
        is_service = get(requester, "app_service", default=get(requester, "app_service_id"))
        if is_service is not None or requester.is_guest:
            is_allowed = False
        elif scope:
            is_allowed = ADMINISTRATOR_SCOPE in scope
        else:
            is_allowed = await api.is_user_admin(user_id)
    except SynapseError as error:
        raise RefusedError(error.code, error.errcode, error.msg) from error
    if not is_allowed:
        raise RefusedError(403, "M_FORBIDDEN", "You are not a server admin")
    # Where an administrator logged in as another one, who did it is who it was.
    return str(get(requester, "authenticated_entity", default=user_id))


def _check_token(request: "SynapseRequest") -> None:
    """A request without a token that could be one costs no look at the database."""
    # Synapse takes it from there, and from a form in the body, too; proxies write it to their logs.
    if b"access_token" in (request.args or {}):
        error = "The token goes into the Authorization header only"
        raise RefusedError(401, "M_MISSING_TOKEN", error)
    headers = request.requestHeaders.getRawHeaders(b"Authorization") or []
    if not headers:
        raise RefusedError(401, "M_MISSING_TOKEN", "Missing access token")
    if len(headers) > 1 or _BEARER.fullmatch(headers[0]) is None:
        error = "Send one header Authorization: Bearer <token>"
        raise RefusedError(401, "M_MISSING_TOKEN", error)
