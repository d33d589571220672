"""The store on SQLite: it reads what it wrote, logs unreadable rows, and stays bounded."""

from collections.abc import Callable
from typing import Any

import attrs
import pytest

from synapse_bgthrottle.core.adaptive.weekly_activity import SeenHour
from synapse_bgthrottle.core.config.limits import Adaptive, DutyCycle, Settings
from synapse_bgthrottle.core.levers.lever import MOST_USES, Lever, LeverKind
from synapse_bgthrottle.core.levers.request import StoreUnavailableError
from synapse_bgthrottle.core.tracking.history import MOST_ENTRIES, HistoryEntry, Outcome
from synapse_bgthrottle.schema import Use
from testbed.strategies.examples import lever
from testbed.virtual.server import EPOCH_S, VirtualServer
from tests.integration.virtual_module import (
    answer,
    change_levers,
    queued,
    restarted,
    rows,
    service_of,
    stated,
    store_of,
)

MakeServer = Callable[..., VirtualServer]

_ENDS_S = EPOCH_S + 3600


@pytest.fixture
def server(virtual_server: MakeServer) -> VirtualServer:
    """With the tables."""
    made = virtual_server()
    answer(made, store_of(made).open())
    return made


@pytest.fixture
def read(server: VirtualServer) -> list[int]:
    """The size of each row that is read from now on."""
    sizes: list[int] = []

    def count(_: object, row: Any) -> Any:
        sizes.append(sum(len(str(value)) for value in row))
        return row

    server.pools["master"].connection.row_factory = count
    return sizes


def _lever(lever_id: str = "a1", **changes: Any) -> Lever:
    values = {"created_s": EPOCH_S, "ends_s": _ENDS_S, **changes}
    return lever(lever_id=lever_id, **values)


def _use(number: int = 0, **changes: Any) -> Use:
    values = {"at_ms": number, **changes}
    return Use(**{"author": "@a:b", "action": "pause", "update": "*", **values})


def _entry(number: int = 0, **changes: Any) -> HistoryEntry:
    values = {"update": f"u{number}", "started_s": EPOCH_S + number, **changes}
    return HistoryEntry(**{"database": "master", "outcome": Outcome.DONE, **values})


def test_tables_are_made_once(server: VirtualServer) -> None:
    """Opening makes the tables where they are missing, and leaves alone what is there."""
    answer(server, store_of(server).change([_lever()], [], _use()))
    assert (_lever(),) == answer(server, store_of(server).open()).levers
    made = rows(server, "SELECT name FROM sqlite_master WHERE name LIKE 'bg%' AND type = 'table'")
    names = {"levers", "uses", "history", "load", "learned"}
    assert {f"bgthrottle_{name}" for name in names} == {v for (v,) in made}


def test_table_that_a_version_did_not_have(server: VirtualServer) -> None:
    """Opening adds it to those that are there, and they keep what they have."""
    answer(server, store_of(server).change([_lever()], [], _use()))
    server.pools["master"].connection.execute("DROP TABLE bgthrottle_load")
    stored = answer(server, store_of(server).open())
    assert ((_lever(),), ()) == (stored.levers, stored.hours)
    answer(server, store_of(server).write([], [SeenHour(1, 2)]))
    assert (SeenHour(1, 2),) == answer(server, store_of(server).open()).hours


@pytest.mark.parametrize(
    "written",
    [
        _lever(),
        _lever(update="event_*", database="state", reason="Überlast ☃ 'quoted'; --"),
        _lever(kind=LeverKind.RELEASE, update="a", database="master", used_s=EPOCH_S + 1.5),
        _lever(
            kind=LeverKind.OVERRIDE,
            settings=Settings(pace=DutyCycle(0.05)),
            written={"duty_cycle": "5%"},
        ),
    ],
)
def test_levers_are_read_as_they_were_written(server: VirtualServer, written: Lever) -> None:
    """Everything that a lever is outlives the process."""
    answer(server, store_of(server).change([written], [], None))
    stored = answer(server, store_of(server).open())
    assert ((written,), ()) == (stored.levers, stored.unreadable)


