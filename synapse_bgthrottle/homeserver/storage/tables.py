"""The module's tables in the server's main database, and their rows as records."""

import json
from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from typing import Any

from synapse_bgthrottle.core.adaptive.weekly_activity import HOURS, SeenHour
from synapse_bgthrottle.core.config.limits import Settings
from synapse_bgthrottle.core.config.parser import parse_settings
from synapse_bgthrottle.core.levers.lever import Lever, LeverKind
from synapse_bgthrottle.core.tracking.history import HistoryEntry, Outcome
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


def lever_of(row: Sequence[Any]) -> Lever:
    """A lever.

    Raises:
        ValueError, TypeError, OverflowError, OSError, InvalidConfigError: it was written in
            another way.
    """
    kind = LeverKind(row[1])
    for time_ms in row[7:10]:
        datetime.fromtimestamp((time_ms or 0) / 1000, timezone.utc)  # it has to be one
    written: dict[str, Any] = {}
    settings = Settings()
    if kind is LeverKind.OVERRIDE:
        written = json.loads(row[4])
        settings = parse_settings(written, ("settings",))
    return Lever(
        lever_id=row[0],
        kind=kind,
        update=row[2],
        database=row[3],
        settings=settings,
        written=written,
        reason=row[5],
        author=row[6],
        created_s=row[7] / 1000,
        ends_s=row[8] / 1000,
        used_s=None if row[9] is None else row[9] / 1000,
    )


def entries_of(rows: Iterable[Sequence[Any]]) -> tuple[list[HistoryEntry], list[str]]:
    """Those that can be read, and the others, each in a line."""
    entries, unreadable = [], []
    for row in rows:
        try:
            entries.append(_entry(row))
        except (ValueError, TypeError, AttributeError) as error:
            unreadable.append(f"history of {row[1]} in {row[0]}: {error}")
    return entries, unreadable


def _entry(row: Sequence[Any]) -> HistoryEntry:
    waited_ms: dict[str, float] = json.loads(row[8])
    return HistoryEntry(
        database=row[0],
        update=row[1],
        started_s=row[2] / 1000,
        ended_s=None if row[3] is None else row[3] / 1000,
        outcome=Outcome(row[4]),
        items=row[5],
        batches=row[6],
        batch_s=row[7] / 1000,
        waited_s={cause: ms / 1000 for cause, ms in waited_ms.items()},
        failures=row[9],
        last_failure=row[10],
        first_progress=row[11],
    )


def hour_of(row: Sequence[Any]) -> SeenHour | None:
    """What was seen of an hour; None where somebody else wrote it: what is lost is seen again."""
    if not all(isinstance(value, int) and value >= 0 for value in row) or row[0] >= HOURS:
        return None
    number, week, watched_ms, present_ms, requests = row
    watched_s = watched_ms / 1000
    return SeenHour(number, week, watched_s, min(present_ms / 1000, watched_s), float(requests))


def to_ms(seconds: float) -> int:
    """Times are stored as whole ms."""
    return round(seconds * 1000)
