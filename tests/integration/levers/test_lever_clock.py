"""Acknowledged levers survive a wall clock that is ahead for a moment."""

from collections.abc import Callable

import pytest

from synapse_bgthrottle.core.levers.lever import MOST_ENDED
from synapse_bgthrottle.core.levers.request import NothingMatchesError
from testbed.virtual.server import EPOCH_S, VirtualServer
from tests.integration.virtual_module import change_levers, levers_of, queued, restarted, rows

MakeServer = Callable[..., VirtualServer]
SetAhead = Callable[[VirtualServer, float], None]

_COUNT = "SELECT COUNT(*) FROM bgthrottle_levers"
_AHEAD_S = 2 * 86_400.0


@pytest.fixture
def set_ahead(monkeypatch: pytest.MonkeyPatch) -> SetAhead:
    """Sets the wall clock to so much later than it would be; the other one goes on."""

    def set_ahead(server: VirtualServer, seconds: float) -> None:
        clock = server.clock
        monkeypatch.setattr(clock, "time", lambda: EPOCH_S + seconds + clock.monotonic())

    return set_ahead


def paused(virtual_server: MakeServer) -> VirtualServer:
    """A server where all is paused for a day."""
    server = virtual_server()
    server.load({"sleep": "1s"})
    queued(server, "work")
    server.start()
    server.advance(5)
    change_levers(server, "pause", duration="1d")
    return server


def test_a_start(virtual_server: MakeServer, set_ahead: SetAhead) -> None:
    """A server that starts with a clock that is ahead goes on, and holds once it is right."""
    server = restarted(paused(virtual_server), virtual_server())
    set_ahead(server, _AHEAD_S)
    server.load({"sleep": "1s"})
    work = queued(server, "other")
    server.pools["master"].updates.register_background_update_handler("work", work)
    server.start()
    server.advance(5)
    assert work.starts_s
    set_ahead(server, 0)
    server.advance(1)
    before = len(work.starts_s)
    server.advance(3600)
    assert before == len(work.starts_s)


def test_another_lever(virtual_server: MakeServer, set_ahead: SetAhead) -> None:
    """It neither tells of the pause, as of one that has ended, nor removes it."""
    server = paused(virtual_server)
    set_ahead(server, _AHEAD_S)
    told = change_levers(server, "override", update="*", settings={"sleep": "2s"}, duration="1h")
    assert ["override"] == [lever["kind"] for lever in told["in_force"]]
    set_ahead(server, 0)
    told = change_levers(
        server, "override", update="*", settings={"profile": "fast"}, duration="1h"
    )
    assert ["override", "override", "pause"] == sorted(v["kind"] for v in told["in_force"])
    assert [(3,)] == rows(server, _COUNT)


def test_what_is_resumed_is_over(virtual_server: MakeServer, set_ahead: SetAhead) -> None:
    """Also what has ended by that clock already; not told, because it was no longer in force."""
    server = paused(virtual_server)
    change_levers(server, "override", update="*", settings={"sleep": "2s"}, duration="1h")
    set_ahead(server, _AHEAD_S)
    change_levers(server, "pause", update="work", duration="1h")
    assert ["work"] == [lever["update"] for lever in change_levers(server, "resume")["ended"]]
    set_ahead(server, 0)
    with pytest.raises(NothingMatchesError, match="nothing is paused"):
        change_levers(server, "resume")
    assert [("override",)] == rows(server, "SELECT kind FROM bgthrottle_levers")


def test_what_has_ended_is_bounded(virtual_server: MakeServer) -> None:
    """Neither the table nor what is held grows with each pause that ends by itself."""
    server = virtual_server()
    module = server.load({})
    queued(server, "work")
    server.start()
    server.advance(1)
    for _ in range(MOST_ENDED + 20):
        change_levers(server, "pause", duration="1s")
        server.advance(2)
    assert MOST_ENDED + 1 >= len(levers_of(module))
    assert [(MOST_ENDED + 1,)] == rows(server, _COUNT)
