"""What the error of a batch tells of the database. Pure."""

import enum


class FailureKind(enum.Enum):
    """Why a batch failed, as far as that changes when it is tried again."""

    OTHER = ""
    ROOM = "the disk is full"
    IO = "I/O error"
    DAMAGE = "damaged data"
    READ_ONLY = "the database is read-only"
    MEMORY = "the database has no memory left"
    LOCK = "a lock was not free"
    TIMEOUT = "time-out of the database"
    CONFLICT = "conflict with another transaction"
    CONNECTION = "the connection was lost"

    @property
    def is_passing(self) -> bool:
        """Whether it mostly ends by itself, because the cause is what others do just now."""
        return self in _PASSING


_PASSING = frozenset(
    {
        FailureKind.READ_ONLY,
        FailureKind.MEMORY,
        FailureKind.LOCK,
        FailureKind.TIMEOUT,
        FailureKind.CONFLICT,
        FailureKind.CONNECTION,
    }
)

# After these the database has to show that it can write before anything is tried again. SQLite
# tells some kinds of a full disk as an I/O error.
NEEDS_WRITING = frozenset({FailureKind.ROOM, FailureKind.IO})

# PostgreSQL's SQLSTATE, which is the same in every language.
_BY_CODE = {
    "53100": FailureKind.ROOM,  # disk_full
    "58030": FailureKind.IO,  # io_error
    "58P01": FailureKind.DAMAGE,  # undefined_file: one of the database's own
    "XX001": FailureKind.DAMAGE,  # data_corrupted
    "XX002": FailureKind.DAMAGE,  # index_corrupted
    "25006": FailureKind.READ_ONLY,  # read_only_sql_transaction
    "53200": FailureKind.MEMORY,  # out_of_memory
    "55P03": FailureKind.LOCK,  # lock_not_available: lock_timeout, or NOWAIT
    "55006": FailureKind.LOCK,  # object_in_use
    "57014": FailureKind.TIMEOUT,  # query_canceled: statement_timeout, or by hand
    "25P03": FailureKind.TIMEOUT,  # idle_in_transaction_session_timeout
    "25P04": FailureKind.TIMEOUT,  # transaction_timeout
    "40001": FailureKind.CONFLICT,  # serialization_failure
    "40P01": FailureKind.CONFLICT,  # deadlock_detected
    "40003": FailureKind.CONNECTION,  # statement_completion_unknown
    "53300": FailureKind.CONNECTION,  # too_many_connections
}
# Connection exception, shutdown or crash, no such session any more.
_CONNECTION = ("08", "57P")
# How SQLite's messages begin.
_BY_WORDS = {
    "database or disk is full": FailureKind.ROOM,
    "disk I/O error": FailureKind.IO,
    "unable to open database file": FailureKind.IO,
    "database disk image is malformed": FailureKind.DAMAGE,
    "malformed database schema": FailureKind.DAMAGE,
    "file is not a database": FailureKind.DAMAGE,
    "attempt to write a readonly database": FailureKind.READ_ONLY,
    "database is locked": FailureKind.LOCK,
    "database table is locked": FailureKind.LOCK,
    "database schema is locked": FailureKind.LOCK,
    "locking protocol": FailureKind.LOCK,
    "interrupted": FailureKind.TIMEOUT,
}

_UNDEFINED_TABLE = "42P01"

# PostgreSQL says so of a view that cannot be written, and SQLite of that and of what is not there.
_NOT_SO = frozenset({"55000", "0A000"})
_NOT_SO_IN_WORDS = (
    "no such column",
    "no such table",
    "has no column named",
    "because it is a view",
    "may not be modified",
)

# Of an error: as much as the history keeps.
LONGEST_COMPLAINT = 500

# Whose errors tell of the database, or of the way to it.
_SPEAKERS = frozenset({"sqlite3", "_sqlite3", "psycopg", "psycopg2", "synapse", "twisted"})


def complaint_of(error: BaseException) -> str:
    """An error in one line for people, and as any database can keep it.

    It has PostgreSQL's DETAIL, which says which row or which process it is about, and at most
    `LONGEST_COMPLAINT` characters.
    """
    first, *others = str(error).strip().split("\n")
    detail = getattr(getattr(error, "diag", None), "message_detail", None)
    if not isinstance(detail, str):  # an error of the driver's own repeats the server's lines
        found = (line.partition("DETAIL:")[2] for line in others if line.startswith("DETAIL:"))
        detail = next(found, "")
    detail = " ".join(detail.split())
    line = first or type(error).__name__
    line = f"{line} ({detail})" if detail else line
    if len(line) > LONGEST_COMPLAINT:
        line = f"{line[: LONGEST_COMPLAINT - 3]}..."
    return line.encode("utf-8", "replace").decode()


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


def is_unusable(error: BaseException) -> bool:
    """Whether a table is none that can be used as it is: it lacks a column, or is a view.

    Beside what `is_refusal` tells, which SQLite never says of these.
    """
    if getattr(error, "pgcode", None) in _NOT_SO:
        return True
    names = {parent.__name__ for parent in type(error).__mro__}
    return "OperationalError" in names and any(words in str(error) for words in _NOT_SO_IN_WORDS)


def is_missing_table(error: BaseException) -> bool:
    """Whether a table is not there."""
    return getattr(error, "pgcode", None) == _UNDEFINED_TABLE or (
        "OperationalError" in {parent.__name__ for parent in type(error).__mro__}
        and str(error).startswith("no such table")
    )


def kind_of(error: BaseException) -> FailureKind:
    """What became of the batch that ended with this error."""
    if isinstance(error, MemoryError):  # SQLite's too
        return FailureKind.MEMORY
    driver = type(error).__module__.partition(".")[0]
    if driver in ("sqlite3", "_sqlite3"):
        message = str(error)
        found = (kind for words, kind in _BY_WORDS.items() if message.startswith(words))
        return next(found, FailureKind.OTHER)
    code = getattr(error, "pgcode", None) or getattr(error, "sqlstate", None)
    if isinstance(code, str):
        lost = FailureKind.CONNECTION if code.startswith(_CONNECTION) else FailureKind.OTHER
        return _BY_CODE.get(code, lost)
    # Without a code it is not the server that speaks, but the driver.
    names = {parent.__name__ for parent in type(error).__mro__}
    if driver.startswith("psycopg") and names & {"OperationalError", "InterfaceError"}:
        return FailureKind.CONNECTION
    return FailureKind.OTHER
