"""Many levers at once on a silent main database, and releases in use."""

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import ensureDeferred

from synapse_bgthrottle.core.levers.request import Action, parse_lever_request
from synapse_bgthrottle.homeserver.storage.lever_writer import MOST_WAITING
from testbed.virtual.server import VirtualServer, Work
from tests.integration.levers.lever_world import World
from tests.integration.virtual_module import ADMIN, answer, change_levers, rows, run

MakeServer = Callable[..., VirtualServer]


def test_many_pulls_that_waited(virtual_server: MakeServer) -> None:
    """Those that a silent database kept are carried out one by one; others are refused at once."""
    world = World(virtual_server, {"sleep": "1s"})
    lever_writer = world.module._parts.recorder.levers
    pool: Any = world.server.pools["master"]
    immediately = pool.runInteraction

    async def in_a_thread(*arguments: Any) -> Any:  # never without a turn of the reactor
        await world.server.clock.sleep(0.002)
        return await immediately(*arguments)

    pool.runInteraction = world.server.api.run_db_interaction = in_a_thread
    resume_all = parse_lever_request(Action.RESUME, {})
    resume = parse_lever_request(Action.RESUME, {"update": "event_a"})
    pool.silent = []
    answers: list[Any] = []
    pause = parse_lever_request(Action.PAUSE, {"update": "event_b"})
    ensureDeferred(lever_writer.carry_out(pause, ADMIN, [])).addBoth(answers.append)
    for _ in range(150):
        ensureDeferred(lever_writer.carry_out(resume, ADMIN, [])).addBoth(answers.append)
    assert 150 - MOST_WAITING == len(answers)
    assert {"nothing has changed: many wait for the database already"} == {
        str(refused.value) for refused in answers
    }
    questions, pool.silent = pool.silent, None
    for question in questions:
        question.callback(None)
    world.server.advance(10)
    assert 151 == len(answers)
    (ended,) = answer(world.server, lever_writer.carry_out(resume_all, ADMIN, []), 1).ended
    assert "event_b" == ended.update


def test_release_in_use_outlives_another_lever(virtual_server: MakeServer) -> None:
    """Its time is over, and nobody has written that it is in use: the update goes on by it."""
    server = virtual_server()
    work = Work(server, 10**9, cost_ms=1)
    run(server, {"duty_cycle": "50%", "approval": "required"}, work, 100)
    change_levers(server, "release", update="work", duration="1s")
    server.advance(1.2)
    before = len(work.starts_s)
    change_levers(server, "override", update="work", settings={"duty_cycle": "90%"})
    server.advance(60)
    assert 500 < len(work.starts_s) - before
    written = rows(server, "SELECT used_ms FROM bgthrottle_levers WHERE kind = 'release'")
    assert [True] == [used_ms is not None for (used_ms,) in written]
