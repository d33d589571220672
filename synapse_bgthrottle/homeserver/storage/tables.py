"""The module's tables in the server's main database: their columns, and their rows as records."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timezone
from operator import attrgetter
from typing import Any, Generic, TypeVar

import attrs

from synapse_bgthrottle import schema
from synapse_bgthrottle.codec import MOST_LEVELS, depth, refuse_constant
from synapse_bgthrottle.core.adaptive.weekly_activity import HOURS, SeenHour
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
_MOST = 10**15

# Nor longer text or JSON.
_LONGEST_TEXT = 10_000
_LONGEST_JSON = 65_536


def to_ms(seconds: float) -> int:
    """Times are stored in whole ms."""
    return round(seconds * 1000)


def _text(value: object) -> str:
    """A stored text, safe for people and logs."""
    if not isinstance(value, str) or len(value) > _LONGEST_TEXT:
        raise ValueError("it is not text, or it is too long")
    return escaped(value)


def _glob(value: object) -> str:
    if not is_glob(value):
        raise ValueError("it does not name an update")
    return str(value)


def _json(value: object) -> str:
    if not isinstance(value, str) or len(value) > _LONGEST_JSON:
        raise ValueError("JSON is not text, or it is too long")
    return value


def _number(value: object, above: float = -_MOST - 1) -> float:
    if not isinstance(value, (int, float)) or not above < value <= _MOST:
        raise ValueError("it is not a number, or it is out of range")
    return value


def _whole(value: object, above: float = -_MOST - 1) -> int:
    if not isinstance(value, int):
        raise ValueError("it is not a whole number")
    return int(_number(value, above))


def _seconds(value_ms: object) -> float:
    """A time or duration in seconds."""
    seconds = _whole(value_ms) / 1000
    # it must be a valid time, because it is shown as one
    datetime.fromtimestamp(seconds, timezone.utc)
    return seconds


def _epoch_ms(value_ms: object) -> int:
    _seconds(value_ms)
    return _whole(value_ms)


def _object(value: object) -> Mapping[str, Any]:
    """A JSON object, not too deeply nested, with valid numbers."""
    content = json.loads(_json(value), parse_constant=refuse_constant)
    if not isinstance(content, dict):
        raise ValueError("JSON is not an object")
    if depth(content) > MOST_LEVELS:
        raise ValueError("JSON is nested too deeply")
    return content


@attrs.frozen
class _Kind:
    """How a value is stored: its SQL type, how it is read, and how it is written.

    `read` raises ValueError, TypeError, InvalidConfigError or RecursionError if the module did not
    write the value.
    """

    sql: str
    read: Callable[[Any], Any]
    write: Callable[[Any], Any] = lambda value: value

    def or_null(self) -> "_Kind":
        """The same, or None."""
        return _Kind(
            self.sql.removesuffix(" NOT NULL"),
            lambda value: None if value is None else self.read(value),
            lambda value: None if value is None else self.write(value),
        )


_TEXT = _Kind("TEXT NOT NULL", _text)
_GLOB = _Kind("TEXT NOT NULL", _glob)
_OBJECT = _Kind("TEXT NOT NULL", _object, lambda value: json.dumps(dict(value)))
_WHOLE = _Kind("BIGINT NOT NULL", _whole, lambda value: min(value, _MOST))
_TIME = _Kind("BIGINT NOT NULL", _seconds, to_ms)
_EPOCH_MS = _Kind("BIGINT NOT NULL", _epoch_ms)
_COUNT = _Kind("BIGINT NOT NULL", lambda value: _whole(value, above=-1), round)
_DURATION = _Kind("BIGINT NOT NULL", lambda value: _whole(value, above=-1) / 1000, to_ms)


@attrs.frozen
class Table(Generic[T]):
    """A table, and the record that is a row of it."""

    name: str
    record: Callable[..., T]  # makes a record of its fields, and raises as a kind's `read` does
    named: str  # how to name a row for people, by its columns
    keys: Sequence[str]  # the columns of the primary key
    # By name, the record's field and how it is stored; no field: the writer adds it.
    columns: Mapping[str, tuple[str, _Kind]]

    def put(self, txn: Any, record: T, **added: Any) -> None:
        """Write a record in place of the one with this key, if there is one."""
        fields = self._fields().items()
        row = {name: kind.write(getattr(record, field)) for name, (field, kind) in fields} | added
        where = " AND ".join(f"{name} = ?" for name in self.keys)
        txn.execute(f"DELETE FROM {self.name} WHERE {where}", [row[name] for name in self.keys])
        places = ", ".join("?" * len(row))
        txn.execute(
            f"INSERT INTO {self.name} ({', '.join(row)}) VALUES ({places})", [*row.values()]
        )

    def newest(self, order: str, where: str = "1 = 1", without: str = "") -> str:
        """A query of the first rows in this order, at most as many as its last parameter says.

        A text that the module did not write is cut, and stays too long to be read. The rows come
        first: PostgreSQL would fetch the texts of all of them to cut those. SQLite's `substr` alone
        would also end a text at a NUL. NULL stands for the column `without`.
        """
        longest = _LONGEST_JSON
        columns = ", ".join(
            "NULL"
            if name == without
            else f"CASE WHEN length({name}) > {longest} THEN substr({name}, 1, {longest + 1})"
            f" ELSE {name} END"
            if kind.sql.startswith("TEXT")
            else name
            for name, (_, kind) in self._fields().items()
        )
        rows = f"SELECT * FROM {self.name} WHERE {where} ORDER BY {order} LIMIT ?"
        return f"SELECT {columns} FROM ({rows}) AS newest ORDER BY {order}"

    def keep_newest(self, txn: Any, column: str, most: int) -> None:
        """Delete older rows than so many."""
        txn.execute(
            f"DELETE FROM {self.name} WHERE {column} < (SELECT MIN({column}) FROM"
            f" (SELECT {column} FROM {self.name} ORDER BY {column} DESC LIMIT ?) AS newest)",
            (most,),
        )

    def readable(self, rows: Iterable[Sequence[Any]]) -> tuple[list[T], list[str]]:
        """The readable rows, and a line for each of the others.

        `rows` are from `newest`; anybody may have written anything into them.
        """
        records, unreadable = [], []
        fields = self._fields()
        for row in rows:
            try:
                values = zip(fields.values(), row, strict=True)
                records.append(
                    self.record(**{field: kind.read(value) for (field, kind), value in values})
                )
            except Exception as error:  # in a database thread, where nothing is cancelled
                cut = {n: str(value)[:LONGEST_NAME] for n, value in zip(fields, row, strict=True)}
                name = self.named.format_map(cut)
                unreadable.append(escaped(f"{name}: {complaint_of(error)}"))
        return records, unreadable

    def _fields(self) -> dict[str, tuple[str, _Kind]]:
        return {name: (field, kind) for name, (field, kind) in self.columns.items() if field}


def _lever(written: object, **fields: Any) -> Lever:
    if fields["kind"] is not LeverKind.OVERRIDE:
        return Lever(**fields)
    content = _object(written)
    return Lever(**fields, settings=parse_settings(content, ("settings",)), written=content)


LEVERS = Table(
    "bgthrottle_levers",
    _lever,
    "{kind} of {update_glob} by {author}",
    ("lever_id",),
    {
        "lever_id": ("lever_id", _TEXT),
        "kind": ("kind", _Kind("TEXT NOT NULL", LeverKind, attrgetter("value"))),
        "update_glob": ("update", _GLOB),
        "database_name": ("database", _TEXT.or_null()),
        # only an override has settings, so that nothing else can make a pause unreadable
        "settings": (
            "written",
            _Kind("TEXT NOT NULL", lambda value: value, lambda value: json.dumps(dict(value))),
        ),
        "reason": ("reason", _TEXT),
        "author": ("author", _TEXT),
        "created_ms": ("created_s", _TIME),
        "ends_ms": ("ends_s", _TIME),
        "used_ms": ("used_s", _TIME.or_null()),
    },
)
USES = Table(
    "bgthrottle_uses",
    schema.Use,
    "use {action} of {update_glob} by {author}",
    ("use_id",),
    {
        "use_id": ("", _TEXT),
        "at_ms": ("at_ms", _EPOCH_MS),
        "author": ("author", _TEXT),
        "action": ("action", _TEXT),
        "update_glob": ("update", _TEXT),
        "database_name": ("database", _TEXT.or_null()),
        "reason": ("reason", _TEXT),
        "settings": ("settings", _OBJECT),
        "ends_ms": ("ends_ms", _EPOCH_MS.or_null()),
    },
)
HISTORY = Table(
    "bgthrottle_history",
    HistoryEntry,
    "history of {update_name} in {database_name}",
    ("database_name", "update_name", "started_ms"),
    {
        "database_name": ("database", _TEXT),
        "update_name": ("update", _TEXT),
        "started_ms": ("started_s", _TIME),
        "ended_ms": ("ended_s", _TIME.or_null()),
        "outcome": ("outcome", _Kind("TEXT NOT NULL", Outcome, attrgetter("value"))),
        "items": ("items", _WHOLE),
        "batches": ("batches", _WHOLE),
        "batch_ms": ("batch_s", _TIME),
        "waited_ms": (
            "waited_s",
            _Kind(
                "TEXT NOT NULL",
                lambda value: {_text(name): _seconds(ms) for name, ms in _object(value).items()},
                lambda waited_s: json.dumps({name: to_ms(s) for name, s in waited_s.items()}),
            ),
        ),
        "failures": ("failures", _WHOLE),
        "last_failure": (
            "last_failure",
            _Kind("TEXT NOT NULL", lambda value: _text(value)[:LONGEST_COMPLAINT]),
        ),
        "first_progress": ("first_progress", _Kind("TEXT NOT NULL", _json).or_null()),
        "progress_per_item": (
            "progress_per_item",
            _Kind("DOUBLE PRECISION", lambda value: float(_number(value, above=0))).or_null(),
        ),
    },
)


def _hour(watched_s: float, present_s: float, **fields: Any) -> SeenHour:
    if fields["hour"] >= HOURS:
        raise ValueError("it is out of range")
    return SeenHour(watched_s=watched_s, present_s=min(present_s, watched_s), **fields)


LOAD = Table(
    "bgthrottle_load",
    _hour,
    "hour {hour_of_week} of the week",
    ("hour_of_week",),
    {
        "hour_of_week": ("hour", _COUNT),
        "week": ("week", _COUNT),
        "watched_ms": ("watched_s", _DURATION),
        "present_ms": ("present_s", _DURATION),
        "requests": ("requests", _COUNT),
    },
)


def _learned(values: Mapping[str, Any], at_s: float, **fields: str) -> Learned:
    numbers = {_text(name): [_number(each) for each in sums] for name, sums in values.items()}
    learned = Learned(at_s=at_s, values=numbers, **fields)
    learned.recalled(at_s)  # which raises where it cannot be
    return learned


LEARNED = Table(
    "bgthrottle_learned",
    _learned,
    "what was learned of {update_name} in {database_name}",
    ("database_name", "update_name"),
    {
        "database_name": ("database", _TEXT),
        "update_name": ("update", _TEXT),
        "at_ms": ("at_s", _TIME),
        "version": ("", _WHOLE),
        "content": ("values", _OBJECT),
    },
)
TABLES: tuple[Table[Any], ...] = (LEVERS, USES, HISTORY, LOAD, LEARNED)


def make_tables(txn: Any) -> None:
    """Make the missing tables; raises whatever the database raises."""
    for table in TABLES:
        # PostgreSQL requires the right to make a table even if it exists. If that right was taken
        # away, all pauses would be lost.
        if engine_of(txn) == "PostgresEngine":
            txn.execute("SELECT to_regclass(?) IS NOT NULL", (table.name,))
            if txn.fetchone()[0]:
                continue
        columns = ", ".join(f"{name} {kind.sql}" for name, (_, kind) in table.columns.items())
        columns = f"{columns}, PRIMARY KEY ({', '.join(table.keys)})"
        txn.execute(f"CREATE TABLE IF NOT EXISTS {table.name} ({columns})")


def check_tables(txn: Any) -> None:
    """Run each kind of statement without effect, so that problems show at the start.

    After a downgrade a table may lack a column, and a view may have replaced it: then it raises.
    """
    for table in TABLES:
        txn.execute(f"SELECT {', '.join(table.columns)} FROM {table.name} WHERE 1 = 0")
        txn.fetchall()
        txn.execute(f"DELETE FROM {table.name} WHERE 1 = 0")
