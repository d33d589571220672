"""The tables of ours in the server's main database, made where they are missing."""

from typing import Any

from synapse_bgthrottle.homeserver.internals.database import engine_of

_TABLES = {
    "bgthrottle_levers": "lever_id TEXT NOT NULL PRIMARY KEY, kind TEXT NOT NULL,"
    " update_glob TEXT NOT NULL, database_name TEXT, settings TEXT NOT NULL,"
    " reason TEXT NOT NULL, author TEXT NOT NULL, created_ms BIGINT NOT NULL,"
    " ends_ms BIGINT NOT NULL, used_ms BIGINT",
    "bgthrottle_uses": "use_id TEXT NOT NULL PRIMARY KEY, at_ms BIGINT NOT NULL,"
    " author TEXT NOT NULL, action TEXT NOT NULL, update_glob TEXT NOT NULL, database_name TEXT,"
    " reason TEXT NOT NULL, settings TEXT NOT NULL, ends_ms BIGINT",
    "bgthrottle_history": "database_name TEXT NOT NULL, update_name TEXT NOT NULL,"
    " started_ms BIGINT NOT NULL, ended_ms BIGINT, outcome TEXT NOT NULL, items BIGINT NOT NULL,"
    " batches BIGINT NOT NULL, batch_ms BIGINT NOT NULL, waited_ms TEXT NOT NULL,"
    " failures BIGINT NOT NULL, last_failure TEXT NOT NULL, first_progress TEXT,"
    " PRIMARY KEY (database_name, update_name, started_ms)",
    "bgthrottle_load": "hour_of_week BIGINT NOT NULL PRIMARY KEY, week BIGINT NOT NULL,"
    " watched_ms BIGINT NOT NULL, present_ms BIGINT NOT NULL, requests BIGINT NOT NULL",
}


def make_tables(txn: Any) -> None:
    """Make those that are not there.

    Raises:
        Exception: whatever a lost connection, or a right that is missing, makes of it.
    """
    for name, columns in _TABLES.items():
        # PostgreSQL asks for the right to make a table also where it is there, and that right may
        # have been taken away since: what was paused would be forgotten.
        if engine_of(txn) != "PostgresEngine" or not _is_there(txn, name):
            txn.execute(f"CREATE TABLE IF NOT EXISTS {name} ({columns})")


def _is_there(txn: Any, name: str) -> bool:
    txn.execute("SELECT to_regclass(?) IS NOT NULL", (name,))
    (is_there,) = txn.fetchone()
    return bool(is_there)
