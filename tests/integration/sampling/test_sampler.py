"""The sampler on a virtual server: when it takes samples, and its reports of trouble."""

import sqlite3
from collections import Counter
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import attrs
import pytest

from synapse_bgthrottle.core.config.signal_settings import SignalSettings
from synapse_bgthrottle.core.signals.samples import DatabaseSample, ProcessSample, Sample
from synapse_bgthrottle.homeserver.internals import guard
from synapse_bgthrottle.homeserver.internals.server import Homeserver
from synapse_bgthrottle.homeserver.sampling.sampler import Sampler
from testbed.virtual.server import VirtualServer

MakeServer = Callable[..., VirtualServer]


@attrs.define
class Sampled:
    """A server, its sampler, and what that told."""

    server: VirtualServer
    sampler: Sampler
    told: list[tuple[str | None, Any]]
    errors: list[str]

    def of(self, kind: type[Sample]) -> list[Any]:
        return [sample for _, sample in self.told if isinstance(sample, kind)]

    def timers(self) -> int:
        return len(self.server.clock.reactor.getDelayedCalls())


def sampled(server: VirtualServer, settings: SignalSettings | None = None) -> Sampled:
    told: list[tuple[str | None, Any]] = []
    errors: list[str] = []
    sampler = Sampler(
        Homeserver(server.api, lambda where, error: errors.append(f"{where}: {error}")),
        settings or SignalSettings(),
        lambda name, sample: told.append((name, sample)),
    )
    return Sampled(server, sampler, told, errors)


@pytest.fixture
def subject(virtual_server: MakeServer) -> Sampled:
    """A sampler of a server with one database."""
    return sampled(virtual_server())


def test_nothing_while_nothing_is_pending(subject: Sampled) -> None:
    """Before the first iteration there is no timer, and nothing is looked at."""
    subject.server.advance(60)
    assert (0, []) == (subject.timers(), subject.told)


def test_an_open_iteration(subject: Sampled) -> None:
    """The process is looked at four times a second, the database once."""
    subject.sampler.begin("master", "an_update")
    subject.server.advance(9.9)
    assert 40 == len(subject.of(ProcessSample))
    assert 10 == len(subject.of(DatabaseSample))
    assert {None, "master"} == {name for name, _ in subject.told}
    assert [] == subject.errors
    assert [] == subject.server.failures


def test_the_end(subject: Sampled) -> None:
    """The database is left alone at once, and after a second no timer is left."""
    subject.sampler.begin("master", "an_update")
    subject.server.advance(2.1)
    subject.sampler.end("master")
    subject.told.clear()
    subject.server.advance(0.9)
    assert 4 == len(subject.of(ProcessSample)) == len(subject.told)
    subject.server.advance(60)
    assert 0 == subject.timers()
    assert 4 == len(subject.told)


def test_from_one_iteration_to_the_next(subject: Sampled) -> None:
    """Iterations that follow each other are one chain of timers, with no more questions."""
    for _ in range(100):
        subject.sampler.begin("master", "an_update")
        subject.server.advance(0.05)
        subject.sampler.end("master")
        subject.sampler.begin("master", "another")
        subject.server.advance(0.05)
        subject.sampler.end("master")
    assert 1 == subject.timers()
    assert 40 == pytest.approx(len(subject.of(ProcessSample)), abs=1)
    assert 10 == pytest.approx(len(subject.of(DatabaseSample)), abs=1)


def test_begins_anew(subject: Sampled) -> None:
    """After the timers have ended, the next iteration starts them."""
    subject.sampler.begin("master", "an_update")
    subject.sampler.end("master")
    subject.server.advance(60)
    subject.told.clear()
    subject.sampler.begin("master", "an_update")
    subject.server.advance(1)
    assert 5 == len(subject.of(ProcessSample))


def test_two_databases(virtual_server: MakeServer) -> None:
    """Each is asked while an iteration of its own is open; the process is looked at once."""
    subject = sampled(virtual_server(databases=("master", "state")))
    subject.sampler.begin("master", "an_update")
    subject.sampler.begin("state", "another")
    subject.server.advance(0.9)
    subject.sampler.end("state")
    subject.server.advance(2)
    assert 12 == len(subject.of(ProcessSample))
    names = [name for name, sample in subject.told if isinstance(sample, DatabaseSample)]
    assert ["master", "state", "master", "master"] == names


def test_all_databases_where_clients_are_elsewhere(virtual_server: MakeServer) -> None:
    """Workers' transactions are told from ours in all databases together."""
    server = virtual_server(databases=("master", "state"))
    server.config.redis = SimpleNamespace(redis_enabled=True)
    subject = sampled(server)
    subject.sampler.begin("state", "an_update")
    subject.server.advance(2)
    names = [name for name, sample in subject.told if isinstance(sample, DatabaseSample)]
    assert {"master": 3, "state": 3} == Counter(names)
    samples = [
        (name, sample) for name, sample in subject.told if isinstance(sample, DatabaseSample)
    ]
    assert all(sample.is_of_clients is (name == "master") for name, sample in samples)
    subject.sampler.end("state")
    subject.server.advance(60)
    assert 0 == subject.timers()


