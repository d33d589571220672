"""What outlives the process: levers, their uses, history, the hours of the week, what was learned.

These are five tables in the main database. The functions below `Store` run in a database thread.
"""

import json
import logging
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import accumulate
from typing import Any

import attrs
from twisted.internet.defer import CancelledError

from synapse_bgthrottle import schema
from synapse_bgthrottle.core.adaptive.weekly_activity import HOURS, SeenHour
from synapse_bgthrottle.core.levers.lever import MOST_ENDED, MOST_LEVERS, MOST_USES, Lever
from synapse_bgthrottle.core.scheduling.failures import complaint_of, is_missing_table
from synapse_bgthrottle.core.tracking.history import MOST_ENTRIES, HistoryEntry, Outcome
from synapse_bgthrottle.core.tracking.learned import MOST_LEARNED, VERSION, Learned
from synapse_bgthrottle.homeserver.internals.server import Homeserver
from synapse_bgthrottle.homeserver.storage.tables import (
    MOST,
    check_tables,
    entry_of,
    hour_of,
    learned_of,
    lever_of,
    make_tables,
    newest,
    readable,
    to_ms,
    use_of,
)

logger = logging.getLogger(__name__)

_LEVER = "lever_id, kind, update_glob, database_name, settings, reason, author, created_ms, ends_ms"
_USE = "at_ms, author, action, update_glob, database_name, reason, settings, ends_ms"
_ENTRY = (
    "database_name, update_name, started_ms, ended_ms, outcome, items, batches, batch_ms,"
    " waited_ms, failures, last_failure, first_progress, progress_per_item"
)
# Nobody is shown the first progress, which may have 64 KiB.
_SHOWN = _ENTRY.replace("first_progress", "NULL")
_HOUR = "hour_of_week, week, watched_ms, present_ms, requests"
_LEARNED = "database_name, update_name, at_ms, version, content"
_ENDED = "FROM bgthrottle_levers WHERE ends_ms <= ? AND used_ms IS NULL"
# The same rule as `Levers.kept`.
_DELETE_ENDED = (
    f"DELETE {_ENDED} AND lever_id NOT IN"
    f" (SELECT lever_id {_ENDED} ORDER BY ends_ms DESC LIMIT {MOST_ENDED})"
)
_COLUMNS = {
    "bgthrottle_levers": f"{_LEVER}, used_ms",
    "bgthrottle_uses": f"use_id, {_USE}",
    "bgthrottle_history": _ENTRY,
    "bgthrottle_load": _HOUR,
    "bgthrottle_learned": _LEARNED,
}
# An answer has at most so many characters of overrides' settings.
_MOST_SETTINGS = 262_144
# Levers are deleted only when others change, so there may be more than both limits. Further rows
# were not written by the module.
_MOST_ROWS = 2 * (MOST_LEVERS + MOST_ENDED)
# Log at most so many unreadable rows; more of them have the same cause.
_MOST_LOGGED = 100


@attrs.frozen
class Stored:
    """The data found at the start.

    Attributes:
        levers: the stored levers, with those that have ended by the clock.
        unreadable: unreadable rows, one line each.
        open_entries: history of updates that had not ended.
        hours: activity in the hours of the week.
        learned: what was learned of updates.
    """

    levers: tuple[Lever, ...]
    unreadable: tuple[str, ...]
    open_entries: tuple[HistoryEntry, ...]
    hours: tuple[SeenHour, ...] = ()
    learned: tuple[Learned, ...] = ()


