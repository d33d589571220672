"""Who may use the API: server administrators, by a token in the header."""

import re
from typing import TYPE_CHECKING

from synapse.module_api import ModuleApi
from synapse.module_api.errors import SynapseError

from synapse_bgthrottle.api.responses import RefusedError
from synapse_bgthrottle.homeserver.internals.guard import get

if TYPE_CHECKING:
    from synapse.http.site import SynapseRequest

ADMINISTRATOR_SCOPE = "urn:synapse:admin:*"

# Other characters make Synapse or its database fail, instead of refusing the token.
_BEARER = re.compile(rb"Bearer ([\x21-\x7e]{1,4096})")


async def administrator(api: ModuleApi, request: "SynapseRequest") -> str:
    """The full ID of the administrator who sends the request.

    With delegated authentication a token has a scope, and only the scope counts: an old
    administrator's account may belong to somebody else now. Otherwise the account counts.
    Raises RefusedError if the token is unknown (401), or its user may not do this (403).
    """
    _check_token(request)
    try:
        requester = await api.get_user_by_req(request)
        user_id = str(requester.user)
        scope = get(requester, "scope", default=())  # since Synapse 1.86
        # Bridges are refused: they act as many users, and are not meant to do this.
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
    # If an administrator logged in as another user, the administrator is the author.
    return str(get(requester, "authenticated_entity", default=user_id))


def _check_token(request: "SynapseRequest") -> None:
    """Refuse a request without a possible token, before any query to the database."""
    # Synapse also accepts it in the URL or a form, but proxies write URLs to their logs.
    if b"access_token" in (request.args or {}):
        error = "The token goes into the Authorization header only"
        raise RefusedError(401, "M_MISSING_TOKEN", error)
    headers = request.requestHeaders.getRawHeaders(b"Authorization") or []
    if not headers:
        raise RefusedError(401, "M_MISSING_TOKEN", "Missing access token")
    if len(headers) > 1 or _BEARER.fullmatch(headers[0]) is None:
        error = "Send one header Authorization: Bearer <token>"
        raise RefusedError(401, "M_MISSING_TOKEN", error)
