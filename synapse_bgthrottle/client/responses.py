"""Turns an HTTP answer into a result or an error. Pure: takes status and bytes."""

import json
import re
from collections.abc import Iterator
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
    errcode = _text(found, "errcode")
    kind, message = _kind(call, status, found, location)
    after = found.get("retry_after_ms")
    made = kind(
        message,
        status,
        errcode,
        problems=tuple(_problems(found.get("problems"))),
        retry_after_ms=after if isinstance(after, int) and not isinstance(after, bool) else None,
    )
    if status >= 500:
        made.may_pass = status in (502, 503, 504) and not errcode
        made.may_be_done = made.may_pass or found.get("may_be_done") is True
    return made


def _kind(
    call: Call[T], status: int, found: dict[str, Any], location: str
) -> tuple[type[errors.AnswerError], str]:
    """The class of the error, and its message."""
    said = _text(found, "error")
    says = f": {said}" if said else ""
    if status >= 500:
        why = said or "it gave no reason: see the server's log"
        return errors.ServerFailedError, f"the server failed ({status}): {why}"
    if status == 404:
        return _not_found(call, found, said)
    refused = errors.RefusedError, f"the server refuses this ({status}){says}"
    return {
        401: (
            errors.NotAllowedError,
            f"the server does not accept the token{says or ': it is missing or unknown'}",
        ),
        403: (errors.NotAdministratorError, _forbidden(_text(found, "errcode"), says)),
        429: (errors.TooManyError, f"too many{says or ' requests'}"),
    }.get(status, (errors.RedirectedError, _redirected(location)) if status < 400 else refused)


def _not_found(
    call: Call[T], found: dict[str, Any], said: str
) -> tuple[type[errors.AnswerError], str]:
    if found.get("errcode") == "M_NOT_FOUND":
        return errors.NotFoundError, said or "nothing matches"
    if found.get("is_worker") is True:
        return errors.WorkerError, said or "a worker answers, not the main process"
    if call.of_module:
        return errors.NoModuleError, (
            "the module does not answer there: it is not loaded, its HTTP API is off or has another"
            " path, or a proxy does not pass the path on"
        )
    return errors.NoModuleError, (
        "the server has no such path: perhaps a proxy does not pass /_synapse/admin on"
    )


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


def _problems(listed: Any) -> Iterator[Problem]:
    for item in _list(listed):
        if isinstance(item, dict):
            yield Problem(tuple(map(str, _list(item.get("path")))), _text(item, "message"))


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
