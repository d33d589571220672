"""What outlives the process: levers, their uses, history, the hours of the week, what was learned.

The functions below `Store` run in a database thread.
"""

import logging
import secrets
from collections.abc import Callable, Iterable, Sequence
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
    HISTORY,
    LEARNED,
    LEVERS,
    LOAD,
    USES,
    check_tables,
    make_tables,
    to_ms,
)

logger = logging.getLogger(__name__)

_ENDED = "FROM bgthrottle_levers WHERE ends_ms <= ? AND used_ms IS NULL"
# The same rule as `Levers.kept`.
_DELETE_ENDED = (
    f"DELETE {_ENDED} AND lever_id NOT IN"
    f" (SELECT lever_id {_ENDED} ORDER BY ends_ms DESC LIMIT {MOST_ENDED})"
)
# An answer has at most so many characters of overrides' settings.
_MOST_SETTINGS = 262_144
# Levers are deleted only when others change, so there may be more than both limits. Further rows
# were not written by the module.
_MOST_ROWS = 2 * (MOST_LEVERS + MOST_ENDED)
# Log at most so many unreadable rows; more of them have the same cause.
_MOST_LOGGED = 100


@attrs.frozen
class Stored:
    """The data found at the start; of the history, updates that had not ended."""

    levers: tuple[Lever, ...]
    unreadable: tuple[str, ...]  # unreadable rows, one line each
    open_entries: tuple[HistoryEntry, ...]
    hours: tuple[SeenHour, ...] = ()
    learned: tuple[Learned, ...] = ()


class Store:
    """Reads and writes the tables. What it has confirmed survives a kill.

    If somebody drops the tables while the server runs, it makes them again with the same levers.
    Each method raises whatever the database or a lost connection raises. After a refusal nothing
    has changed; after a lost connection that is unknown.
    """

    def __init__(self, host: Homeserver) -> None:
        self._host = host
        self._logged: set[str] = set()
        self._written: dict[str, Lever] = {}
        self._is_open = False
        self.problem = ""  # what was lost with dropped tables, or why they cannot be made

    async def open(self) -> Stored:
        """Make missing tables, and read all."""
        stored: Stored = await self._run(_open, self._now_ms())
        self._log(stored.unreadable)
        self._written = {lever.lever_id: lever for lever in stored.levers}
        self._is_open = True
        return stored

    async def levers(self) -> tuple[Lever, ...]:
        """The stored levers, with those that have ended."""
        levers: list[Lever] = await self._read(_levers)
        self._written = {lever.lever_id: lever for lever in levers}
        return tuple(levers)

    async def change(
        self, made: Iterable[Lever], ended: Iterable[Lever], use: schema.Use | None
    ) -> None:
        """Write and delete levers, and record who did it."""
        made, ended = tuple(made), tuple(ended)
        use_id = secrets.token_hex(8)  # here, because an interaction may run twice
        await self._run(_change, self._now_ms(), made, ended, use, use_id)
        for lever in ended:
            self._written.pop(lever.lever_id, None)
        self._written.update((lever.lever_id, lever) for lever in made)

    async def check(self) -> None:
        """Make dropped tables again, if there are levers."""
        if self._written:
            await self._run(check_tables)

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
        entries: list[HistoryEntry] = await self._read(_history, limit)
        return entries

    async def uses(self, limit: int) -> list[schema.Use]:
        """Who did what, newest first. With very large settings the oldest are left out."""
        uses: list[schema.Use] = await self._read(_uses, limit)
        return uses

    def _now_ms(self) -> int:
        return to_ms(self._host.wall_s())

    def _log(self, unreadable: Iterable[str]) -> None:
        """Log unreadable rows, each once."""
        for line in unreadable:
            if line not in self._logged and len(self._logged) < _MOST_LOGGED:
                self._logged.add(line)
                logger.error("this row cannot be read, and is left out: %s", line)

    async def _read(self, function: Callable[..., Any], *arguments: Any) -> Any:
        records, unreadable = await self._run(function, *arguments)
        self._log(unreadable)
        return records

    async def _run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        run = self._host.main.run
        try:
            return await run("bgthrottle_store", function, *arguments)
        except CancelledError:
            raise
        except Exception as error:
            if not (self._is_open and is_missing_table(error)):
                raise
            complaint = complaint_of(error)
        try:
            await run("bgthrottle_store", _make, self._now_ms(), tuple(self._written.values()))
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
        return await run("bgthrottle_store", function, *arguments)


