"""Synapse's own BackgroundUpdater under our callbacks in virtual time: paces and settings."""

import logging
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import pytest

from synapse_bgthrottle.homeserver.iteration import Iteration
from testbed.virtual.server import VirtualServer, Work
from tests.integration.virtual_module import run

MakeServer = Callable[..., VirtualServer]


def test_duty_cycle(virtual_server: MakeServer) -> None:
    """A quarter of the time is spent in batches where a quarter was asked."""
    server = virtual_server()
    work = Work(server, 10**9, cost_ms=1.7)
    run(server, {"duty_cycle": "25%"}, work, 60)
    assert 0.25 == pytest.approx(sum(work.took_s) / 60, abs=0.01)


def test_an_overrun_is_paid_for(virtual_server: MakeServer) -> None:
    """After a batch of 10 s at 10 % the next one starts 90 s later; stock starts it after 1 s."""
    server = virtual_server()
    work = Work(server, 10**9, cost_ms=100)
    run(server, {"duty_cycle": "10%", "default_batch_size": 100}, work, 200)
    assert 10 == pytest.approx(work.took_s[0])
    assert 100 == pytest.approx(work.starts_s[1] - work.starts_s[0], abs=0.1)


def test_max_hold_is_waited_for_once_by_each(virtual_server: MakeServer) -> None:
    """Once let go an update goes on, the second in the queue too."""
    server = virtual_server()
    first, second = Work(server, 300, cost_ms=1), Work(server, 600, cost_ms=1)
    windows = [{"days": "sun", "start": "23:00", "end": "23:30"}]
    server.load({"windows": windows, "max_hold": "1h"})
    server.pools["master"].queue("first", first)
    server.pools["master"].queue("second", second)
    server.start()
    server.advance(3 * 3600)
    assert (0, 0) == (first.left_items, second.left_items)
    assert 3600 == pytest.approx(second.starts_s[0] - first.starts_s[-1], abs=60)
    assert 120 > second.starts_s[-1] - second.starts_s[0]


def test_sleep_zero_never_waits(virtual_server: MakeServer) -> None:
    """With `sleep: 0` all of the time is spent in batches."""
    server = virtual_server()
    work = Work(server, 10**9, cost_ms=1)
    run(server, {"sleep": 0}, work, 10)
    assert 10 == pytest.approx(sum(work.took_s), abs=0.2)


def test_items_per_second(virtual_server: MakeServer) -> None:
    """At 200 items/s no 10 s have more than 2000 items and a batch; none has less than 1800."""
    server = virtual_server()
    work = Work(server, 10**9, cost_ms=0.05)
    run(server, {"max_items_per_second": 200, "duty_cycle": "100%"}, work, 60)
    batches = list(zip(work.starts_s, work.sizes, strict=True))
    for start_s, _ in batches:
        if start_s <= 50:
            items = sum(size for at_s, size in batches if start_s <= at_s < start_s + 10)
            assert 1800 <= items <= 2000 + max(work.sizes)


@pytest.mark.parametrize(
    ("config", "last_ms", "last_items"),
    [({"target_duration": "200ms"}, 200, 200), ({"max_batch_size": 5}, 5, 5)],
    ids=["the limit", "Synapse would make more of it"],
)
def test_synapse_gets_the_target_duration(
    virtual_server: MakeServer, config: dict[str, Any], last_ms: int, last_items: int
) -> None:
    """Synapse gets the target duration, or as much of it as its own rate makes the size of."""
    server = virtual_server()
    work = Work(server, 10**6, cost_ms=1)
    targets: list[int] = []
    enter = Iteration.__aenter__

    async def noted(iteration: Iteration) -> int:
        targets.append(await enter(iteration))
        return targets[-1]

    with patch.object(Iteration, "__aenter__", noted):
        run(server, {"sleep": 0, **config}, work, 20)
    assert config.get("target_duration", "100ms") == f"{targets[0]}ms"
    assert last_ms == pytest.approx(targets[-1], abs=2)
    assert last_items == pytest.approx(work.sizes[-1], abs=2)
    assert last_items >= max(work.sizes) - 2


def test_max_batch_size(virtual_server: MakeServer) -> None:
    """No batch is above the maximum, although the target would allow ten times as many items."""
    server = virtual_server()
    work = Work(server, 5000, cost_ms=0.2)
    run(server, {"max_batch_size": 50}, work, 100)
    assert 50 == max(work.sizes)
    assert 0 == work.left_items


def test_target_duration(virtual_server: MakeServer) -> None:
    """Batches take the target duration that a rule asks for."""
    server = virtual_server()
    work = Work(server, 10**9, cost_ms=1)
    run(server, {"rules": [{"update": "wo*", "target_duration": "40ms"}]}, work, 60)
    assert 0.040 == pytest.approx(work.took_s[-1], abs=0.002)


@pytest.mark.parametrize("config", [{}, {"max_batch_size": 10**6}], ids=["target", "exact"])
@pytest.mark.parametrize("factor", [10, 0.1, 3])
def test_target_duration_after_a_step(
    virtual_server: MakeServer, config: Any, factor: float
) -> None:
    """After a step of an item's cost, batches are within twice the target from the third on."""
    server = virtual_server()
    work = Work(server, 10**9, cost_ms=0.5)
    run(server, config, work, 100)
    work.cost_ms *= factor
    before = len(work.took_s)
    server.advance(100)
    assert all(took_s <= 0.2 for took_s in work.took_s[before + 2 :])
    assert 0.1 == pytest.approx(work.took_s[-1], rel=0.2)