def test_transactions_of_a_batch(subject: Sampled) -> None:
    """While a batch runs, those that have ended on behalf of whoever runs it are counted."""
    usage = SimpleNamespace(db_txn_count=3)
    caller = SimpleNamespace(get_resource_usage=lambda: usage)
    subject.sampler.begin("master", "an_update")
    subject.server.advance(0.5)
    with patch.object(guard, "current_context", lambda: caller):
        subject.sampler.batch_begins("master")
    subject.server.advance(1)
    usage.db_txn_count = 4
    subject.server.advance(1)
    subject.sampler.end("master")
    subject.sampler.begin("master", "an_update")
    subject.server.advance(1)
    told = [sample.batch_transactions for sample in subject.of(DatabaseSample)]
    assert [None, 3, 4, None] == told


def test_a_late_timer(subject: Sampled) -> None:
    """How late the reactor called is told, and is nothing the next time."""
    subject.sampler.begin("master", "an_update")
    subject.server.advance(0.3)
    subject.server.clock.reactor.rightNow = 0.8
    subject.server.clock.reactor.advance(0)
    subject.server.advance(0.25)
    assert [0, 0, 0.3, 0] == [
        pytest.approx(sample.timer_late_s) for sample in subject.of(ProcessSample)
    ]


def test_a_database_that_does_not_answer(virtual_server: MakeServer) -> None:
    """It is asked once; after 3 s, and then every second, there is a problem, until it answers."""
    subject = sampled(virtual_server(), SignalSettings(disk_path="/"))
    pool = subject.server.pools["master"]
    pool.silent = []
    subject.sampler.begin("master", "an_update")
    subject.server.advance(2.9)
    assert [] == subject.of(DatabaseSample)
    subject.server.advance(2)
    assert ["no answer for 3 s", "no answer for 4 s"] == [
        sample.problem for sample in subject.of(DatabaseSample)
    ]
    assert 1 == len(pool.silent)
    late, pool.silent = pool.silent[0], None
    late.callback(None)
    sample = subject.of(DatabaseSample)[-1]
    assert ("", 0) == (sample.problem, sample.query_s)
    assert 4.9 == pytest.approx(sample.pool_wait_s)
    subject.server.advance(1)
    assert "" == subject.of(DatabaseSample)[-1].problem


def test_a_database_that_is_gone(subject: Sampled) -> None:
    """What it complains of is a problem in a sample, and nothing that fails."""
    subject.server.pools["master"].broken = RuntimeError("connection refused\nis it running?")
    subject.sampler.begin("master", "an_update")
    subject.server.advance(2)
    assert ["connection refused"] * 3 == [sample.problem for sample in subject.of(DatabaseSample)]
    assert [] == subject.server.failures


def test_a_statement_that_fails(subject: Sampled) -> None:
    """It is caught within the interaction, which Synapse would try again otherwise."""

    def fail(*_: object) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    pool = subject.server.pools["master"]
    pool.transaction_execute = fail
    subject.sampler.begin("master", "an_update")
    subject.server.advance(0)
    assert ["disk I/O error"] == [sample.problem for sample in subject.of(DatabaseSample)]


def test_an_observer_that_fails(virtual_server: MakeServer) -> None:
    """An error of ours is told, and sampling goes on."""
    errors: list[str] = []

    def fail(*_: object) -> None:
        raise RuntimeError("an error of ours")

    server = virtual_server()
    sampler = Sampler(
        Homeserver(server.api, lambda where, error: errors.append(where)), SignalSettings(), fail
    )
    sampler.begin("master", "an_update")
    server.advance(1)
    assert 5 + 2 == errors.count("with a sample")
    assert [] == server.failures


def test_a_server_without_timers(virtual_server: MakeServer) -> None:
    """Where neither the API nor the clock can call later, there are no samples, and no errors."""
    server = virtual_server()
    del server.api.delayed_background_call
    server.api._hs = None
    subject = sampled(server)
    subject.sampler.begin("master", "an_update")
    subject.sampler.end("master")
    server.advance(10)
    assert ([], [], 0) == (subject.told, subject.errors, subject.timers())


def test_a_server_before_delayed_calls(virtual_server: MakeServer) -> None:
    """Before Synapse 1.90 the server's clock is asked instead."""
    server = virtual_server()
    delayed = server.api.delayed_background_call
    del server.api.delayed_background_call

    def call_later(delay_s: float, run: Any, description: str, process: Any) -> Any:
        return delayed(delay_s * 1000, run, description, process, desc=description)

    async def run_as_background_process(_: str, process: Any) -> None:
        await process()

    subject = sampled(server)
    server.clock.call_later = call_later  # type: ignore[attr-defined]
    with patch("synapse.module_api.run_as_background_process", run_as_background_process):
        subject.sampler.begin("master", "an_update")
        server.advance(1)
    assert 5 == len(subject.of(ProcessSample))


def test_a_server_that_ends(subject: Sampled) -> None:
    """A clock that takes no more calls ends the sampling."""

    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("Cannot start delayed call. Clock has been shutdown")

    subject.sampler.begin("master", "an_update")
    subject.server.advance(0.3)
    subject.server.api.delayed_background_call = refuse
    subject.server.advance(10)
    assert 0 == subject.timers()
    assert ([], []) == (subject.errors, subject.server.failures)