def _make(txn: Any, now_ms: int, levers: Sequence[Lever]) -> None:
    make_tables(txn)
    _change(txn, now_ms, levers, ())


def _open(txn: Any, now_ms: int) -> Stored:
    make_tables(txn)
    check_tables(txn)
    txn.execute(_DELETE_ENDED, (now_ms, now_ms))
    levers, lines = _levers(txn)
    open_only = HISTORY.newest("started_ms DESC", "outcome IN (?, ?)")
    txn.execute(open_only, (Outcome.RUNNING.value, Outcome.ABORTED.value, MOST_ENTRIES))
    entries, broken = HISTORY.readable(txn.fetchall())
    txn.execute(LOAD.newest("abs(hour_of_week)"), (2 * HOURS,))
    hours, odd = LOAD.readable(txn.fetchall())
    txn.execute(LEARNED.newest("at_ms DESC", "version = ?"), (VERSION, MOST_LEARNED))
    learned, strange = LEARNED.readable(txn.fetchall())
    lines += (*broken, *odd, *strange)
    return Stored(tuple(levers), tuple(lines), tuple(entries[::-1]), tuple(hours), tuple(learned))


def _levers(txn: Any) -> tuple[list[Lever], list[str]]:
    """The readable levers, oldest first, and a line for each of the others."""
    txn.execute(LEVERS.newest("created_ms DESC, lever_id DESC"), (_MOST_ROWS + 1,))
    rows = txn.fetchall()
    levers, unreadable = LEVERS.readable(rows[_MOST_ROWS - 1 :: -1])
    if len(rows) > _MOST_ROWS:
        unreadable.insert(0, f"all but the newest {_MOST_ROWS} of bgthrottle_levers")
    return levers, unreadable


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
        LEVERS.put(txn, lever)
    if use is not None:
        USES.put(txn, use, use_id=use_id)
        txn.execute(
            "DELETE FROM bgthrottle_uses WHERE use_id NOT IN"
            " (SELECT use_id FROM bgthrottle_uses ORDER BY at_ms DESC, use_id LIMIT ?)",
            (MOST_USES,),
        )


def _write(
    txn: Any, entries: Sequence[HistoryEntry], hours: Sequence[SeenHour], learned: Sequence[Learned]
) -> None:
    for each in learned:
        LEARNED.put(txn, each, version=VERSION)
    for hour in hours:
        LOAD.put(txn, hour)
    for entry in entries:
        HISTORY.put(txn, entry)
    HISTORY.keep_newest(txn, "started_ms", MOST_ENTRIES)
    if learned:
        LEARNED.keep_newest(txn, "at_ms", MOST_LEARNED)


def _history(txn: Any, limit: int) -> tuple[list[HistoryEntry], list[str]]:
    # nobody is shown the first progress, which may have 64 KiB
    txn.execute(HISTORY.newest("started_ms DESC, update_name", without="first_progress"), (limit,))
    return HISTORY.readable(txn.fetchall())


def _uses(txn: Any, limit: int) -> tuple[list[schema.Use], list[str]]:
    txn.execute(USES.newest("at_ms DESC, use_id"), (limit,))
    rows = txn.fetchall()
    sizes = accumulate(len(str(row[6])) for row in rows)
    few = [row for row, size in zip(rows, sizes, strict=True) if size <= _MOST_SETTINGS]
    return USES.readable(few)
