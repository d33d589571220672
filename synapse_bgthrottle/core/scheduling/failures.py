"""What the error of a batch tells of the database. Pure."""

import enum


class FailureKind(enum.Enum):
    """Why a batch failed, as far as that changes when it is tried again."""

    OTHER = "failed"
    ROOM = "failed for want of room on the disk"
    CONNECTION = "lost the connection"


# As PostgreSQL says that it could not write a file, in no language: disk full, error of a disk.
_ROOM = frozenset({"53100", "58030"})
# Connection exception, shutdown or crash, no such session any more.
_CONNECTION = ("08", "57P")
# As SQLite says it; it has no other words for it.
_WORDS = ("database or disk is full", "disk I/O error")

# Whose errors tell of the database, or of the way to it.
_SPEAKERS = frozenset({"sqlite3", "_sqlite3", "psycopg", "psycopg2", "synapse", "twisted"})


def is_from_database(error: BaseException) -> bool:
    """Whether it tells of the database; otherwise it is an error of ours, or of how it is asked."""
    parents = type(error).__mro__
    return isinstance(error, OSError) or any(
        parent.__module__.partition(".")[0] in _SPEAKERS for parent in parents
    )


def is_refusal(error: BaseException) -> bool:
    """Whether the database understood that there is nothing to be had: no such thing, no right.

    By the name of PEP 249: the databases' modules are Synapse's to import, and one may be missing.
    """
    return "ProgrammingError" in (parent.__name__ for parent in type(error).__mro__)


def kind_of(error: BaseException) -> FailureKind:
    """What became of the batch that ended with this error."""
    driver = type(error).__module__.partition(".")[0]
    if driver in ("sqlite3", "_sqlite3"):
        return FailureKind.ROOM if str(error).startswith(_WORDS) else FailureKind.OTHER
    code = getattr(error, "pgcode", None) or getattr(error, "sqlstate", None)
    if isinstance(code, str):
        if code in _ROOM:
            return FailureKind.ROOM
        return FailureKind.CONNECTION if code.startswith(_CONNECTION) else FailureKind.OTHER
    # Without a code it is not the server that speaks, but the driver.
    names = {parent.__name__ for parent in type(error).__mro__}
    if driver.startswith("psycopg") and names & {"OperationalError", "InterfaceError"}:
        return FailureKind.CONNECTION
    return FailureKind.OTHER
