"""A whole upgrade: an old Synapse's database, updated by the newest version."""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import attrs
import pytest

from compatibility import environments
from compatibility.targets import TARGETS
from testbed.faults import sqlite_data
from testbed.faults.reindex_worlds import synapse_database
from testbed.observe import batch_log
from testbed.servers.matrix import MatrixClient
from testbed.servers.postgres import PostgresServer
from testbed.servers.server import SynapseServer
from testbed.servers.versions import SYNAPSE, is_at_least
from testbed.waiting import wait_until

# Of old Synapses that have an environment, which `make compat` makes.
OLD = {target.synapse: environments.python_of(target) for target in TARGETS}
VERSIONS = ("1.60", "1.105")

_OURS = {
    "bgthrottle_levers",
    "bgthrottle_uses",
    "bgthrottle_history",
    "bgthrottle_load",
    "bgthrottle_learned",
}

_POSTGRES_SCHEMA = """
SELECT 'column', table_name, column_name, ordinal_position || ' ' || data_type || ' ' || is_nullable
    || ' ' || COALESCE(column_default, '') FROM information_schema.columns
    WHERE table_schema = 'public'
UNION ALL SELECT 'index', tablename, indexname, indexdef || ' ' || indisvalid
    FROM pg_indexes JOIN pg_index ON indexrelid = indexname::regclass WHERE schemaname = 'public'
UNION ALL SELECT 'constraint', conrelid::regclass::text, conname,
    pg_get_constraintdef(oid) || ' ' || convalidated
    FROM pg_constraint WHERE conrelid <> 0 AND connamespace = 'public'::regnamespace
UNION ALL SELECT 'trigger', tgrelid::regclass::text, tgname, pg_get_triggerdef(oid)
    FROM pg_trigger WHERE NOT tgisinternal
UNION ALL SELECT 'sequence', sequencename, '', data_type::text FROM pg_sequences"""
_POSTGRES_TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
_SQLITE_SCHEMA = "SELECT type, tbl_name, name, sql FROM sqlite_master"
_SQLITE_TABLES = "SELECT name FROM sqlite_master WHERE type = 'table'"

Query = Callable[[str], list[tuple[Any, ...]]]


@attrs.frozen
class Upgrade:
    """The old database, and copies of it.

    Attributes:
        copy: makes one; answers what is to be added to homeserver.yaml, and how to ask it.
    """

    copy: Callable[[SynapseServer, str], tuple[Mapping[str, Any], Query]]


def fill(url: str) -> None:
    """Users, rooms, and what people do there."""
    admin = MatrixClient.register(url, "admin", admin=True)
    people = [MatrixClient.register(url, f"user{n}", admin=False) for n in range(3)]
    room_ids = [admin.create_room(f"room {n}", f"room{n}") for n in range(3)]
    for number, user in enumerate(people):
        user_id = f"@user{number}:bgthrottle.test"
        path = f"/_matrix/client/v3/profile/{user_id}/displayname"
        user.call("PUT", path, {"displayname": f"User {number}"})
        for room_id in room_ids:
            user.join(room_id)
            base = f"/_matrix/client/v3/rooms/{room_id}"
            events = [
                user.call(
                    "PUT",
                    f"{base}/send/m.room.message/{number}-{message}",
                    {"msgtype": "m.text", "body": f"message {message} of user {number}"},
                )["event_id"]
                for message in range(10)
            ]
            user.call("PUT", f"{base}/redact/{events[0]}/r{number}", {"reason": "a mistake"})
            user.call("POST", f"{base}/receipt/m.read/{events[-1]}", {})
            thread = {"rel_type": "m.thread", "event_id": events[1]}
            content = {"msgtype": "m.text", "body": "in a thread", "m.relates_to": thread}
            user.call("PUT", f"{base}/send/m.room.message/t{number}", content)
        user.call("PUT", f"/_matrix/client/v3/user/{user_id}/account_data/test", {"a": number})
    people[0].call("POST", f"/_matrix/client/v3/rooms/{room_ids[2]}/leave", {})


