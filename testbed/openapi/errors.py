"""The HTTP statuses of errors, each with an example."""

import attrs

from synapse_bgthrottle.schema import ErrorAnswer, Problem


@attrs.frozen
class ErrorStatus:
    """The HTTP status of an error.

    Attributes:
        status: its number.
        name: of the response in the description.
        description: when it is returned.
        example: an answer.
    """

    status: int
    name: str
    description: str
    example: ErrorAnswer


_WRONG = "found '500%'; accepted is a share from 0.1% to 100%, such as 10% or 0.1, or adaptive"

ERRORS = (
    ErrorStatus(
        400,
        "Invalid",
        "Something is wrong with the request: M_NOT_JSON, M_BAD_JSON or, with all that"
        " is wrong, M_INVALID_PARAM.",
        ErrorAnswer(
            errcode="M_INVALID_PARAM",
            error=f"settings.duty_cycle: {_WRONG}",
            problems=(Problem(("settings", "duty_cycle"), _WRONG),),
        ),
    ),
    ErrorStatus(
        401,
        "Unauthenticated",
        "No token, one that is not known, or one that stands elsewhere than in the header.",
        ErrorAnswer(errcode="M_UNKNOWN_TOKEN", error="Invalid access token passed."),
    ),
    ErrorStatus(
        403,
        "Forbidden",
        "Not the token of a server administrator: M_FORBIDDEN, M_GUEST_ACCESS_FORBIDDEN.",
        ErrorAnswer(errcode="M_FORBIDDEN", error="You are not a server admin"),
    ),
    ErrorStatus(
        404,
        "NotFound",
        "M_NOT_FOUND: there is nothing that the request is about. M_UNRECOGNIZED: this"
        " process does not answer the API; of a worker, which the module is loaded into,"
        " `is_worker` is true.",
        ErrorAnswer(errcode="M_NOT_FOUND", error="No pause matches event_*"),
    ),
    ErrorStatus(
        413,
        "TooLarge",
        "The body is larger than 64 KiB.",
        ErrorAnswer(errcode="M_TOO_LARGE", error="The body is larger than 65536 bytes"),
    ),
    ErrorStatus(
        429,
        "TooMany",
        "Too many requests at once (with Retry-After), or too many levers in force.",
        ErrorAnswer(
            errcode="M_LIMIT_EXCEEDED", error="Too many requests at once", retry_after_ms=1000
        ),
    ),
    ErrorStatus(
        500,
        "Failed",
        "An error of the module; the server's log has it.",
        ErrorAnswer(errcode="M_UNKNOWN", error="Internal server error"),
    ),
    ErrorStatus(
        503,
        "Unavailable",
        "The database does not answer. Nothing has changed, or a change may still be"
        " done: then `may_be_done` is true, and `error` says how to see it.",
        ErrorAnswer(errcode="M_UNKNOWN", error="The database does not answer; nothing has changed"),
    ),
)
