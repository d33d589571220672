"""What a batch's error says about the database, and when updates that stand still restart. Pure.

Synapse gives up a database's updates after five failures in a row. It never starts on some queues:
on rows that somebody inserted by hand, and up to Synapse 1.128 on those of a second database.
Neither ends by itself.
"""

import enum
import math

import attrs


class FailureKind(enum.Enum):
    """Why a batch failed. It decides when to try again."""

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
        """Whether others cause it, so that it mostly ends by itself."""
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

# After these the database must prove that it can write, before a batch is tried again. SQLite
# reports some kinds of a full disk as an I/O error.
NEEDS_WRITING = frozenset({FailureKind.ROOM, FailureKind.IO})

# SQLSTATE of PostgreSQL, which does not depend on the language.
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
# Class 08: connection exceptions. 57P: shutdown, crash, session ended.
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

# PostgreSQL uses these codes for a view that cannot be written. SQLite has these words for that,
# and for missing tables and columns.
_NOT_SO = frozenset({"55000", "0A000"})
_NOT_SO_IN_WORDS = (
    "no such column",
    "no such table",
    "has no column named",
    "because it is a view",
    "may not be modified",
)

# The history keeps no more characters of an error.
LONGEST_COMPLAINT = 500

# Errors of these packages concern the database or the connection to it.
_SPEAKERS = frozenset({"sqlite3", "_sqlite3", "psycopg", "psycopg2", "synapse", "twisted"})


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
        parent.__module__.partition(".")[0] in _SPEAKERS for parent in parents
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
    if getattr(error, "pgcode", None) in _NOT_SO:
        return True
    in_words = any(words in str(error) for words in _NOT_SO_IN_WORDS)
    return "OperationalError" in _names(error) and in_words


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


# Wait after an abort: first as configured, then doubled each time, up to a day.
LONGEST_S = 86_400.0
# Failures that pass by themselves are tried again after this share of the wait.
PASSING_SHARE = 1 / 12
# Wait for a queue that Synapse never started on. Whoever inserts rows has time to finish.
UNATTENDED_S = 60.0

# Limit of the exponent, against overflow. The result is longer than any wait anyway.
_MOST_DOUBLINGS = 20


def wait_s(first_s: float, count: int, kind: FailureKind) -> float:
    """Seconds from an abort to the restart: `first_s * 2 ** count`, capped.

    `first_s` is the configured first wait; inf: never. `count` is the number of restarts so far
    without a successful batch in between, and `kind` that of the last failure.
    """
    longest_s = max(first_s, LONGEST_S)
    share = PASSING_SHARE if kind.is_passing else 1.0
    return min(first_s * 2.0 ** min(count, _MOST_DOUBLINGS), longest_s) * share


@attrs.frozen
class Stall:
    """Updates are pending, but Synapse does not work on the queue."""

    is_aborted: bool  # Synapse gave up; otherwise it never began
    since_s: float  # since when the module has seen that, monotonic
    due_s: float = math.inf  # when the module restarts them, monotonic; inf: never
    held_by: str = ""  # why a due restart has not happened; empty: not due, or not held


@attrs.define
class Restarts:
    """What is remembered of one database."""

    stall: Stall | None = None  # None: Synapse works on the queue, or the queue is empty
    count: int = 0  # the module's restarts without a successful batch in between
    last_wall_s: float | None = None  # the last restart, since the epoch; None: never
    _good_batches: int = 0

    def works(self, good_batches: int) -> None:
        """Synapse works on the queue. A successful batch since the last call resets the count."""
        if good_batches > self._good_batches:
            self.count = 0
        self._good_batches = good_batches

    def stalled(
        self, now_s: float, *, is_aborted: bool, first_s: float, kind: FailureKind
    ) -> Stall:
        """Synapse does not work on the queue, although updates are pending: perhaps it gave up.

        `first_s` is the configured first wait; inf: never restart.
        """
        lasts_s = wait_s(first_s, self.count, kind)
        if not is_aborted and not self.count:
            lasts_s = UNATTENDED_S if first_s < math.inf else math.inf
        before = self.stall
        if before is None or before.is_aborted != is_aborted:
            before = Stall(is_aborted, now_s)
        self.stall = attrs.evolve(before, due_s=before.since_s + lasts_s)
        return self.stall

    def started(self, wall_s: float) -> None:
        """The module has restarted the updates."""
        self.stall, self.count, self.last_wall_s = None, self.count + 1, wall_s

    @property
    def is_unattended(self) -> bool:
        """Whether Synapse never began to work on the queue."""
        return self.stall is not None and not self.stall.is_aborted
