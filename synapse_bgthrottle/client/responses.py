"""Turns an HTTP answer into a result or an error. Pure: takes status and bytes."""

import json
import re
from typing import Any, TypeVar

from synapse_bgthrottle.client import errors
from synapse_bgthrottle.client.errors import ClientError, NotUnderstoodError
from synapse_bgthrottle.client.requests import Call
from synapse_bgthrottle.codec import MismatchError
from synapse_bgthrottle.schema import Problem

T = TypeVar("T")

_MOST_OF_A_MESSAGE = 500


def result(call: Call[T], status: int, body: bytes, location: str = "") -> T:
    """The call's result. `location` is the header of this name.

    Raises:
        ClientError: the answer is an error, or is not understood.
    """
    if not 200 <= status < 300:
        raise error(call, status, body, location)
    if not body.strip():
        if call.when_empty is not None:
            return call.when_empty()
        raise NotUnderstoodError("the answer is empty")
    found = _json(body)
    try:
        return call.read(found)
    except MismatchError as mismatch:
        raise NotUnderstoodError(f"the answer is not understood: {mismatch}") from None


def error(call: Call[T], status: int, body: bytes, location: str) -> ClientError:
    """The error for an answer whose status is not 2xx."""
    try:
        found = _json(body)
    except NotUnderstoodError:
        found = None
    found = found if isinstance(found, dict) else {}
    errcode, said = _text(found, "errcode"), _text(found, "error")
    says = f": {said}" if said else ""
    if 300 <= status < 400:
        return errors.RedirectedError(_redirected(location), status)
    if status in (401, 403):
        return _not_allowed(status, errcode, says)
    if status == 404:
        return _not_found(call, found, errcode, said)
    if status == 429:
        after = found.get("retry_after_ms")
        after_ms = after if isinstance(after, int) and not isinstance(after, bool) else None
        return errors.TooManyError(f"too many{says or ' requests'}", status, errcode, after_ms)
    if status >= 500:
        what = said or "it gave no reason: see the server's log"
        message = f"the server failed ({status}): {what}"
        may_be_done = found.get("may_be_done") is True
        return errors.ServerFailedError(message, status, errcode, may_be_done=may_be_done)
    return _refused(status, errcode, said, found.get("problems"))


def _not_allowed(status: int, errcode: str, says: str) -> ClientError:
    if status == 403:
        return errors.NotAdministratorError(_forbidden(errcode, says), status, errcode)
    message = f"the server does not accept the token{says or ': it is missing or unknown'}"
    return errors.NotAllowedError(message, status, errcode)


def _not_found(call: Call[T], found: dict[str, Any], errcode: str, said: str) -> ClientError:
    if errcode == "M_NOT_FOUND":
        return errors.NotFoundError(said or "nothing matches", 404, errcode)
    if found.get("is_worker") is True:
        return errors.WorkerError(said or "a worker answers, not the main process", 404, errcode)
    return errors.NoModuleError(_nothing_there(call), 404, errcode)


def _json(body: bytes) -> Any:
    try:
        return json.loads(body, parse_constant=_no_number)
    except (ValueError, RecursionError):
        start = body.lstrip()[:64].lower()
        page = start.startswith((b"<!doctype", b"<html", b"<?xml"))
        kind = "a web page, of a proxy perhaps," if page else "something else"
        raise NotUnderstoodError(
            f"the answer is {kind} where JSON was expected: does the URL lead to Synapse?"
        ) from None


def _no_number(name: str) -> None:
    raise ValueError(name)


def _text(found: dict[str, Any], key: str) -> str:
    value = found.get(key)
    return value[:_MOST_OF_A_MESSAGE] if isinstance(value, str) else ""


def _redirected(location: str) -> str:
    # The part before an @ may be a password.
    shown = re.sub(r"//[^/@]*@", "//", location)[:_MOST_OF_A_MESSAGE]
    to = f" to {shown}" if shown else ""
    return f"the server redirects{to}: correct the URL, because the token is not sent there"


def _forbidden(errcode: str, says: str) -> str:
    if errcode:
        return f"the token's user is no administrator of this server, or may not do this{says}"
    return "refused (403), by a proxy before the server: use the server's own address"


def _nothing_there(call: Call[T]) -> str:
    if call.of_module:
        return (
            "the module does not answer there: it is not loaded, its HTTP API is off or has another"
            " path, or a proxy does not pass the path on"
        )
    return "the server has no such path: perhaps a proxy does not pass /_synapse/admin on"


def _refused(status: int, errcode: str, said: str, listed: Any) -> errors.RefusedError:
    problems = tuple(
        Problem(tuple(map(str, _list(item.get("path")))), _text(item, "message"))
        for item in _list(listed)
        if isinstance(item, dict)
    )
    message = f"the server refuses this ({status}){': ' + said if said else ''}"
    return errors.RefusedError(message, status, errcode, problems)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