def run_to_the_end(synapse: SynapseServer, query: Query, *, with_module: bool) -> set[str]:
    """The names of the updates that ran; the module's history has them too."""

    def names() -> set[str]:
        return {batch.update_name for batch in batch_log.batches(synapse.log())}

    with synapse:
        wait_until(lambda: query("SELECT COUNT(*) FROM background_updates") == [(0,)])
        if with_module:
            history = "SELECT DISTINCT update_name FROM bgthrottle_history WHERE outcome = 'done'"
            wait_until(lambda: {name for (name,) in query(history)} == names())
    assert "Error doing update" not in synapse.log()
    return names()


@pytest.fixture(params=VERSIONS)
def version(request: pytest.FixtureRequest) -> str:
    """An old one that is here."""
    version: str = request.param
    if not is_at_least(1, 150):
        pytest.skip(f"upgrades are to the newest Synapse, not to {SYNAPSE}")
    if not OLD[version].exists():
        pytest.skip(f"Synapse {version} is not here: make compat VERSIONS={version}")
    return version


@pytest.fixture(params=["sqlite", "postgres"])
def upgrade(request: pytest.FixtureRequest, version: str, tmp_path: Path) -> Upgrade:
    """A database that this version made, filled, and left with nothing pending."""
    unthrottled = {"background_updates": {"sleep_enabled": False}}
    old = tmp_path / "old"
    if request.param == "sqlite":
        synapse = SynapseServer(old, None, unthrottled, python=OLD[version])

        def copy(new: SynapseServer, label: str) -> tuple[Mapping[str, Any], Query]:
            shutil.copy(synapse.database_path, new.database_path)
            return {}, lambda sql: sqlite_data.rows(new.database_path, sql)

        query: Query = lambda sql: sqlite_data.rows(synapse.database_path, sql)  # noqa: E731
    else:
        postgres: PostgresServer = request.getfixturevalue("postgres")
        name = f"old_{version.replace('.', '_')}"
        postgres.create_database(name)
        extra = {**unthrottled, **synapse_database(postgres, name)}
        synapse = SynapseServer(old, None, extra, python=OLD[version])

        def ask(which: str) -> Query:
            def query(sql: str) -> list[tuple[Any, ...]]:
                with postgres.session(which) as cursor:
                    cursor.execute(sql)
                    return list(cursor.fetchall())

            return query

        def copy(new: SynapseServer, label: str) -> tuple[Mapping[str, Any], Query]:
            postgres.create_database(f"{name}_{label}", name)
            return synapse_database(postgres, f"{name}_{label}"), ask(f"{name}_{label}")

        query = ask(name)
    with synapse:
        fill(synapse.url)
        wait_until(lambda: query("SELECT COUNT(*) FROM background_updates") == [(0,)])
    return Upgrade(copy)


def test_as_without_us(upgrade: Upgrade, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """The same updates run, and leave the same schema, and as many rows in each table."""
    is_sqlite = "sqlite" in request.node.name
    tables_sql = _SQLITE_TABLES if is_sqlite else _POSTGRES_TABLES
    schema_sql = _SQLITE_SCHEMA if is_sqlite else _POSTGRES_SCHEMA
    schemas, counts, names = {}, {}, {}
    arms: dict[str, tuple[Any, Any]] = {
        "stock": (None, {"background_updates": {"sleep_enabled": False}}),
        "module": ({"duty_cycle": "80%", "target_duration": "50ms"}, {}),
    }
    for label, (module, extra) in arms.items():
        folder = tmp_path / label
        where, query = upgrade.copy(SynapseServer(folder, module), label)
        synapse = SynapseServer(folder, module, {**extra, **where})
        names[label] = run_to_the_end(synapse, query, with_module=module is not None)
        tables = {table for (table,) in query(tables_sql)}
        assert (_OURS if module else set()) == {t for t in tables if t.startswith("bgthrottle")}
        counts[label] = {
            table: query(f'SELECT COUNT(*) FROM "{table}"')[0][0] for table in tables - _OURS
        }
        rows = query(schema_sql)
        schemas[label] = sorted(map(str, (row for row in rows if row[1] not in _OURS)))
    assert names["stock"] == names["module"]
    assert len(names["module"]) >= 10
    assert schemas["stock"] == schemas["module"]
    assert len(schemas["module"]) > 300
    assert counts["stock"] == counts["module"]
    assert counts["module"]["events"] > 120
