"""The history has every update that ran, at whatever moment it is read."""

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, ensureDeferred

from testbed.virtual.server import VirtualServer, Work

MakeServer = Callable[..., VirtualServer]


def test_while_it_is_written(virtual_server: MakeServer) -> None:
    """An update that ended is there before, while and after that is written."""
    server = virtual_server()
    server.load({"sleep": 0})
    server.pools["master"].queue("work", Work(server, 100, cost_ms=1))
    pool = server.pools["master"]
    run = server.api.run_db_interaction
    writes: list[Deferred[None]] = []

    async def run_slowly(desc: str, func: Callable[..., Any], *args: Any) -> Any:
        result = await run(desc, func, *args)
        if func.__name__ == "_write":
            writes.append(Deferred())
            await writes[-1]
        return result

    async def run_before(desc: str, func: Callable[..., Any], *args: Any) -> Any:
        """As of a moment before the write."""
        if func.__name__ == "_history":
            return [], []
        return await run_slowly(desc, func, *args)

    server.api.run_db_interaction = run_before
    service = server.resources["/_synapse/bgthrottle"]._endpoints._service
    seen: list[Any] = []

    def look() -> None:
        ensureDeferred(service.history(10, None, None)).addCallback(seen.append)

    server.start()
    for _ in range(30):
        server.advance(0.1)
        look()
    assert 1 == len(writes)
    assert pool.connection.execute("SELECT COUNT(*) FROM bgthrottle_history").fetchone() == (1,)
    assert all(["work"] == [entry.update for entry in entries] for entries in seen)
    assert "done" == seen[-1][0].outcome
