"""Real servers: made once with data, copied for each test, ended whatever happens."""

import re
import shutil
import sys
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import attrs
import pytest

from testbed import waiting
from testbed.faults import sqlite_data
from testbed.faults.misbehaving_worlds import OddSource
from testbed.faults.reindex_worlds import synapse_database
from testbed.faults.restarts import API
from testbed.servers.browser import Browser
from testbed.servers.forks import ForkServer, is_possible
from testbed.servers.matrix import MatrixClient
from testbed.servers.postgres import PostgresServer
from testbed.servers.process import SynapseProcess, ends_with_us
from testbed.servers.server import SynapseServer
from tests.end_to_end.databases import postgres_world, templates
from tests.end_to_end.databases.templates import Template
from tests.end_to_end.page.page_world import World

QUEUE = "SELECT update_name FROM background_updates ORDER BY ordering, update_name"


@pytest.fixture(scope="session", autouse=True)
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Servers are forked from a process that has imported Synapse, where that is possible."""
    if not is_possible():
        yield
        return
    command = ends_with_us(sys.executable, "-m", "testbed.servers.forks")
    SynapseProcess.forks = ForkServer(tmp_path_factory.mktemp("forks"), command)
    yield
    SynapseProcess.forks.stop()
    SynapseProcess.forks = None


@pytest.fixture(autouse=True)
def own_servers() -> None:
    """The report of a failure has nothing of the servers of earlier tests."""
    waiting.forget_ended()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    call: pytest.CallInfo[None],
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failure is reported with the state of the servers."""
    report = yield
    is_told = call.excinfo is not None and call.excinfo.errisinstance(waiting.HangError)
    if report.failed and not is_told:
        report.sections.append(("servers", waiting.states()))
    return report


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Template:
    """What `make_server` copies."""
    return templates.template(tmp_path_factory)


@attrs.define
class RealServer:
    """A server on a copy of the template."""

    synapse: SynapseServer
    admin: MatrixClient


@pytest.fixture
def make_server(template: Template, tmp_path: Path) -> Iterator[Callable[..., RealServer]]:
    """Makes servers, not yet started; ends them all."""
    made: list[SynapseServer] = []

    def make(
        module_config: Mapping[str, Any] | None,
        extra: Mapping[str, Any] | None = None,
        metrics_port: int | None = None,
    ) -> RealServer:
        folder = tmp_path / f"server{len(made)}"
        synapse = SynapseServer(folder, module_config, extra, metrics_port=metrics_port)
        made.append(synapse)
        shutil.copy(template.database, synapse.database_path)
        return RealServer(synapse, MatrixClient(synapse.url, template.token))

    yield make
    for synapse in made:
        synapse.stop()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One for all tests of a file; each test opens the page anew, which signs out."""
    with Browser(tmp_path_factory.mktemp("browser")) as browser:
        yield browser


@pytest.fixture
def make_world(make_server: Callable[..., RealServer], browser: Browser) -> Callable[..., World]:
    """Makes a server with a long update pending, starts it, and sits down before its page."""

    def make(config: dict[str, Any], *more: str) -> World:
        server = make_server(config)
        sqlite_data.queue_search_reindex(server.synapse.database_path, ordering=-1)
        for name in more:
            sqlite_data.queue_update(server.synapse.database_path, name, {}, ordering=2)
        server.synapse.start()
        return World(server.synapse, server.admin, browser)

    return make


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """A cluster with the database `template`: Synapse's schema, its updates all pending."""
    folder = tmp_path_factory.mktemp("postgres") / "cluster"
    templates.copy_cluster(tmp_path_factory, folder)
    with PostgresServer(folder) as postgres:
        yield postgres


@pytest.fixture(scope="session")
def odd_source(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> OddSource:
    """Two databases of a server, with nothing pending, for updates that are made for a test."""
    return OddSource.make(postgres, tmp_path_factory.mktemp("odd"))


@pytest.fixture
def name(postgres: PostgresServer, request: pytest.FixtureRequest) -> str:
    """A fresh database."""
    name: str = re.sub(r"\W", "_", request.node.name)[:60]
    postgres.create_database(name, templates.TEMPLATE)
    return name


@pytest.fixture(scope="module")
def plain_postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """A cluster of the file's own: a table to work on, a role without privileges, no Synapse."""
    with postgres_world.made(tmp_path_factory.mktemp("plain") / "cluster") as postgres:
        yield postgres


@pytest.fixture
def others(plain_postgres: PostgresServer) -> Iterator[postgres_world.Others]:
    """Makes sessions, and ends them."""
    with ExitStack() as stack:
        yield postgres_world.Others(plain_postgres, stack)


@pytest.fixture
def asked(plain_postgres: PostgresServer) -> Iterator[postgres_world.Asked]:
    """The database, asked by the role that owns it."""
    with postgres_world.connected(plain_postgres) as connection:
        yield postgres_world.Asked(connection)


@attrs.define
class Api:
    """A server with dozens of real updates pending, and its administrator.

    Attributes:
        query: asks the database itself.
        execute: changes it.
    """

    synapse: SynapseServer
    query: Callable[[str], list[tuple[Any, ...]]]
    execute: Callable[[str], None]
    admin: MatrixClient = attrs.field(init=False)

    def get(self, path: str) -> Any:
        return self.admin.call("GET", f"{API}/{path}")

    def post(self, action: str, **body: Any) -> Any:
        return self.admin.call("POST", f"{API}/{action}", body)

    def database(self) -> Any:
        (status,) = self.get("status")["databases"]
        return status

    def state(self) -> tuple[str, str]:
        """State, and why."""
        status = self.database()
        decision = (status["current"] or {}).get("decision") or {"reason": ""}
        return status["state"], decision["reason"]

    def start(self) -> None:
        self.synapse.start()
        if not hasattr(self, "admin"):
            self.admin = MatrixClient.register(self.synapse.url, "admin", admin=True)

    def finish(self) -> None:
        """From now on without a rest."""
        self.post("override", update="*", settings={"profile": "finish"})

    def pending(self) -> int:
        return len(self.query(QUEUE))


@pytest.fixture(params=["sqlite", "postgres"])
def make_api(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[..., Api]]:
    """Makes one server, not yet started; ends it."""
    made: list[Api] = []

    def make(module_config: Any, settings: Mapping[str, Any] | None = None) -> Api:
        folder = tmp_path / "server"
        if request.param == "sqlite":
            synapse = SynapseServer(folder, module_config, settings)
            path = synapse.database_path
            api = Api(
                synapse,
                lambda sql: sqlite_data.rows(path, sql),
                lambda sql: sqlite_data.change(path, sql),
            )
        else:
            postgres: PostgresServer = request.getfixturevalue("postgres")
            name: str = request.getfixturevalue("name")
            extra = {**synapse_database(postgres, name), **(settings or {})}

            def query(sql: str) -> list[tuple[Any, ...]]:
                with postgres.session(name) as cursor:
                    cursor.execute(sql)
                    return list(cursor.fetchall())

            def execute(sql: str) -> None:
                with postgres.session(name) as cursor:
                    cursor.execute(sql)

            api = Api(SynapseServer(folder, module_config, extra), query, execute)
        made.append(api)
        return api

    yield make
    for api in made:
        api.synapse.stop()
