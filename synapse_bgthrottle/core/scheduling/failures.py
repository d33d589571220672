"""What a batch's error says about the database. Pure."""

import enum


class FailureKind(enum.Enum):
    """Why a batch failed. It decides when to try again."""

    OTHER = ""
    DISK_FULL = "the disk is full"
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
        """Whether others cause it, so that it mostly ends by itself."""
        lasts = (FailureKind.OTHER, FailureKind.DISK_FULL, FailureKind.IO, FailureKind.DAMAGE)
        return self not in lasts


# After these the database must prove that it can write, before a batch is tried again. SQLite
# reports some kinds of a full disk as an I/O error.
NEEDS_WRITING = frozenset({FailureKind.DISK_FULL, FailureKind.IO})

# SQLSTATE of PostgreSQL, which does not depend on the language.
_BY_CODE = {
    "53100": FailureKind.DISK_FULL,  # disk_full
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
# Class 08: connection exceptions. 57P: shutdown, crash, session ended.
_CONNECTION = ("08", "57P")
# How SQLite's messages begin.
_BY_WORDS = {
    "database or disk is full": FailureKind.DISK_FULL,
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

# PostgreSQL uses these codes for a view that cannot be written. SQLite has these words for that,
# and for missing tables and columns.
_UNUSABLE_CODES = frozenset({"55000", "0A000"})
_UNUSABLE_WORDS = (
    "no such column",
    "no such table",
    "has no column named",
    "because it is a view",
    "may not be modified",
)

# The history keeps no more characters of an error.
LONGEST_COMPLAINT = 500

# Errors of these packages concern the database or the connection to it.
_DATABASE_PACKAGES = frozenset({"sqlite3", "_sqlite3", "psycopg", "psycopg2", "synapse", "twisted"})


def complaint_of(error: BaseException) -> str:
    """An error as one line for people, which any database can store: PostgreSQL takes no NUL.

    It includes PostgreSQL's DETAIL, which names the row or the process. The line has at most
    `LONGEST_COMPLAINT` characters.
    """
    try:
        text = str(error)
    except Exception:  # it may be any class; a wait must follow its failure all the same
        text = ""
    first, *others = text.replace("\0", "").strip().split("\n")
    detail = getattr(getattr(error, "diag", None), "message_detail", None)
    if not isinstance(detail, str):  # errors of the driver itself repeat the server's lines
        found = (line.partition("DETAIL:")[2] for line in others if line.startswith("DETAIL:"))
        detail = next(found, "")
    detail = " ".join(detail.replace("\0", "").split())
    line = first or type(error).__name__
    line = f"{line} ({detail})" if detail else line
    if len(line) > LONGEST_COMPLAINT:
        line = f"{line[: LONGEST_COMPLAINT - 3]}..."
    return line.encode("utf-8", "replace").decode()


def is_from_database(error: BaseException) -> bool:
    """Whether the database or the connection caused the error; otherwise it is a bug of ours."""
    parents = type(error).__mro__
    return isinstance(error, OSError) or any(
        parent.__module__.partition(".")[0] in _DATABASE_PACKAGES for parent in parents
    )


def _names(error: BaseException) -> set[str]:
    """The names of its classes, as in PEP 249: a driver need not be installed."""
    return {parent.__name__ for parent in type(error).__mro__}


def is_refusal(error: BaseException) -> bool:
    """Whether the database says that an object is missing or a right is lacking."""
    return "ProgrammingError" in _names(error)


def is_unusable(error: BaseException) -> bool:
    """Whether a table cannot be used as it is: it lacks a column, or is a view.

    This is for errors that `is_refusal` misses: SQLite reports them in another way.
    """
    if getattr(error, "pgcode", None) in _UNUSABLE_CODES:
        return True
    is_operational = "OperationalError" in _names(error)
    return is_operational and any(words in str(error) for words in _UNUSABLE_WORDS)


def is_missing_table(error: BaseException) -> bool:
    """Whether a table is missing."""
    return getattr(error, "pgcode", None) == _UNDEFINED_TABLE or (
        "OperationalError" in _names(error) and str(error).startswith("no such table")
    )


def kind_of(error: BaseException) -> FailureKind:
    """The kind of a failure."""
    if isinstance(error, MemoryError):  # SQLite raises it, too
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
    # Without a code the error comes from the driver, not from the server.
    if driver.startswith("psycopg") and _names(error) & {"OperationalError", "InterfaceError"}:
        return FailureKind.CONNECTION
    return FailureKind.OTHER
