"""The metrics of servers in virtual time: two servers, the end of one, and the cost."""

import gc
import time
from typing import Any

from synapse_bgthrottle.homeserver.prometheus import update_metrics as metrics
from testbed.observe.metrics_scrape import Scrape
from testbed.virtual.server import VirtualServer, Work
from tests.integration.metrics.server_metrics import MakeServer, load, make, size, value


def end(server: VirtualServer) -> None:
    """What a server that shuts down does with its timers."""
    calls: Any = server.clock.reactor.getDelayedCalls()
    for call in calls:
        call.cancel()


def test_two_servers_in_one_process(virtual_server: MakeServer) -> None:
    """Each has its own series; one does not touch the other's."""
    one = make(virtual_server, {"sleep": "1s"}, "one.test")
    two = make(virtual_server, {"sleep": "1s"}, "two.test")
    one.pools["master"].queue("of_one", Work(one, 10**9, cost_ms=1))
    one.start()
    one.advance(5)  # reads the clock of the other, which stands still
    two.advance(5)
    assert 1 == value("current_update", "one.test", update_name="of_one")
    assert value("current_update", "two.test", update_name="of_one") is None
    assert 0 == value("pending_updates", "two.test")


def gone(server_name: str) -> VirtualServer:
    """A server that has worked, and has ended; its last reference."""
    server = VirtualServer()
    load(server, {}, server_name)
    with server.in_charge():
        server.pools["master"].queue("work", Work(server, 10**9, cost_ms=1))
        server.start()
        server.advance(5)
    assert 0 < size(server_name)
    end(server)
    return server


def test_freed() -> None:
    """Nothing of a server that is gone is kept, nor shown."""
    server = gone("gone.test")
    del server
    gc.collect()
    assert 0 == size("gone.test")


def test_freed_amid_anything() -> None:
    """The garbage collector may come while the same thread holds the lock of a metric."""
    server = gone("locked.test")
    with metrics.ITEMS._lock:
        del server
        gc.collect()
    assert 0 == size("locked.test")


def test_a_server_that_comes_back(virtual_server: MakeServer) -> None:
    """A second server of the same name takes over, and the first one's end takes nothing away."""
    server = VirtualServer()
    load(server, {}, "back.test")
    with server.in_charge():
        server.pools["master"].queue("before", Work(server, 10**9, cost_ms=1))
        server.start()
        server.advance(5)
    again = make(virtual_server, {}, "back.test")
    again.pools["master"].queue("after", Work(again, 10**9, cost_ms=1))
    again.start()
    again.advance(5)
    assert value("current_update", "back.test", update_name="before") is None
    end(server)
    del server
    gc.collect()
    again.advance(5)
    assert 1 == value("current_update", "back.test", update_name="after")
    assert 0 < (value("items_total", "back.test") or 0)


def test_a_worker_shows_nothing(virtual_server: MakeServer) -> None:
    """Where no updates run there are names without values."""
    make(virtual_server, {}, "worker.test", worker_app="synapse.app.generic_worker")
    assert 0 == size("worker.test")
    assert "synapse_bgthrottle_pending_updates" in Scrape.of().families


def test_cost_of_a_decision(virtual_server: MakeServer) -> None:
    """What a decision adds is far below a ten-thousandth of a core at a hundred a second."""
    server = make(virtual_server, {"sleep": "1h"})
    server.pools["master"].queue("work", Work(server, 10**9, cost_ms=1))
    server.start()
    server.advance(60)
    metrics = server.api.module._parts.iterations.metrics
    decision = server.api.module._parts.throttle.updates["master", "work"].decision
    took_s = []
    for _ in range(20):
        begin_s = time.thread_time()
        for _ in range(1000):
            metrics.decided("master", "work", decision)
        took_s.append((time.thread_time() - begin_s) / 1000)
    assert min(took_s) < 10e-6