def test_levers_come_oldest_first(server: VirtualServer) -> None:
    """The order in which they were made decides which override wins, after a restart too."""
    levers = [_lever("c3", created_s=EPOCH_S), _lever("a1", created_s=EPOCH_S + 1)]
    for one in reversed(levers):
        answer(server, store_of(server).change([one], [], None))
    assert levers == list(answer(server, store_of(server).open()).levers)


def test_changed_and_ended_levers(server: VirtualServer) -> None:
    """What is ended is deleted, and what is written again replaces what was there."""
    store = store_of(server)
    old, kept = _lever(kind=LeverKind.RELEASE), _lever("b2")
    answer(server, store.change([old, kept], [], None))
    used = attrs.evolve(old, used_s=EPOCH_S)
    answer(server, store.change([used], [kept], None))
    assert (used,) == answer(server, store.open()).levers


def test_the_last_levers_that_have_ended_are_kept(server: VirtualServer) -> None:
    """Opening and changing delete what ended before the last hundred; one in use outlives all."""
    store = store_of(server)
    used = _lever("used", kind=LeverKind.RELEASE, used_s=EPOCH_S)
    ended = [_lever(f"{number:03}", ends_s=EPOCH_S + 1 + number) for number in range(103)]
    answer(server, store.change([*ended, used], [], None))
    server.advance(3600)
    kept = [lever.lever_id for lever in ended[3:]]
    assert [*kept, "used"] == sorted(v.lever_id for v in answer(server, store.open()).levers)
    answer(server, store.change([_lever("latest", ends_s=EPOCH_S + 3599)], [], None))
    answer(server, store.change([], [], None))
    kept = [*kept[1:], "latest", "used"]
    assert kept == sorted(lever.lever_id for lever in answer(server, store.levers()))


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("kind", "catapult"),
        ("settings", "{"),
        ("settings", "[]"),
        ("settings", '{"duty_cycle": "500%"}'),
        ("settings", '{"no_such_key_any_more": 1}'),
        ("settings", '{"windows": ' + "[" * 10_000 + "]" * 10_000 + "}"),
        ("settings", '{"windows": ' + "[" * 300 + "]" * 300 + "}"),
        ("settings", '{"items_per_second": NaN}'),
        ("settings", b"{}"),
        ("lever_id", b"a1"),
        ("kind", b"override"),
        ("update_glob", b"event_*"),
        ("update_glob", ""),
        ("update_glob", "a\nWARNING forged"),
        ("database_name", b"state"),
        ("reason", b"why"),
        ("reason", "x" * 100_000),
        ("author", b"@admin:example.org"),
        ("created_ms", "yesterday"),
        ("created_ms", float("inf")),
        ("ends_ms", float("inf")),
        ("ends_ms", 2**63 - 1),
        ("used_ms", 1.5),
        ("ends_ms", 10**15),
    ],
)
def test_lever_that_cannot_be_read(server: VirtualServer, column: str, value: Any) -> None:
    """What another version wrote, or a hand, is told in a line and skipped; the others hold."""
    override = _lever(kind=LeverKind.OVERRIDE, update="event_*", written={"duty_cycle": "5%"})
    pause = _lever("b2", created_s=EPOCH_S + 1)
    answer(server, store_of(server).change([override, pause], [], None))
    sql = f"UPDATE bgthrottle_levers SET {column} = ? WHERE update_glob = 'event_*'"
    server.pools["master"].connection.execute(sql, (value,))
    stored = answer(server, store_of(server).open())
    assert (pause,) == stored.levers
    (line,) = stored.unreadable
    assert " by " in line
    assert line.isprintable()


@pytest.mark.parametrize("written", ["5", "[]", "null", "{"])
def test_pause_needs_no_settings(server: VirtualServer, written: str) -> None:
    """A pause holds whatever stands where an override has its settings."""
    answer(server, store_of(server).change([_lever()], [], None))
    sql = "UPDATE bgthrottle_levers SET settings = ?"
    server.pools["master"].connection.execute(sql, (written,))
    assert (_lever(),) == answer(server, store_of(server).open()).levers


