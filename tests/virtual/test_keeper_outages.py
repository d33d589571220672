"""What the keeper tells after outages: databases that are silent."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from prometheus_client import REGISTRY
from twisted.internet.defer import Deferred

from harness.virtual import VirtualServer, Work
from tests.virtual.kept import queued, rows

MakeServer = Callable[..., VirtualServer]

_HISTORY = "SELECT update_name, outcome, batches FROM bgthrottle_history ORDER BY started_ms"


@contextmanager
def _asked(server: VirtualServer, database: str) -> Iterator[dict[str, list[float]]]:
    """When a database was asked what."""
    times: dict[str, list[float]] = defaultdict(list)
    pool = server.pools[database]
    run: Any = pool.runInteraction

    async def noted(description: str, *arguments: Any) -> Any:
        times[description].append(server.clock.monotonic())
        return await run(description, *arguments)

    with patch.object(pool, "runInteraction", noted):
        if server.api.run_db_interaction == run:
            with patch.object(server.api, "run_db_interaction", noted):
                yield times
        else:
            yield times


def _metric(name: str, database: str = "master") -> float | None:
    labels = {"server_name": "virtual.test", "database_name": database}
    return REGISTRY.get_sample_value(f"synapse_bgthrottle_{name}", labels)


def _queue_work_elsewhere(server: VirtualServer, items: int) -> Work:
    work = Work(server, items, cost_ms=1)
    work.database = "state"
    server.pools["state"].queue("other", work)
    return work


def test_silent_database_keeps_no_other_from_being_looked_at(virtual_server: MakeServer) -> None:
    """It is asked once, and told once it answers; others are looked at and written as ever."""
    server = virtual_server(databases=("master", "state"))
    work, other = queued(server, "work", 20_000), _queue_work_elsewhere(server, 300)
    server.load({"sleep": 0})
    server.pools["state"].silent = silent = list[Deferred[None]]()
    with _asked(server, "state") as asked:
        server.start()
        server.start("state")
        server.advance(120)
    assert [("work", "done", len(work.sizes))] == rows(server, _HISTORY)
    assert 1 == len(asked["bgthrottle_queue"])
    server.pools["state"].silent = None
    for question in silent:
        question.callback(None)
    server.advance(600)
    assert ("other", "done", len(other.sizes)) == rows(server, _HISTORY)[-1]
    assert [] == server.clock.reactor.getDelayedCalls()


def test_silent_main_database_keeps_no_other_from_being_looked_at(
    virtual_server: MakeServer,
) -> None:
    """Nothing can be written then, once at a time; what ends is seen, and is written later."""
    server = virtual_server(databases=("master", "state"))
    other = _queue_work_elsewhere(server, 20_000)
    server.load({"sleep": 0})
    server.advance(2)
    server.pools["master"].silent = silent = list[Deferred[None]]()
    with _asked(server, "master") as asked:
        server.start("state")
        server.advance(120)
    assert 0 == _metric("pending_updates", "state")
    assert [1, 1] == [len(asked[name]) for name in ("bgthrottle_queue", "bgthrottle_store")]
    server.pools["master"].silent = None
    for question in silent:
        question.callback(None)
    server.advance(600)
    assert ("other", "done", len(other.sizes)) == rows(server, _HISTORY)[-1]
    assert [] == server.clock.reactor.getDelayedCalls()
