"""A typed client for Synapse's background updates: the official admin API, and the module's own.

Its answers are records of `schema`. It never imports Synapse. It needs httpx and attrs:
`pip install 'synapse-bgthrottle[cli]'`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from synapse_bgthrottle.client.errors import (
    CertificatesError,
    ClientError,
    NoModuleError,
    NotAdministratorError,
    NotAllowedError,
    NotFoundError,
    NotUnderstoodError,
    RedirectedError,
    RefusedError,
    ServerFailedError,
    TimedOutError,
    TooManyError,
    UnreachableError,
    WorkerError,
)
from synapse_bgthrottle.client.requests import JOBS

if TYPE_CHECKING:
    from synapse_bgthrottle.client.clients import AsyncClient, Client

__all__ = [
    "JOBS",
    "AsyncClient",
    "CertificatesError",
    "Client",
    "ClientError",
    "NoModuleError",
    "NotAdministratorError",
    "NotAllowedError",
    "NotFoundError",
    "NotUnderstoodError",
    "RedirectedError",
    "RefusedError",
    "ServerFailedError",
    "TimedOutError",
    "TooManyError",
    "UnreachableError",
    "WorkerError",
]


def __getattr__(name: str) -> Any:
    """The clients, imported when they are used: the command starts sooner without httpx."""
    if name not in ("AsyncClient", "Client"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("synapse_bgthrottle.client.clients"), name)