def _much(server: VirtualServer, table: str, values: str, count: int = 100_000) -> None:
    """As many rows as a hand may make."""
    server.pools["master"].connection.execute(
        "WITH RECURSIVE number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n <"
        f" {count}) INSERT INTO bgthrottle_{table} SELECT {values} FROM number"
    )


def test_rows_that_nobody_can_have_made(server: VirtualServer, read: list[int]) -> None:
    """Of very many rows a few are read, the newest levers among them; that is told."""
    pause = _lever("last", created_s=EPOCH_S + 1e6)
    answer(server, store_of(server).change([pause], [], None))
    created_ms = f"{round(EPOCH_S * 1000)} + n"
    lever = f"'pause', 'x', NULL, '{{}}', '', '@a:b', {created_ms}, {2 * 10**12}, NULL"
    _much(server, "levers", f"n, {lever}")
    _much(server, "load", "n, n, n, n, n")
    _much(server, "learned", "'master', n, n, 1, '{}'")
    _much(server, "history", "'master', n, n, NULL, 'running', 1, 1, 1, '{}', 0, '', NULL, NULL")
    read.clear()
    stored = answer(server, store_of(server).open())
    assert pause == stored.levers[-1]
    assert "all but the newest 400 of bgthrottle_levers" in stored.unreadable
    assert len(read) < 3000


@pytest.mark.parametrize("column", ["update_glob", "database_name", "reason", "settings", "kind"])
def test_texts_that_nobody_can_have_made(
    server: VirtualServer, read: list[int], column: str
) -> None:
    """Of a very large text no more is read than the module may have written."""
    pause = _lever("b2")
    answer(server, store_of(server).change([_lever(kind=LeverKind.OVERRIDE), pause], [], _use()))
    answer(server, store_of(server).write([_entry(outcome=Outcome.RUNNING)]))
    connection = server.pools["master"].connection
    for table, where in (
        ("levers", f"{column} = printf('%.*c', 2000000, 'x') WHERE lever_id = 'a1'"),
        ("uses", f"{column} = printf('%.*c', 2000000, 'x')".replace("kind", "action")),
        ("history", "last_failure = printf('%.*c', 2000000, 'x')"),
    ):
        connection.execute(f"UPDATE bgthrottle_{table} SET {where}")
    read.clear()
    stored = answer(server, store_of(server).open())
    assert ((pause,), 2) == (stored.levers, len(stored.unreadable))
    assert [] == answer(server, store_of(server).uses(10))
    assert [] == answer(server, store_of(server).history())
    assert max(read) < 70_000


# --- uses ---


def test_uses_are_told_newest_first(server: VirtualServer) -> None:
    """Who did what is read as it was written, as much as is asked for."""
    uses = [
        _use(number, reason="why", settings={"duty_cycle": "5%"}, database="state", ends_ms=9)
        for number in range(3)
    ]
    for use in uses:
        answer(server, store_of(server).change([], [], use))
    assert uses[::-1] == answer(server, store_of(server).uses(10))
    assert [uses[2]] == answer(server, store_of(server).uses(1))


def test_uses_are_bounded(server: VirtualServer) -> None:
    """Of more than a thousand uses the oldest are forgotten."""
    for number in range(MOST_USES + 5):
        answer(server, store_of(server).change([], [], _use(number)))
    uses = answer(server, store_of(server).uses(10_000))
    assert 1000 == MOST_USES == len(uses)
    assert (MOST_USES + 4, 5) == (uses[0].at_ms, uses[-1].at_ms)


def test_failing_change_leaves_nothing(server: VirtualServer) -> None:
    """Levers and the record of who pulled them are written together or not at all."""
    unwritable = _use(settings={"x": object()})
    with pytest.raises(TypeError):
        answer(server, store_of(server).change([_lever()], [], unwritable))
    assert () == answer(server, store_of(server).open()).levers


