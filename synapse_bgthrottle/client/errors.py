"""The errors of a client. Messages never contain the token."""

from synapse_bgthrottle.schema import Problem


class ClientError(Exception):
    """A call has no valid answer. The base of all errors here."""

    may_be_done = False  # whether the server may have carried out the call, or still may
    may_pass = False  # whether the call may succeed later: the server or its proxy is just starting


class CertificatesError(ClientError):
    """The file of trusted certificates, SSL_CERT_FILE, cannot be used."""


class UnreachableError(ClientError):
    """No connection, or a lost one. An unknown name and an untrusted certificate do not pass."""

    def __init__(self, message: str, *, may_be_done: bool = True, may_pass: bool = True) -> None:
        super().__init__(message)
        self.may_be_done = may_be_done
        self.may_pass = may_pass


class TimedOutError(UnreachableError):
    """The server took too long."""


class NotUnderstoodError(ClientError):
    """The answer is not JSON, or has an unexpected shape, such as a proxy's page."""

    may_be_done = True


class AnswerError(ClientError):
    """The server answered with an error."""

    def __init__(
        self,
        message: str,
        status: int,
        errcode: str = "",
        *,
        problems: tuple[Problem, ...] = (),
        retry_after_ms: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status  # HTTP status
        # Matrix's error code, such as `M_FORBIDDEN`; empty: the answer has none.
        self.errcode = errcode
        self.problems = problems  # where and why a request is wrong, if the server says so
        self.retry_after_ms = retry_after_ms  # when to try again; None: the server does not say


class RedirectedError(AnswerError):
    """The server redirects. It is not followed, because the token would be sent along."""


class NotAllowedError(AnswerError):
    """The token is missing, unknown or expired (401)."""


class NotAdministratorError(AnswerError):
    """The token's user may not do this, or a proxy refuses the path (403)."""


class NotFoundError(AnswerError):
    """Nothing matches: no such pause, no such pending update (404 `M_NOT_FOUND`)."""


class NoModuleError(AnswerError):
    """The server has no such path (404): the module is not loaded, or a proxy hides it."""


class WorkerError(AnswerError):
    """A worker of the server answers (404): the module is loaded, in the main process."""


class RefusedError(AnswerError):
    """The request itself is wrong (another 4xx); `problems` has more."""


class TooManyError(AnswerError):
    """Too many calls at once, or too many levers in force (429); see `retry_after_ms`."""


class ServerFailedError(AnswerError):
    """The server, or a proxy before it, failed (5xx); `may_pass`: the proxy cannot reach it."""