class Store:
    """Reads and writes the tables. What it has confirmed survives a kill.

    If somebody drops the tables while the server runs, it makes them again with the same levers.
    Each method raises whatever the database or a lost connection raises. After a refusal nothing
    has changed; after a lost connection that is unknown.

    Attributes:
        problem: what was lost with dropped tables, or why they cannot be made; empty: nothing.
    """

    def __init__(self, host: Homeserver) -> None:
        self._host = host
        self._logged: set[str] = set()
        self._written: dict[str, Lever] = {}
        self._is_open = False
        self.problem = ""

    async def open(self) -> Stored:
        """Make missing tables, and read all."""
        now_ms = to_ms(self._host.wall_s())
        stored: Stored = await self._run(_open, now_ms)
        self._log(stored.unreadable)
        self._written = {lever.lever_id: lever for lever in stored.levers}
        self._is_open = True
        return stored

    async def levers(self) -> tuple[Lever, ...]:
        """The stored levers, with those that have ended."""
        levers, unreadable = await self._run(_levers)
        self._log(unreadable)
        self._written = {lever.lever_id: lever for lever in levers}
        return tuple(levers)

    async def change(
        self, made: Iterable[Lever], ended: Iterable[Lever], use: schema.Use | None
    ) -> None:
        """Write and delete levers, and record who did it."""
        now_ms = to_ms(self._host.wall_s())
        made, ended = tuple(made), tuple(ended)
        use_id = secrets.token_hex(8)  # here, because an interaction may run twice
        await self._run(_change, now_ms, made, ended, use, use_id)
        for lever in ended:
            self._written.pop(lever.lever_id, None)
        self._written.update((lever.lever_id, lever) for lever in made)

    async def check(self) -> None:
        """Make dropped tables again, if there are levers."""
        if self._written:
            await self._run(check_tables, _COLUMNS)

    async def write(
        self,
        entries: Iterable[HistoryEntry],
        hours: Iterable[SeenHour] = (),
        learned: Iterable[Learned] = (),
    ) -> None:
        """Write the history of these updates, activity in these hours, and what was learned."""
        await self._run(_write, tuple(entries), tuple(hours), tuple(learned))

    async def history(self, limit: int = MOST_ENTRIES) -> list[HistoryEntry]:
        """The history of so many updates, newest first, without their first progress."""
        entries: list[HistoryEntry]
        entries, unreadable = await self._run(_history, limit)
        self._log(unreadable)
        return entries

    async def uses(self, limit: int) -> list[schema.Use]:
        """Who did what, newest first. With very large settings the oldest are left out."""
        uses: list[schema.Use]
        uses, unreadable = await self._run(_uses, limit)
        self._log(unreadable)
        return uses

    def _log(self, unreadable: Iterable[str]) -> None:
        """Log unreadable rows, each once."""
        for line in unreadable:
            if line not in self._logged and len(self._logged) < _MOST_LOGGED:
                self._logged.add(line)
                logger.error("this row cannot be read, and is left out: %s", line)

    async def _run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return await self._host.run_on_main("bgthrottle_store", function, *arguments)
        except CancelledError:
            raise
        except Exception as error:
            if not (self._is_open and is_missing_table(error)):
                raise
            await self._make_again(complaint_of(error))
        return await self._host.run_on_main("bgthrottle_store", function, *arguments)

    async def _make_again(self, complaint: str) -> None:
        now_ms = to_ms(self._host.wall_s())
        levers = tuple(self._written.values())
        try:
            await self._host.run_on_main("bgthrottle_store", _make_again, now_ms, levers)
        except CancelledError:
            raise
        except Exception as error:
            self.problem = (
                f"the tables were dropped, and cannot be made again: {complaint_of(error)}"
            )
            raise
        self.problem = (
            f"tables were dropped while the server ran ({complaint}). They are made again, with the"
            " pauses, overrides and releases in force; the rest is lost"
        )
        logger.error("%s", self.problem)


def _open(txn: Any, now_ms: int) -> Stored:
    make_tables(txn)
    check_tables(txn, _COLUMNS)
    txn.execute(_DELETE_ENDED, (now_ms, now_ms))
    levers, unreadable = _levers(txn)
    txn.execute(
        newest(_ENTRY, "history", "started_ms DESC", "outcome IN (?, ?)"),
        (Outcome.RUNNING.value, Outcome.ABORTED.value, MOST_ENTRIES),
    )
    entries, broken = _entries(txn)
    txn.execute(newest(_HOUR, "load", "abs(hour_of_week)"), (2 * HOURS,))
    hours, odd = readable(hour_of, "hour {0} of the week", txn.fetchall())
    txn.execute(
        newest(_LEARNED.replace("version, ", ""), "learned", "at_ms DESC", "version = ?"),
        (VERSION, MOST_LEARNED),
    )
    learned, strange = readable(learned_of, "what was learned of {1} in {0}", txn.fetchall())
    lines = (*unreadable, *broken, *odd, *strange)
    return Stored(tuple(levers), lines, tuple(entries[::-1]), tuple(hours), tuple(learned))


def _make_again(txn: Any, now_ms: int, levers: Sequence[Lever]) -> None:
    make_tables(txn)
    _change(txn, now_ms, levers, ())


def _levers(txn: Any) -> tuple[list[Lever], list[str]]:
    """The readable levers, oldest first, and a line for each of the others."""
    txn.execute(
        newest(f"{_LEVER}, used_ms", "levers", "created_ms DESC, lever_id DESC"),
        (_MOST_ROWS + 1,),
    )
    rows = txn.fetchall()
    levers, unreadable = readable(lever_of, "{1} of {2} by {6}", rows[_MOST_ROWS - 1 :: -1])
    if len(rows) > _MOST_ROWS:
        unreadable.insert(0, f"all but the newest {_MOST_ROWS} of bgthrottle_levers")
    return levers, unreadable


def _entries(txn: Any) -> tuple[list[HistoryEntry], list[str]]:
    return readable(entry_of, "history of {1} in {0}", txn.fetchall())


