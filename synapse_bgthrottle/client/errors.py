"""What can go wrong between a client and a server. Messages never contain the token."""

from synapse_bgthrottle.schema import Problem


class ClientError(Exception):
    """A call did not come to its answer. The base of all errors here."""


class CertificatesError(ClientError):
    """The file of trusted certificates, SSL_CERT_FILE, cannot be used."""


class UnreachableError(ClientError):
    """No connection, or one that broke.

    Attributes:
        may_be_done: whether the server may have acted on the call; not where none was sent.
        may_pass: whether the same call may come through later; not where the host's name is
            unknown, or its certificate is not trusted.
    """

    def __init__(self, message: str, *, may_be_done: bool = True, may_pass: bool = True) -> None:
        super().__init__(message)
        self.may_be_done = may_be_done
        self.may_pass = may_pass


class TimedOutError(UnreachableError):
    """The server took too long."""


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


class WorkerError(AnswerError):
    """A worker of the server answers (404): the module is loaded, in the main process."""


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
    """The server, or a proxy before it, failed (5xx).

    Attributes:
        may_be_done: the server says that it may have acted on the call, or still will.
    """

    def __init__(
        self, message: str, status: int, errcode: str = "", *, may_be_done: bool = False
    ) -> None:
        super().__init__(message, status, errcode)
        self.may_be_done = may_be_done

    @property
    def is_gateway(self) -> bool:
        """Whether a proxy says that it did not reach the server."""
        return self.status in (502, 503, 504) and not self.errcode


def may_be_done(error: ClientError) -> bool:
    """Whether the server may have done what it was asked for, or still will, for all it answers."""
    if isinstance(error, UnreachableError):
        return error.may_be_done
    if isinstance(error, ServerFailedError):
        return error.may_be_done or error.is_gateway
    return isinstance(error, NotUnderstoodError)


def may_pass(error: ClientError) -> bool:
    """Whether the server may be there later: it, or the proxy before it, is just starting."""
    if isinstance(error, UnreachableError):
        return error.may_pass
    return isinstance(error, ServerFailedError) and error.is_gateway
