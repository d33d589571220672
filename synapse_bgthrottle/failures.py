"""What the error of a batch tells of the database. Pure."""

# As PostgreSQL says that it could not write a file, in no language: disk full, error of a disk.
_SQLSTATES = frozenset({"53100", "58030"})
# As SQLite does; it has no other words for it.
_WORDS = ("database or disk is full", "disk I/O error")


def is_for_want_of_room(error: BaseException) -> bool:
    """Whether it failed because nothing could be written to the disk."""
    code = getattr(error, "pgcode", None) or getattr(error, "sqlstate", None)
    if code is not None:
        return code in _SQLSTATES
    is_sqlite = type(error).__module__.startswith(("sqlite3", "_sqlite3"))
    return is_sqlite and str(error).startswith(_WORDS)
