"""Synapse's own switch for background updates, used at bad moments."""

import sqlite3
from collections.abc import Callable
from typing import Any

import pytest
from prometheus_client import REGISTRY

from testbed.virtual.server import VirtualServer, Work
from tests.integration.virtual_module import run, service_of, stated

MakeServer = Callable[..., VirtualServer]

GONE = sqlite3.OperationalError("the database system is shutting down")


def put_on(server: VirtualServer) -> list[Any]:
    """As its admin API does; how the loop ends, once it does."""
    ended: list[Any] = []
    server.pools["master"].updates.enabled = True
    server.start().addBoth(ended.append)
    return ended


def metric(name: str, **labels: str) -> float | None:
    labels |= {"server_name": "virtual.test", "database_name": "master"}
    return REGISTRY.get_sample_value(f"synapse_bgthrottle_{name}", labels)


@pytest.mark.parametrize("off_s", [0, 5])
def test_between_two_updates_amid_an_outage(virtual_server: MakeServer, off_s: float) -> None:
    """The last batch's end fails, and updates are disabled and enabled: none is given up."""
    server = virtual_server()
    pool = server.pools["master"]
    first, second = Work(server, 100, cost_ms=1), Work(server, 100, cost_ms=1)

    async def ends_in_an_outage(progress: dict[str, Any], batch_size: int) -> int:
        pool.broken = GONE
        return await first(progress, batch_size)

    server.load({})
    pool.queue("first", ends_in_an_outage)
    pool.queue("second", second)
    ended: list[Any] = []
    server.start().addBoth(ended.append)
    server.advance(60)
    pool.updates.register_background_update_handler("first", Work(server, 100, cost_ms=1))
    if off_s:
        pool.updates.enabled = False
        server.advance(off_s)
        put_on(server)
    server.advance(600)
    pool.broken = None
    server.advance(600)
    assert (0, [None]) == (second.left_items, ended)


@pytest.mark.parametrize("at", [3, 4])
def test_failures_of_the_loop_before(virtual_server: MakeServer, at: int) -> None:
    """Put off amid a batch that fails: Synapse's next loop counts from none, and so do we."""
    server = virtual_server()
    work = Work(server, 10**9, cost_ms=1)
    work.fail = 10**6
    pool = server.pools["master"]

    async def batch(progress: dict[str, Any], batch_size: int) -> int:
        if len(work.starts_s) + 1 == at:
            pool.updates.enabled = False
        return await work(progress, batch_size)

    server.load({"sleep": 0})
    pool.queue("work", batch)
    server.start()
    server.advance(200)
    assert at == len(work.starts_s)
    ended = put_on(server)
    server.advance(1000)
    tries_s = [start_s - 200 for start_s in work.starts_s[at:]]
    assert [0, 5, 20, 50, 110] == pytest.approx(tries_s, abs=1)
    assert "aborting" in str(ended[0].value)


def test_an_answer_of_an_hour_ago(virtual_server: MakeServer) -> None:
    """A database that answered while updates were disabled, and is gone since, is asked anew."""
    server = virtual_server()
    work = Work(server, 10**9, cost_ms=1)
    pool = server.pools["master"]
    run(server, {"sleep": "2s"}, work, 5)
    pool.silent = []
    server.advance(10)
    pool.updates.enabled = False
    server.advance(5)
    questions, pool.silent = pool.silent, None
    for question in questions:
        question.callback(None)
    server.advance(3600)
    before = len(work.starts_s)
    pool.broken = GONE
    put_on(server)
    server.advance(60)
    assert before == len(work.starts_s)
    pool.broken = None
    server.advance(10)
    assert before < len(work.starts_s)


def test_what_ends_while_it_is_off(virtual_server: MakeServer) -> None:
    """An index build goes on to its end; the metrics tell what is left, and who gave it up."""
    server = virtual_server()
    pool = server.pools["master"]

    async def build(_: dict[str, Any], __: int) -> int:
        await server.clock.sleep(3600)
        await pool.updates._end_background_update("build")
        return 1

    server.load({"restart_aborted": "off"})
    pool.queue("build", build, one_shot=True)
    pool.queue("next", Work(server, 100, cost_ms=1))
    server.start()
    server.advance(1800)
    pool.updates.enabled = False
    server.advance(3600)
    assert (1, 1) == (metric("held", reason="disabled"), metric("paused"))
    pool.broken = GONE
    server.advance(600)
    (aborted,) = put_on(server)  # somebody is too early
    assert "aborting" in str(aborted.value)
    pool.broken = None
    server.advance(3600)
    assert (1, 0) == (metric("aborted"), metric("held", reason="disabled"))


@pytest.mark.parametrize("place", ["finish", "items"])
def test_an_error_after_the_last_batch(virtual_server: MakeServer, place: str) -> None:
    """What goes on with the updates ends with them."""
    server = virtual_server()
    work = Work(server, 300, cost_ms=1)
    module = server.load({"sleep": "1s"})
    owner: Any = (
        module._parts.throttle if place == "finish" else module._parts.host.databases["master"]
    )
    name = "finish" if place == "finish" else "items_done"
    original = getattr(owner, name)

    def fail(*arguments: Any, **options: Any) -> Any:
        if not work.left_items:
            raise ZeroDivisionError("an error of our own")
        return original(*arguments, **options)

    setattr(owner, name, fail)
    server.pools["master"].queue("work", work)
    server.start()
    server.advance(3600)
    assert 0 == work.left_items
    assert "idle" == stated(server, service_of(server).status(), 3)["databases"][0]["state"]
    assert not module._parts.throttle.databases["master"].is_open
    assert [] == server.timers()


def test_a_version_without_timers(virtual_server: MakeServer) -> None:
    """The database is asked all the same: an outage of ten minutes aborts nothing."""
    server = virtual_server()
    del server.api.delayed_background_call
    work = Work(server, 10**9, cost_ms=1)
    run(server, {"duty_cycle": "50%"}, work, 30)
    before = len(work.starts_s)
    server.pools["master"].broken = GONE
    server.advance(600)
    server.pools["master"].broken = None
    server.advance(60)
    assert before < len(work.starts_s)


def test_a_failed_build_that_is_removed(virtual_server: MakeServer) -> None:
    """It fails while updates are disabled, and somebody removes it: it is not told as done."""
    server = virtual_server()
    pool = server.pools["master"]

    async def build(*_: Any) -> int:
        await server.clock.sleep(600)
        raise ZeroDivisionError("a deadlock")

    server.load({})
    pool.queue("build", build, one_shot=True)
    server.start()
    server.advance(300)
    pool.updates.enabled = False
    server.advance(360)
    with pool.connection:
        pool.connection.execute("DELETE FROM background_updates")
    server.advance(1300)
    (entry,) = stated(server, service_of(server).history(9, None, None), 3)
    assert ("gone", 1) == (entry["outcome"], entry["failures"])
