"""Turns an HTTP answer into a result or an error. Pure: takes status and bytes."""

import json
import re
from contextlib import suppress
from typing import Any, TypeVar

from synapse_bgthrottle.client import errors
from synapse_bgthrottle.client.errors import ClientError, NotUnderstoodError
from synapse_bgthrottle.client.requests import Call
from synapse_bgthrottle.codec import MismatchError, decode, refuse_constant
from synapse_bgthrottle.schema import ErrorAnswer, Problem

T = TypeVar("T")

_LONGEST = 500


def result(call: Call[T], status: int, body: bytes, location: str = "") -> T:
    """The call's result; ClientError: there is none. `location` is a header."""
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
    said = _said(body)
    kind, message = _kind(call, status, said, location)
    problems = (Problem(each.path, each.message[:_LONGEST]) for each in said.problems or ())
    made = kind(
        message,
        status,
        said.errcode,
        problems=tuple(problems),
        retry_after_ms=said.retry_after_ms,
    )
    if status >= 500:
        made.may_pass = status in (502, 503, 504) and not said.errcode
        made.may_be_done = made.may_pass or bool(said.may_be_done)
    return made


def _said(body: bytes) -> ErrorAnswer:
    """What an error says; what is not understood of it is left out."""
    try:
        found = _json(body)
    except NotUnderstoodError:
        return ErrorAnswer()
    known: dict[str, Any] = {}
    for key, value in found.items() if isinstance(found, dict) else ():
        is_list, is_text = isinstance(value, list), isinstance(value, str)
        part = [each for each in value if isinstance(each, dict)] if is_list else value
        with suppress(MismatchError):
            decode(ErrorAnswer, {key: part})
            known[key] = part[:_LONGEST] if is_text else part
    return decode(ErrorAnswer, known)


def _kind(
    call: Call[T], status: int, said: ErrorAnswer, location: str
) -> tuple[type[errors.AnswerError], str]:
    """The class of the error, and its message."""
    reason = f": {said.error}" if said.error else ""
    if status >= 500:
        why = said.error or "it gave no reason: see the server's log"
        return errors.ServerFailedError, f"the server failed ({status}): {why}"
    if status == 404:
        return _not_found(call, said)
    refused = errors.RefusedError, f"the server refuses this ({status}){reason}"
    return {
        401: (
            errors.NotAllowedError,
            f"the server does not accept the token{reason or ': it is missing or unknown'}",
        ),
        403: (errors.NotAdministratorError, _forbidden(said.errcode, reason)),
        429: (errors.TooManyError, f"too many{reason or ' requests'}"),
    }.get(status, (errors.RedirectedError, _redirected(location)) if status < 400 else refused)


def _not_found(call: Call[T], said: ErrorAnswer) -> tuple[type[errors.AnswerError], str]:
    if said.errcode == "M_NOT_FOUND":
        return errors.NotFoundError, said.error or "nothing matches"
    if said.is_worker:
        return errors.WorkerError, said.error or "a worker answers, not the main process"
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
        return json.loads(body, parse_constant=refuse_constant)
    except (ValueError, RecursionError):
        start = body.lstrip()[:64].lower()
        page = start.startswith((b"<!doctype", b"<html", b"<?xml"))
        kind = "a web page, of a proxy perhaps," if page else "something else"
        raise NotUnderstoodError(
            f"the answer is {kind} where JSON was expected: does the URL lead to Synapse?"
        ) from None


def _redirected(location: str) -> str:
    # The part before an @ may be a password.
    shown = re.sub(r"//[^/@]*@", "//", location)[:_LONGEST]
    to = f" to {shown}" if shown else ""
    return f"the server redirects{to}: correct the URL, because the token is not sent there"


def _forbidden(errcode: str, reason: str) -> str:
    if errcode:
        return f"the token's user is no administrator of this server, or may not do this{reason}"
    return "refused (403), by a proxy before the server: use the server's own address"
