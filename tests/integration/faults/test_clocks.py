"""Synapse's own updater with short windows, a wall clock that jumps, a suspended server.

The module reads two clocks in one place (`Homeserver.now_s`, `wall_s`). The reactor, which calls
it, uses the wall clock, so that a jump makes timers early or late. For late ones see
`test_clock_set_back.py`.
"""

import logging
from collections.abc import Callable

import pytest

from testbed.virtual.server import VirtualServer, Work

MakeServer = Callable[..., VirtualServer]

_MINUTE_S = 60.0
_HOUR_S = 3600.0
# One minute is the shortest that can be written.
_THREE_WINDOWS = [
    {"start": "00:10", "end": "00:11"},
    {"start": "00:30", "end": "00:31"},
    {"start": "00:50", "end": "00:51"},
]
_LARGE = {"sleep": 0, "min_batch_size": 100, "default_batch_size": 100}


def begin(server: VirtualServer, config: object, cost_ms: float) -> Work:
    work = Work(server, 10**9, cost_ms)
    server.load(config)
    server.pools["master"].queue("work", work)
    server.start()
    return work


@pytest.mark.parametrize(
    ("batch_minutes", "started_minutes"),
    [(2.5, [10, 30, 50]), (19, [10, 30, 50]), (25, [10, 50])],
)
def test_a_window_shorter_than_a_batch(
    virtual_server: MakeServer,
    caplog: pytest.LogCaptureFixture,
    batch_minutes: float,
    started_minutes: list[float],
) -> None:
    """One batch starts in each window, and none outside: not after its end, however late it is."""
    caplog.set_level(logging.INFO, logger="synapse_bgthrottle.homeserver.iteration")
    server = virtual_server()  # starts Monday 00:00 UTC
    work = begin(server, {**_LARGE, "windows": _THREE_WINDOWS}, batch_minutes * 600)
    server.advance(1.5 * _HOUR_S)
    started = [start_s / _MINUTE_S for start_s in work.starts_s]
    assert started_minutes == pytest.approx(started, abs=0.02)
    holds = [line for line in caplog.messages if line.startswith("Holding")]
    opens = ["00:10", *(f"00:{minute:.0f}" for minute in started_minutes[1:]), "Tue"]
    assert len(opens) == len(holds)
    for text, line in zip(opens, holds, strict=True):
        assert text in line.split("next open: ")[1]


def test_batches_shorter_than_their_window(virtual_server: MakeServer) -> None:
    """Those that start in it may end after it; the first after its end waits for the next."""
    server = virtual_server()
    work = begin(server, {**_LARGE, "windows": _THREE_WINDOWS[:1]}, 250)  # batches of 25 s
    server.advance(_HOUR_S)
    assert [600, 625, 650] == pytest.approx(work.starts_s, abs=1)


@pytest.mark.parametrize("jump_s", [400 * 86_400.0, -400 * 86_400.0], ids=["forward", "back"])
def test_a_wall_clock_that_jumps_while_nothing_depends_on_it(
    virtual_server: MakeServer, jump_s: float
) -> None:
    """Rests are measured by the other clock: the pace stays as it was, if it jumps in a batch."""
    server = virtual_server()
    work = begin(server, {"duty_cycle": "10%"}, 1)
    server.advance(30)
    while len(work.starts_s) == len(work.took_s):
        server.advance(0.001)
    work.took_s.clear()
    server.clock.set_forward(jump_s)
    server.advance(60)
    assert 0.1 == pytest.approx(sum(work.took_s) / 60, abs=0.01)
    assert [] == server.failures


def test_a_wall_clock_that_jumps_out_of_a_window_and_into_it(virtual_server: MakeServer) -> None:
    """Within half a second of the jump the window is what the clock then says.

    Where it is set back that is so once the batch has ended, or else once the sleep has: see below.
    """
    server = virtual_server()
    windows = [{"start": "00:00", "end": "01:00"}]
    work = begin(server, {"sleep": "1s", "windows": windows}, 1)
    server.advance(10)
    for jump_s, is_open in ((2 * _HOUR_S, False), (22 * _HOUR_S, True), (_HOUR_S, False)):
        server.clock.set_forward(jump_s)
        server.advance(2)
        work.starts_s.clear()
        server.advance(10)
        assert is_open is bool(work.starts_s)


@pytest.mark.parametrize("in_batch", [False, True])
def test_a_wall_clock_that_is_set_back_out_of_a_window(
    virtual_server: MakeServer, in_batch: bool
) -> None:
    """In a sleep it ends by the same clock, as stock's does: nothing begins too soon."""
    server = virtual_server()
    windows = [{"start": "00:00", "end": "01:00"}]
    work = begin(server, {"sleep": "1s", "windows": windows}, 1)
    server.advance(60)
    while (len(work.starts_s) > len(work.took_s)) is not in_batch:
        server.advance(0.01)
    server.clock.set_forward(-10 * _MINUTE_S)  # 23:51 of the day before
    work.starts_s.clear()
    server.advance(8.5 * _MINUTE_S)
    assert [] == work.starts_s
    server.advance(2 * _MINUTE_S)
    assert work.starts_s


@pytest.mark.parametrize(("in_batch", "longest_s"), [(False, 1), (True, 601)])
def test_a_server_that_was_suspended(
    virtual_server: MakeServer, in_batch: bool, longest_s: float
) -> None:
    """It goes on at once, unless a batch seems to have taken a day: after ten minutes at most."""
    server = virtual_server()
    work = begin(server, {"duty_cycle": "10%"}, 1)
    while (len(work.starts_s) > len(work.took_s)) is not in_batch or len(work.starts_s) < 20:
        server.advance(0.01)
    before = len(work.starts_s)
    server.clock.reactor.rightNow += 86_400.0
    server.advance(longest_s)
    assert len(work.starts_s) > before
    assert sum(work.took_s[before:]) < 0.3  # what was missed is not made up for
    assert [] == server.failures