@pytest.mark.parametrize(
    "change",
    [
        "settings = '{'",
        "settings = '[]'",
        """settings = '{"sleep": NaN}'""",
        f"settings = '{'[' * 10_000}'",
        f"""settings = '{{"a": {"[" * 300}{"]" * 300}}}'""",
        "settings = x'7b7d'",
        "at_ms = 9e999",
        "at_ms = 'then'",
        "ends_ms = 9e999",
        "author = x'00'",
        "action = x'00'",
        "update_glob = x'00'",
        "database_name = x'00'",
        "reason = x'00'",
    ],
)
def test_use_that_cannot_be_read(
    server: VirtualServer, caplog: pytest.LogCaptureFixture, change: str
) -> None:
    """It is left out of the answer, and logged once, in one line."""
    store = store_of(server)
    for number in range(2):
        answer(server, store.change([], [], _use(number)))
    sql = f"UPDATE bgthrottle_uses SET {change} WHERE at_ms = 0"
    server.pools["master"].connection.execute(sql)
    for _ in range(2):
        assert [_use(1)] == answer(server, store.uses(10))
    (line,) = caplog.messages
    assert line.startswith("this row cannot be read, and is left out: use ")
    assert line.isprintable()


def test_use_is_written_again(server: VirtualServer) -> None:
    """A use is written again where the answer to its write was lost, although it was done."""
    for _ in range(2):
        answer(server, store_of(server).change([], [], _use()))
    assert [_use(), _use()] == answer(server, store_of(server).uses(10))


def test_uses_with_very_large_settings(server: VirtualServer) -> None:
    """An answer has what earlier versions took, but not all of it at once: the newest come."""
    uses = [_use(number, settings={"reason": "x" * 50_000}) for number in range(20)]
    for use in uses:
        answer(server, store_of(server).change([], [], use))
    assert uses[:-6:-1] == answer(server, store_of(server).uses(100))


_FORGED = "why\nERROR forged \x1b[31m\u202e"


def test_texts_are_escaped(server: VirtualServer) -> None:
    """What a hand put into the tables cannot look like a line of a log, or turn a terminal."""
    store, escaped = store_of(server), r"why\nERROR forged \x1b[31m\u202e"
    answer(server, store.change([_lever(reason=_FORGED)], [], _use(reason=_FORGED)))
    answer(server, store.write([_entry(last_failure=_FORGED, outcome=Outcome.RUNNING)]))
    stored = answer(server, store.open())
    assert [escaped] == [lever.reason for lever in stored.levers]
    assert [escaped] == [entry.last_failure for entry in stored.open_entries]
    assert [escaped] == [use.reason for use in answer(server, store.uses(1))]


# --- tables that cannot be used ---

_TABLES = ["levers", "uses", "history", "load", "learned"]
_VIEW = "ALTER TABLE {0} RENAME TO elsewhere; CREATE VIEW {0} AS SELECT * FROM elsewhere"


@pytest.mark.parametrize("table", _TABLES)
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_VIEW, "is a view"),
        (f"{_VIEW}; DROP TABLE elsewhere", "elsewhere"),
        ("DROP TABLE {0}; CREATE TABLE {0} (lever_id TEXT)", "no such column"),
    ],
)
def test_table_that_cannot_be_used(
    virtual_server: MakeServer,
    caplog: pytest.LogCaptureFixture,
    table: str,
    change: str,
    words: str,
) -> None:
    """It is logged once, updates go on, and whoever pauses is told why that cannot be."""
    old, server = virtual_server(), virtual_server()
    answer(old, store_of(old).open())
    connection = old.pools["master"].connection
    connection.executescript(change.format(f"bgthrottle_{table}"))
    work = queued(restarted(old, server), "work")
    server.load({"sleep": "1s"})
    server.start()
    server.advance(60)
    assert work.sizes
    (line,) = [line for line in caplog.messages if "can be neither made nor read" in line]
    assert words in line
    for action in ("pause", "resume"):
        with pytest.raises(StoreUnavailableError, match=words):
            change_levers(server, action)
    problems = stated(server, service_of(server).status())["problems"]
    assert ["store"] == [problem["kind"] for problem in problems]


def _drop(server: VirtualServer, tables: list[str]) -> None:
    for table in tables:
        server.pools["master"].connection.execute(f"DROP TABLE bgthrottle_{table}")