def _change(
    txn: Any,
    now_ms: int,
    made: Sequence[Lever],
    ended: Sequence[Lever],
    use: schema.Use | None = None,
    use_id: str = "",
) -> None:
    txn.execute(_DELETE_ENDED, (now_ms, now_ms))
    for lever in ended:
        txn.execute("DELETE FROM bgthrottle_levers WHERE lever_id = ?", (lever.lever_id,))
    for lever in made:
        row = {
            "kind": lever.kind.value,
            "update_glob": lever.update,
            "database_name": lever.database,
            "settings": json.dumps(dict(lever.written)),
            "reason": lever.reason,
            "author": lever.author,
            "created_ms": to_ms(lever.created_s),
            "ends_ms": to_ms(lever.ends_s),
            "used_ms": None if lever.used_s is None else to_ms(lever.used_s),
        }
        _put(txn, "bgthrottle_levers", {"lever_id": lever.lever_id}, row)
    if use is not None:
        row = {
            "at_ms": use.at_ms,
            "author": use.author,
            "action": use.action,
            "update_glob": use.update,
            "database_name": use.database,
            "reason": use.reason,
            "settings": json.dumps(dict(use.settings)),
            "ends_ms": use.ends_ms,
        }
        _put(txn, "bgthrottle_uses", {"use_id": use_id}, row)
        txn.execute(
            "DELETE FROM bgthrottle_uses WHERE use_id NOT IN"
            " (SELECT use_id FROM bgthrottle_uses ORDER BY at_ms DESC, use_id LIMIT ?)",
            (MOST_USES,),
        )


def _write(
    txn: Any, entries: Sequence[HistoryEntry], hours: Sequence[SeenHour], learned: Sequence[Learned]
) -> None:
    for each in learned:
        key = {"database_name": each.database, "update_name": each.update}
        content = json.dumps(dict(each.values))
        row = {"at_ms": to_ms(each.at_s), "version": VERSION, "content": content}
        _put(txn, "bgthrottle_learned", key, row)
    for hour in hours:
        row = {
            "week": hour.week,
            "watched_ms": to_ms(hour.watched_s),
            "present_ms": to_ms(hour.present_s),
            "requests": round(hour.requests),
        }
        _put(txn, "bgthrottle_load", {"hour_of_week": hour.hour}, row)
    for entry in entries:
        started_ms = to_ms(entry.started_s)
        waited_ms = {cause: to_ms(waited_s) for cause, waited_s in entry.waited_s.items()}
        row = {
            "ended_ms": None if entry.ended_s is None else to_ms(entry.ended_s),
            "outcome": entry.outcome.value,
            "items": min(entry.items, MOST),
            "batches": entry.batches,
            "batch_ms": to_ms(entry.batch_s),
            "waited_ms": json.dumps(waited_ms),
            "failures": entry.failures,
            "last_failure": entry.last_failure.replace("\0", ""),  # PostgreSQL does not accept NUL
            "first_progress": entry.first_progress,
            "progress_per_item": entry.progress_per_item,
        }
        key = {"database_name": entry.database, "update_name": entry.update}
        _put(txn, "bgthrottle_history", {**key, "started_ms": started_ms}, row)
    _keep_newest(txn, "bgthrottle_history", "started_ms", MOST_ENTRIES)
    if learned:
        _keep_newest(txn, "bgthrottle_learned", "at_ms", MOST_LEARNED)


def _put(txn: Any, table: str, key: Mapping[str, Any], row: Mapping[str, Any]) -> None:
    """Write a row in place of the one with this key, if there is one."""
    where = " AND ".join(f"{column} = ?" for column in key)
    txn.execute(f"DELETE FROM {table} WHERE {where}", (*key.values(),))
    values = {**key, **row}
    places = ", ".join("?" * len(values))
    txn.execute(f"INSERT INTO {table} ({', '.join(values)}) VALUES ({places})", (*values.values(),))


def _keep_newest(txn: Any, table: str, column: str, most: int) -> None:
    txn.execute(
        f"DELETE FROM {table} WHERE {column} < (SELECT MIN({column}) FROM"
        f" (SELECT {column} FROM {table} ORDER BY {column} DESC LIMIT ?) AS newest)",
        (most,),
    )


def _history(txn: Any, limit: int) -> tuple[list[HistoryEntry], list[str]]:
    txn.execute(newest(_SHOWN, "history", "started_ms DESC, update_name"), (limit,))
    return _entries(txn)


def _uses(txn: Any, limit: int) -> tuple[list[schema.Use], list[str]]:
    txn.execute(newest(_USE, "uses", "at_ms DESC, use_id"), (limit,))
    rows = txn.fetchall()
    sizes = accumulate(len(str(row[6])) for row in rows)
    few = [row for row, size in zip(rows, sizes, strict=True) if size <= _MOST_SETTINGS]
    return readable(use_of, "use {2} of {3} by {1}", few)
