"""What can go wrong between a client and a server. Messages never contain the token."""

import attrs


@attrs.frozen
class Problem:
    """What the server found wrong in one place of a request.

    Attributes:
        path: the keys that lead there, such as `("settings", "duty_cycle")`.
        message: what was found and what is accepted.
    """

    path: tuple[str, ...]
    message: str

    def __str__(self) -> str:
        return f"{'.'.join(self.path)}: {self.message}" if self.path else self.message


class ClientError(Exception):
    """A call did not come to its answer. The base of all errors here."""


class UnreachableError(ClientError):
    """No connection, or one that broke: whether the server acted on the call is unknown."""


class TimedOutError(UnreachableError):
    """The server took too long: whether it acted on the call is unknown."""


class NotUnderstoodError(ClientError):
    """An answer that is no JSON, or not of the shape that was asked for: a page of a proxy, say."""


class AnswerError(ClientError):
    """The server answered, and it was no.

    Attributes:
        status: of HTTP.
        errcode: Matrix's, such as `M_FORBIDDEN`; empty if the answer has none.
    """

    def __init__(self, message: str, status: int, errcode: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.errcode = errcode


class RedirectedError(AnswerError):
    """The server points elsewhere. Not followed: the token would go there."""


class NotAllowedError(AnswerError):
    """The token is missing, unknown or expired (401)."""


class NotAdministratorError(AnswerError):
    """The token belongs to nobody who may do this, or a proxy refuses the path (403)."""


class NotFoundError(AnswerError):
    """Nothing matches: no such pause, no such pending update (404 `M_NOT_FOUND`)."""


class NoModuleError(AnswerError):
    """The server has no such path (404): the module is not loaded, or a proxy hides it."""


class RefusedError(AnswerError):
    """The request itself is wrong (another 4xx).

    Attributes:
        problems: where and why, if the server says so.
    """

    def __init__(
        self, message: str, status: int, errcode: str = "", problems: tuple[Problem, ...] = ()
    ) -> None:
        super().__init__(message, status, errcode)
        self.problems = problems


class TooManyError(AnswerError):
    """Too many calls at once, or too many levers in force (429).

    Attributes:
        retry_after_ms: when to try again; None: the server does not say.
    """

    def __init__(
        self, message: str, status: int, errcode: str = "", retry_after_ms: int | None = None
    ) -> None:
        super().__init__(message, status, errcode)
        self.retry_after_ms = retry_after_ms


class ServerFailedError(AnswerError):
    """The server, or a proxy before it, failed (5xx)."""

    @property
    def is_gateway(self) -> bool:
        """Whether a proxy says that it did not reach the server."""
        return self.status in (502, 503, 504) and not self.errcode