@pytest.mark.parametrize("tables", [_TABLES, *([each] for each in _TABLES)])
def test_tables_dropped_while_the_server_runs(
    virtual_server: MakeServer, caplog: pytest.LogCaptureFixture, tables: list[str]
) -> None:
    """They are made again with what is in force, which is said; a pause can be ended."""
    server = virtual_server()
    work, _ = queued(server, "work"), queued(server, "other")
    server.load({"sleep": "1s"})
    server.start()
    server.advance(5)
    change_levers(server, "pause", update="work")
    change_levers(server, "pause", update="other*")
    batches = len(work.sizes)
    _drop(server, tables)
    server.advance(130)
    assert batches == len(work.sizes)
    found = rows(server, "SELECT update_glob FROM bgthrottle_levers ORDER BY 1")
    assert [("other*",), ("work",)] == found
    problems = stated(server, service_of(server).status())["problems"]
    assert "made again" in problems[0]["message"]
    assert 1 == sum("were dropped" in line for line in caplog.messages)
    _drop(server, tables)
    assert 1 == len(change_levers(server, "resume", update="work")["ended"])
    assert [("other*",)] == rows(server, "SELECT update_glob FROM bgthrottle_levers")
    server.advance(5)
    assert batches < len(work.sizes)
    assert [] == server.failures


# --- history ---


def test_history_is_read_as_it_was_written(server: VirtualServer) -> None:
    """Everything of an entry outlives the process."""
    entry = _entry(
        outcome=Outcome.RUNNING,
        ended_s=EPOCH_S + 60,
        items=2**40,
        batches=7,
        batch_s=1.25,
        waited_s={"pace": 1.5, "window": 86_400.0},
        failures=2,
        last_failure="bad byte: ☃",
        first_progress='{"at": 1}',
        progress_per_item=2.5,
    )
    answer(server, store_of(server).write([entry]))
    assert (entry,) == answer(server, store_of(server).open()).open_entries
    # What is told has no first progress.
    told = attrs.evolve(entry, first_progress=None)
    assert [told] == answer(server, store_of(server).history())


def test_history_of_a_few_reads_few_bytes(server: VirtualServer, read: list[int]) -> None:
    """Of a thousand runs with a large progress, the last two are a page, whatever they wrote."""
    big = f'{{"at": "{"x" * 60_000}"}}'
    answer(server, store_of(server).write(_entry(n, first_progress=big) for n in range(100)))
    assert 2 == len(answer(server, store_of(server).history(2)))
    assert (2, True) == (len(read), sum(read) < 500)


def test_history_of_an_update_is_one_row(server: VirtualServer) -> None:
    """What is written again replaces what was written of the same run."""
    for batches in (1, 2):
        answer(server, store_of(server).write([_entry(batches=batches), _entry(5)]))
    assert [(5, 0), (0, 2)] == [
        (round(entry.started_s - EPOCH_S), entry.batches)
        for entry in answer(server, store_of(server).history())
    ]


def test_open_entries_are_those_that_have_not_ended(server: VirtualServer) -> None:
    """What was running or given up is recalled, oldest first; what was done or gone is not."""
    entries = [_entry(9 - number, outcome=outcome) for number, outcome in enumerate(Outcome)]
    answer(server, store_of(server).write(entries))
    expected = [Outcome.ABORTED, Outcome.RUNNING]
    stored = answer(server, store_of(server).open())
    assert expected == [entry.outcome for entry in stored.open_entries]


@pytest.mark.parametrize("column", ["items", "batches", "batch_ms", "failures"])
def test_numbers_that_leave_no_room(
    virtual_server: MakeServer, caplog: pytest.LogCaptureFixture, column: str
) -> None:
    """An earlier run with the largest number is left out: nothing could be added to it."""
    old, server = virtual_server(), virtual_server()
    answer(old, store_of(old).open())
    answer(old, store_of(old).write([_entry(update="work", outcome=Outcome.RUNNING)]))
    old.pools["master"].connection.execute(f"UPDATE bgthrottle_history SET {column} = {2**63 - 1}")
    queued(restarted(old, server), "work")
    server.load({"sleep": "1s"})
    server.start()
    server.advance(130)
    assert not [line for line in caplog.messages if "internal error" in line]
    sql = f"SELECT batches FROM bgthrottle_history WHERE {column} < 1000000"
    ((batches,),) = rows(server, sql)
    assert batches > 50


