"""The module's tables in the server's main database, and their rows as records."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any, TypeVar

from synapse_bgthrottle import schema
from synapse_bgthrottle.core.adaptive.weekly_activity import HOURS, SeenHour
from synapse_bgthrottle.core.config.limits import Settings
from synapse_bgthrottle.core.config.parser import parse_settings
from synapse_bgthrottle.core.config.problems import LONGEST_NAME
from synapse_bgthrottle.core.levers.lever import Lever, LeverKind
from synapse_bgthrottle.core.levers.request import escaped, is_glob
from synapse_bgthrottle.core.scheduling.failures import LONGEST_COMPLAINT, complaint_of
from synapse_bgthrottle.core.tracking.history import HistoryEntry, Outcome
from synapse_bgthrottle.core.tracking.learned import Learned
from synapse_bgthrottle.homeserver.internals.database import engine_of

T = TypeVar("T")

# The module writes no larger number. Counts of earlier runs are added to, and must fit in a BIGINT.
MOST = 10**15

# Nor longer text, nor longer or deeper JSON.
_LONGEST_TEXT = 10_000
_LONGEST_JSON = 65_536
_DEEPEST = 16

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
    " progress_per_item DOUBLE PRECISION,"
    " PRIMARY KEY (database_name, update_name, started_ms)",
    "bgthrottle_load": "hour_of_week BIGINT NOT NULL PRIMARY KEY, week BIGINT NOT NULL,"
    " watched_ms BIGINT NOT NULL, present_ms BIGINT NOT NULL, requests BIGINT NOT NULL",
    "bgthrottle_learned": "database_name TEXT NOT NULL, update_name TEXT NOT NULL,"
    " at_ms BIGINT NOT NULL, version BIGINT NOT NULL, content TEXT NOT NULL,"
    " PRIMARY KEY (database_name, update_name)",
}


_TEXTS = frozenset(
    column.split()[0]
    for columns in _TABLES.values()
    for column in columns.split(", ")
    if " TEXT" in column
)


def newest(columns: str, table: str, order: str, where: str = "1 = 1") -> str:
    """A query of the first rows in this order, at most as many as its last parameter says.

    A text that the module did not write is cut, and stays too long to be read. The rows come
    first: PostgreSQL would fetch the texts of all of them to cut those. SQLite's `substr` alone
    would also end a text at a NUL.
    """
    longest = _LONGEST_JSON
    cut = ", ".join(
        f"CASE WHEN length({column}) > {longest} THEN substr({column}, 1, {longest + 1})"
        f" ELSE {column} END"
        if column in _TEXTS
        else column
        for column in columns.split(", ")
    )
    rows = f"SELECT * FROM bgthrottle_{table} WHERE {where} ORDER BY {order} LIMIT ?"
    return f"SELECT {cut} FROM ({rows}) AS newest ORDER BY {order}"


def make_tables(txn: Any) -> None:
    """Make the missing tables.

    Raises:
        Exception: the connection was lost, or a right is missing.
    """
    for name, columns in _TABLES.items():
        # PostgreSQL requires the right to make a table even if it exists. If that right was taken
        # away, all pauses would be lost.
        if engine_of(txn) != "PostgresEngine" or not _is_there(txn, name):
            txn.execute(f"CREATE TABLE IF NOT EXISTS {name} ({columns})")


def _is_there(txn: Any, name: str) -> bool:
    txn.execute("SELECT to_regclass(?) IS NOT NULL", (name,))
    (is_there,) = txn.fetchone()
    return bool(is_there)


def check_tables(txn: Any, columns: Mapping[str, str]) -> None:
    """Run each kind of statement without effect, so that problems show at the start.

    After a downgrade a table may lack a column, and a view may have replaced it. `columns` are the
    columns used, by table.

    Raises:
        Exception: the database refuses a statement.
    """
    for name, used in columns.items():
        txn.execute(f"SELECT {used} FROM {name} WHERE 1 = 0")
        txn.fetchall()
        txn.execute(f"DELETE FROM {name} WHERE 1 = 0")


def lever_of(row: Sequence[Any]) -> Lever:
    """A lever.

    Raises:
        ValueError, TypeError, InvalidConfigError, RecursionError: the module did not write it.
    """
    lever_id, kind_name, update, database, settings_json, reason, author, *times_ms = row
    kind = LeverKind(kind_name)
    written: Mapping[str, Any] = {}
    settings = Settings()
    if kind is LeverKind.OVERRIDE:
        written = _object(settings_json)
        settings = parse_settings(written, ("settings",))
    created_s, ends_s, used_s = map(_seconds, times_ms)
    if created_s is None or ends_s is None:
        raise ValueError("a time is missing")
    if not is_glob(update):
        raise ValueError("it names no update")
    return Lever(
        lever_id=_text(lever_id),
        kind=kind,
        update=update,
        database=_text_or_none(database),
        settings=settings,
        written=written,
        reason=_text(reason),
        author=_text(author),
        created_s=created_s,
        ends_s=ends_s,
        used_s=used_s,
    )


def use_of(row: Sequence[Any]) -> schema.Use:
    """A use; raises as `lever_of` does."""
    at_ms, author, action, update, database, reason, settings_json, ends_ms = row
    at_s, _ = _seconds(at_ms), _seconds(ends_ms)
    if at_s is None:
        raise ValueError("its time is missing")
    return schema.Use(
        at_ms=at_ms,
        author=_text(author),
        action=_text(action),
        update=_text(update),
        database=_text_or_none(database),
        reason=_text(reason),
        settings=_object(settings_json),
        ends_ms=ends_ms,
    )


def entry_of(row: Sequence[Any]) -> HistoryEntry:
    """The history of an update; raises as `lever_of` does."""
    started_s, ended_s, batch_s = _seconds(row[2]), _seconds(row[3]), _seconds(row[7])
    if started_s is None or batch_s is None:
        raise ValueError("a time is missing")
    waited_s = {_text(cause): _seconds(ms) for cause, ms in _object(row[8]).items()}
    return HistoryEntry(
        database=_text(row[0]),
        update=_text(row[1]),
        started_s=started_s,
        ended_s=ended_s,
        outcome=Outcome(row[4]),
        items=_whole(row[5]),
        batches=_whole(row[6]),
        batch_s=batch_s,
        waited_s={cause: value for cause, value in waited_s.items() if value is not None},
        failures=_whole(row[9]),
        last_failure=_text(row[10])[:LONGEST_COMPLAINT],
        first_progress=None if row[11] is None else _json(row[11]),
        progress_per_item=None if row[12] is None else float(_number(row[12], above=0)),
    )


def hour_of(row: Sequence[Any]) -> SeenHour:
    """Activity in an hour of the week; raises as `lever_of` does."""
    number, week, watched_ms, present_ms, requests = map(_whole, row)
    if min(number, week, watched_ms, present_ms, requests) < 0 or number >= HOURS:
        raise ValueError("it is out of range")
    watched_s = watched_ms / 1000
    return SeenHour(number, week, watched_s, min(present_ms / 1000, watched_s), float(requests))


def learned_of(row: Sequence[Any]) -> Learned:
    """What was learned of an update; raises as `lever_of` does."""
    database, update, at_ms, content = row
    at_s = _seconds(at_ms)
    if at_s is None:
        raise ValueError("its time is missing")
    values = {
        _text(name): [_number(each) for each in sums] for name, sums in _object(content).items()
    }
    learned = Learned(_text(database), _text(update), at_s, values)
    learned.recalled(at_s)  # which raises where it cannot be
    return learned


def readable(
    read: Callable[[Sequence[Any]], T], named: str, rows: Iterable[Sequence[Any]]
) -> tuple[list[T], list[str]]:
    """The readable rows, and a line for each of the others.

    Args:
        read: makes a record of a row, or raises.
        named: how to name a row, such as `{1} of {0}`, by column numbers.
        rows: rows from the database; anybody may have written anything into them.
    """
    records, unreadable = [], []
    for row in rows:
        try:
            records.append(read(row))
        except Exception as error:  # in a database thread, where nothing is cancelled
            name = named.format(*(str(value)[:LONGEST_NAME] for value in row))
            unreadable.append(escaped(f"{name}: {complaint_of(error)}"))
    return records, unreadable


def _text(value: object) -> str:
    """A stored text, safe for people and logs."""
    if not isinstance(value, str) or len(value) > _LONGEST_TEXT:
        raise ValueError("a text is none, or is too long")
    return escaped(value)


def _text_or_none(value: object) -> str | None:
    return None if value is None else _text(value)


def _json(value: object) -> str:
    if not isinstance(value, str) or len(value) > _LONGEST_JSON:
        raise ValueError("JSON is no text, or is too long")
    return value


def _whole(value: object) -> int:
    if not isinstance(value, int) or abs(value) > MOST:
        raise ValueError("a number is none that was written")
    return value


def _number(value: object, above: float = -MOST - 1) -> float:
    if not isinstance(value, (int, float)) or not above < value <= MOST:
        raise ValueError("a number is none that was written")
    return value


def _seconds(value_ms: object) -> float | None:
    """A time or duration in seconds."""
    if value_ms is None:
        return None
    seconds = _whole(value_ms) / 1000
    # it must be a valid time, because it is shown as one
    datetime.fromtimestamp(seconds, timezone.utc)
    return seconds


def _object(value: object) -> Mapping[str, Any]:
    """A JSON object, not too deeply nested, with valid numbers."""
    content = json.loads(_json(value), parse_constant=_refuse)
    if not isinstance(content, dict):
        raise ValueError("JSON is no object")
    level: list[Any] = [content]
    for _ in range(_DEEPEST):
        level = [
            inner
            for item in level
            if isinstance(item, (dict, list))
            for inner in (item.values() if isinstance(item, dict) else item)
        ]
    if level:
        raise ValueError("JSON is nested too deep")
    return content


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is no number")


def to_ms(seconds: float) -> int:
    """Times are stored in whole ms."""
    return round(seconds * 1000)