def test_rules_by_database(virtual_server: MakeServer) -> None:
    """Two databases run side by side, each by its own rule."""
    server = virtual_server(databases=("master", "state"))
    server.load({"duty_cycle": "50%", "rules": [{"database": "state", "duty_cycle": "5%"}]})
    works = {name: Work(server, 10**9, cost_ms=1) for name in server.pools}
    for name, work in works.items():
        work.database = name
        server.pools[name].queue("work", work)
        server.start(name)
    server.advance(100)
    assert 50 == pytest.approx(sum(works["master"].took_s), abs=2)
    assert 5 == pytest.approx(sum(works["state"].took_s), abs=1)


def test_one_shots_wait_for_their_window(virtual_server: MakeServer) -> None:
    """A rule for one-shots holds an index build until its window opens, then it runs once."""
    server = virtual_server()  # starts Monday 00:00 UTC
    build = Work(server, 1, cost_ms=5)
    server.load({"rules": [{"one_shot": True, "windows": [{"start": "03:00", "end": "05:00"}]}]})
    server.pools["master"].queue("an_index", build, one_shot=True)
    server.start()
    server.advance(3 * 3600 - 1)
    assert [] == build.starts_s
    server.advance(3)
    assert 3 * 3600 == pytest.approx(build.starts_s[0], abs=1)
    assert 0 == build.left_items


def test_disabled_during_the_wait(virtual_server: MakeServer) -> None:
    """The server's switch holds the batch that was waited for, and lets it go within a second."""
    server = virtual_server()
    work = Work(server, 10**9, cost_ms=1)
    run(server, {"sleep": "10s"}, work, 25)
    assert 2 == len(work.sizes)
    server.pools["master"].updates.enabled = False
    server.advance(1000)
    assert 2 == len(work.sizes)
    server.pools["master"].updates.enabled = True
    server.advance(1)
    assert 3 == len(work.sizes)


def test_settings_of_the_server_are_kept(virtual_server: MakeServer) -> None:
    """With `{}` the server's own sleep, duration and batch sizes go on to hold."""
    server = virtual_server(
        background_updates={
            "sleep_duration_ms": 300,
            "update_duration_ms": 50,
            "default_batch_size": 7,
            "min_batch_size": 3,
        }
    )
    work = Work(server, 10**9, cost_ms=1)
    run(server, {}, work, 30)
    assert 7 == work.sizes[0]
    assert 0.35 == pytest.approx(work.starts_s[-1] - work.starts_s[-2], abs=0.01)


def test_without_sleep_in_the_server(virtual_server: MakeServer) -> None:
    """`sleep_enabled: false` in the server's section is kept by `{}`."""
    server = virtual_server(background_updates={"sleep_enabled": False})
    work = Work(server, 10**9, cost_ms=1)
    run(server, {}, work, 10)
    assert 10 == pytest.approx(sum(work.took_s), abs=0.2)


@pytest.mark.parametrize("nonsense", ["100ms", None, -5, True, float("nan")])
def test_nonsense_in_the_server_section(virtual_server: MakeServer, nonsense: Any) -> None:
    """What stock Synapse would trip over in its own section does not stop us."""
    server = virtual_server(
        background_updates={
            "update_duration_ms": nonsense,
            "sleep_duration_ms": nonsense,
            "min_batch_size": nonsense,
        }
    )
    work = Work(server, 1000, cost_ms=1)
    run(server, {}, work, 100)
    assert 0 == work.left_items


def test_a_second_module(virtual_server: MakeServer, caplog: pytest.LogCaptureFixture) -> None:
    """The module that comes second says once that it has no effect, and has none."""
    server = virtual_server()
    first, second = server.load({}), server.load({})
    warnings = [r.message for r in caplog.records if "has no effect" in r.message]
    assert 1 == len(warnings)
    assert "no effect" in repr(second)
    assert "no effect" not in repr(first)


def test_in_a_worker(virtual_server: MakeServer) -> None:
    """In a worker nothing is registered and no timer is started."""
    server = virtual_server(worker_app="synapse.app.generic_worker")
    module = server.load({"rules": [{"update": "*", "sleep": "1h"}]})
    assert server.pools["master"].updates._on_update_callback is None
    assert [] == server.timers()
    assert "no effect" in repr(module)


def test_told_once_a_change(virtual_server: MakeServer, caplog: pytest.LogCaptureFixture) -> None:
    """Hundreds of batches make one line at INFO; a hold makes one at its start and its end."""
    caplog.set_level(logging.INFO, logger="synapse_bgthrottle.homeserver.iteration")
    server = virtual_server()
    work = Work(server, 10**9, cost_ms=1)
    run(server, {"duty_cycle": "10%"}, work, 300)
    while server.clock.monotonic() - work.starts_s[-1] < 0.5:  # until it waits
        server.advance(0.1)
    pool = server.pools["master"]
    pool.updates.enabled = False
    server.advance(100)
    pool.updates.enabled = True
    server.advance(100)
    told = [
        r.message for r in caplog.records if r.name == "synapse_bgthrottle.homeserver.iteration"
    ]
    assert ["Pacing work", "Holding wor", "Going on wi"] == [line[:11] for line in told]


def test_nothing_is_polled_when_nothing_is_pending(virtual_server: MakeServer) -> None:
    """After the last update no timer of ours is left."""
    server = virtual_server()
    work = Work(server, 300, cost_ms=1)
    run(server, {}, work, 100)
    assert 0 == work.left_items
    assert [] == server.timers()