def test_history_is_bounded(server: VirtualServer) -> None:
    """Of more than a thousand entries the oldest are forgotten; the newest come first."""
    answer(server, store_of(server).write(_entry(number) for number in range(1005)))
    history = answer(server, store_of(server).history())
    assert 1000 == MOST_ENTRIES == len(history)
    assert ("u1004", "u5") == (history[0].update, history[-1].update)
    assert [(1000,)] == rows(server, "SELECT COUNT(*) FROM bgthrottle_history")


_BROKEN = [
    """waited_ms = '{"pace": NaN}'""",
    """waited_ms = '{"pace": 1e999}'""",
    """waited_ms = '{"pace": {}}'""",
    "waited_ms = '{}' || x'00'",
    "waited_ms = x'7b7d'",
    "started_ms = 9e999",
    "started_ms = 'then'",
    "ended_ms = 9e999",
    "batch_ms = 'long'",
    "items = 0.5",
    "failures = x'00'",
    "last_failure = x'00'",
    "first_progress = x'7b7d'",
    "progress_per_item = 'much'",
    "progress_per_item = 9e999",
    "database_name = x'00'",
]


@pytest.mark.parametrize("change", ["waited_ms = '{'", "waited_ms = '[1]'", *_BROKEN])
def test_entry_that_cannot_be_read(server: VirtualServer, change: str) -> None:
    """A broken row of the history is told and skipped: it must not hold all updates at a start."""
    entries = [_entry(0, outcome=Outcome.RUNNING), _entry(1, outcome=Outcome.RUNNING)]
    answer(server, store_of(server).write(entries))
    sql = f"UPDATE bgthrottle_history SET {change} WHERE update_name = 'u0'"
    server.pools["master"].connection.execute(sql)
    stored = answer(server, store_of(server).open())
    assert (entries[1],) == stored.open_entries
    assert stored.unreadable[0].startswith("history of u0 in ")
    shown = answer(server, store_of(server).history())
    # Nobody is told of the first progress.
    assert len(shown) == (2 if "first_progress" in change else 1)
    assert entries[1] == shown[0]


# --- the week ---


def test_hours_are_read_as_they_were_written(server: VirtualServer) -> None:
    """Each hour of the week is one row, and what is written again replaces it."""
    hours = [SeenHour(0, 2923, 60.25, 0.0, 0.0), SeenHour(167, 2923, 3600.0, 3599.999, 7200.0)]
    answer(server, store_of(server).write([], [SeenHour(0, 1), *hours]))
    assert tuple(hours) == answer(server, store_of(server).open()).hours


@pytest.mark.parametrize(
    "change",
    ["week = 'x'", "watched_ms = -1", "hour_of_week = 168", "hour_of_week = -1", "requests = 0.5"],
)
def test_hour_that_cannot_be_read(server: VirtualServer, change: str) -> None:
    """A broken row of the week is skipped: it is seen again."""
    answer(server, store_of(server).write([], [SeenHour(0, 1, 5.0), SeenHour(1, 1, 5.0)]))
    sql = f"UPDATE bgthrottle_load SET {change} WHERE hour_of_week = 0"
    server.pools["master"].connection.execute(sql)
    stored = answer(server, store_of(server).open())
    assert ((SeenHour(1, 1, 5.0),), 1) == (stored.hours, len(stored.unreadable))


def test_more_present_than_watched(server: VirtualServer) -> None:
    """A share is none above 1, whatever is in the table."""
    answer(server, store_of(server).write([], [SeenHour(0, 1, 5.0, 9.0)]))
    assert (SeenHour(0, 1, 5.0, 5.0),) == answer(server, store_of(server).open()).hours


def test_profile_outlives_a_restart_with_its_pace(server: VirtualServer) -> None:
    """An override to a profile brings the adaptive pace also when it is read again."""
    written = {"profile": "finish"}
    override = _lever(kind=LeverKind.OVERRIDE, written=written)
    answer(server, store_of(server).change([override], [], None))
    (stored,) = answer(server, store_of(server).open()).levers
    assert Settings(profile="finish", pace=Adaptive()) == stored.settings
