"""What outlives the process: levers, the record of their uses, the history of updates, the week.

Four tables of our own in the server's main database. Every function below `Store` runs in a thread
of the database.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import attrs

from synapse_bgthrottle.core.adaptive.weekly_activity import SeenHour
from synapse_bgthrottle.core.config.problems import InvalidConfigError
from synapse_bgthrottle.core.levers.lever import MOST_ENDED, MOST_USES, Lever, Use
from synapse_bgthrottle.core.tracking.history import MOST_ENTRIES, HistoryEntry, Outcome
from synapse_bgthrottle.homeserver.internals.server import Homeserver
from synapse_bgthrottle.homeserver.storage.tables import (
    entries_of,
    hour_of,
    lever_of,
    make_tables,
    to_ms,
)

_LEVER = "lever_id, kind, update_glob, database_name, settings, reason, author, created_ms, ends_ms"
_USE = "at_ms, author, action, update_glob, database_name, reason, settings, ends_ms"
_ENTRY = (
    "database_name, update_name, started_ms, ended_ms, outcome, items, batches, batch_ms,"
    " waited_ms, failures, last_failure, first_progress"
)
_HOUR = "hour_of_week, week, watched_ms, present_ms, requests"
_ENDED = "FROM bgthrottle_levers WHERE ends_ms <= ? AND used_ms IS NULL"
# As `Levers.kept` does.
_DELETE_ENDED = (
    f"DELETE {_ENDED} AND lever_id NOT IN"
    f" (SELECT lever_id {_ENDED} ORDER BY ends_ms DESC LIMIT {MOST_ENDED})"
)
_MOST = 2**63 - 1


@attrs.frozen
class Stored:
    """What was there at the start.

    Attributes:
        levers: those that are written, also such as have ended by the clock.
        unreadable: what could not be read, each in a line for people.
        open_entries: the history of updates that had not ended.
        hours: what was seen of the week.
    """

    levers: tuple[Lever, ...]
    unreadable: tuple[str, ...]
    open_entries: tuple[HistoryEntry, ...]
    hours: tuple[SeenHour, ...] = ()


class Store:
    """Reads and writes them; what it answered to have written survives a kill.

    Every method raises whatever a lost connection, or a database that refuses, makes of it. Nothing
    has changed where it refused; where the connection was lost, that is not known.
    """

    def __init__(self, host: Homeserver) -> None:
        self._host = host

    async def open(self) -> Stored:
        """Make the tables where they are not there, and read."""
        now_ms = to_ms(self._host.wall_s())
        stored: Stored = await self._run(_open, now_ms)
        return stored

    async def levers(self) -> tuple[Lever, ...]:
        """Those that are written, also such as have ended."""
        levers, _ = await self._run(_levers)
        return tuple(levers)

    async def change(self, made: Iterable[Lever], ended: Iterable[Lever], use: Use | None) -> None:
        """Write and delete levers, and record who did that."""
        now_ms = to_ms(self._host.wall_s())
        await self._run(_change, now_ms, tuple(made), tuple(ended), use)

    async def write(self, entries: Iterable[HistoryEntry], hours: Iterable[SeenHour] = ()) -> None:
        """Write the history of these updates, and what was seen of these hours."""
        await self._run(_write, tuple(entries), tuple(hours))

    async def history(self) -> list[HistoryEntry]:
        """The history of all updates, newest first."""
        entries: list[HistoryEntry] = await self._run(_history)
        return entries

    async def uses(self, limit: int) -> list[Use]:
        """Who did what, newest first."""
        uses: list[Use] = await self._run(_uses, limit)
        return uses

    async def _run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return await self._host.run_on_main("bgthrottle_store", function, *arguments)


def _open(txn: Any, now_ms: int) -> Stored:
    make_tables(txn)
    txn.execute(_DELETE_ENDED, (now_ms, now_ms))
    levers, unreadable = _levers(txn)
    txn.execute(
        f"SELECT {_ENTRY} FROM bgthrottle_history WHERE outcome IN (?, ?) ORDER BY started_ms",
        (Outcome.RUNNING.value, Outcome.ABORTED.value),
    )
    entries, broken = entries_of(txn.fetchall())
    txn.execute(f"SELECT {_HOUR} FROM bgthrottle_load")
    hours = (hour_of(row) for row in txn.fetchall())
    return Stored(
        tuple(levers),
        (*unreadable, *broken),
        tuple(entries),
        tuple(hour for hour in hours if hour is not None),
    )


def _levers(txn: Any) -> tuple[list[Lever], list[str]]:
    """Those that can be read, and the others, each in a line."""
    txn.execute(f"SELECT {_LEVER}, used_ms FROM bgthrottle_levers ORDER BY created_ms, lever_id")
    levers, unreadable = [], []
    for row in txn.fetchall():
        try:
            levers.append(lever_of(row))
        except (ValueError, TypeError, OverflowError, OSError, InvalidConfigError) as error:
            unreadable.append(f"{row[1]} of {row[2]} by {row[6]}: {error}")
    return levers, unreadable


def _change(
    txn: Any, now_ms: int, made: Sequence[Lever], ended: Sequence[Lever], use: Use | None
) -> None:
    txn.execute(_DELETE_ENDED, (now_ms, now_ms))
    for lever in (*ended, *made):
        txn.execute("DELETE FROM bgthrottle_levers WHERE lever_id = ?", (lever.lever_id,))
    for lever in made:
        txn.execute(
            f"INSERT INTO bgthrottle_levers ({_LEVER}, used_ms) VALUES ({_places(10)})",
            (
                lever.lever_id,
                lever.kind.value,
                lever.update,
                lever.database,
                json.dumps(dict(lever.written)),
                lever.reason,
                lever.author,
                to_ms(lever.created_s),
                to_ms(lever.ends_s),
                None if lever.used_s is None else to_ms(lever.used_s),
            ),
        )
    if use is None:
        return
    values = (use.update, use.database, use.reason, json.dumps(dict(use.settings)), use.ends_ms)
    txn.execute(
        f"INSERT INTO bgthrottle_uses (use_id, {_USE}) VALUES ({_places(9)})",
        (use.use_id, use.at_ms, use.author, use.action, *values),
    )
    txn.execute(
        "DELETE FROM bgthrottle_uses WHERE use_id NOT IN"
        " (SELECT use_id FROM bgthrottle_uses ORDER BY at_ms DESC, use_id LIMIT ?)",
        (MOST_USES,),
    )


def _write(txn: Any, entries: Sequence[HistoryEntry], hours: Sequence[SeenHour]) -> None:
    for hour in hours:
        txn.execute("DELETE FROM bgthrottle_load WHERE hour_of_week = ?", (hour.hour,))
        txn.execute(
            f"INSERT INTO bgthrottle_load ({_HOUR}) VALUES ({_places(5)})",
            (
                hour.hour,
                hour.week,
                to_ms(hour.watched_s),
                to_ms(hour.present_s),
                round(hour.requests),
            ),
        )
    for entry in entries:
        key = (entry.database, entry.update, to_ms(entry.started_s))
        txn.execute(
            "DELETE FROM bgthrottle_history"
            " WHERE database_name = ? AND update_name = ? AND started_ms = ?",
            key,
        )
        waited_ms = {cause: to_ms(waited_s) for cause, waited_s in entry.waited_s.items()}
        txn.execute(
            f"INSERT INTO bgthrottle_history ({_ENTRY}) VALUES ({_places(12)})",
            (
                *key,
                None if entry.ended_s is None else to_ms(entry.ended_s),
                entry.outcome.value,
                min(entry.items, _MOST),
                entry.batches,
                to_ms(entry.batch_s),
                json.dumps(waited_ms),
                entry.failures,
                entry.last_failure.replace("\0", ""),  # which PostgreSQL does not take
                entry.first_progress,
            ),
        )
    txn.execute(
        "DELETE FROM bgthrottle_history WHERE started_ms < (SELECT MIN(started_ms) FROM"
        " (SELECT started_ms FROM bgthrottle_history ORDER BY started_ms DESC LIMIT ?) AS newest)",
        (MOST_ENTRIES,),
    )


def _history(txn: Any) -> list[HistoryEntry]:
    txn.execute(
        f"SELECT {_ENTRY} FROM bgthrottle_history ORDER BY started_ms DESC, update_name LIMIT ?",
        (MOST_ENTRIES,),
    )
    return entries_of(txn.fetchall())[0]


def _uses(txn: Any, limit: int) -> list[Use]:
    txn.execute(
        f"SELECT use_id, {_USE} FROM bgthrottle_uses ORDER BY at_ms DESC, use_id LIMIT ?", (limit,)
    )
    return [
        Use(
            use_id=use_id,
            at_ms=at_ms,
            author=author,
            action=action,
            update=update,
            database=database,
            reason=reason,
            settings=json.loads(settings),
            ends_ms=ends_ms,
        )
        for use_id, at_ms, author, action, update, database, reason, settings, ends_ms in (
            txn.fetchall()
        )
    ]


def _places(count: int) -> str:
    return ", ".join("?" * count)
