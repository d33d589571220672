"""A real server that is ended repeatedly: what it has acknowledged must still be there."""

import random
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import attrs

from testbed.faults.faults import has_aborted
from testbed.faults.reindex_worlds import World
from testbed.observe.forbidden_log_lines import complaints
from testbed.servers.matrix import MatrixClient
from testbed.servers.server import SynapseServer
from testbed.waiting import HANG_S, wait_until, within

API = "/_synapse/bgthrottle/v1"

# An update that every version knows, and that is not pending here, so that pauses hold nothing.
_KNOWN = "user_ips_device_index"


@attrs.frozen
class Kills:
    """What was seen.

    Attributes:
        kills: how often the server was killed.
        lost: reasons of acknowledged pauses that were missing afterwards.
        back: reasons of pauses whose end was acknowledged, but which were there again.
        ran: how often the update ran although it was paused.
        ran_after: whether it ran to its end after that pause was ended.
    """

    kills: int
    lost: tuple[str, ...]
    back: tuple[str, ...]
    ran: int
    ran_after: bool


def kill_after_pauses(
    server: SynapseServer,
    token: str,
    queue: Callable[[], None],
    progress: Callable[[], str],
    times: int,
    seed: int = 0,
) -> Kills:
    """Repeatedly start the server, make a pause, and kill the server within a second.

    `queue` puts an update into the database while everything is paused, so it must not begin.
    `progress` returns its progress; empty: done.
    """
    rng = random.Random(seed)
    admin = MatrixClient(server.url, token)
    lost: list[str] = []
    back: list[str] = []
    ran = 0
    with server:
        admin.call("POST", f"{API}/pause", {"for": "1d", "reason": "always"})
        server.kill()
    expected: set[str] = {"always"}
    ended: set[str] = set()

    def look() -> None:
        there = _levers(admin, "pause")
        lost.extend(sorted(expected - there))
        back.extend(sorted(ended & there))

    queue()
    before = progress()
    for number in range(times):
        with server:
            look()
            if number % 4 == 3:  # ends the named pauses, but not the one of everything
                admin.call("POST", f"{API}/resume", {"update": f"{_KNOWN[:-1]}*"})
                ended |= expected - {"always"}
                expected = {"always"}
            reason = f"kill {number}"
            admin.call("POST", f"{API}/pause", {"update": _pattern(number), "reason": reason})
            expected.add(reason)
            time.sleep(rng.uniform(0, 1) if number % 2 else 0)
            server.kill()
        after = progress()
        ran += after != before
        before = after
    with server:
        look()
        admin.call("POST", f"{API}/resume", {})
        ran_after = within(HANG_S, lambda: not progress())
    return Kills(times, tuple(lost), tuple(back), ran, ran_after)


def _pattern(number: int) -> str:
    """One of many globs that match an update which is not pending."""
    return f"{_KNOWN[:-1]}[{_KNOWN[-1]}{number}]"


def _levers(admin: MatrixClient, *kinds: str) -> set[str]:
    """The reasons of the levers in force."""
    status: Any = admin.call("GET", f"{API}/status")
    return {lever["reason"] for lever in status["levers"] if lever["kind"] in kinds}


@attrs.define
class RunningKills:
    """What was seen of a server that was ended repeatedly while an update ran.

    Attributes:
        terminated, killed, killed_in_start: how often, by SIGTERM and by `kill -9`.
        lost, back: acknowledged pauses and overrides that were missing; ended ones that came back.
        wrong: how often the rows did not match the update's progress.
        backwards: how often the update had less progress than before.
        progressed: how often it had more.
        slowest_stop_s: the longest time that SIGTERM took.
        bad_exits: how often the exit status after SIGTERM was not 0.
        left, rows, expected: after the update could run to its end.
        is_intact: whether the database's own check then succeeds.
        complaints: forbidden log lines.
    """

    terminated: int = 0
    killed: int = 0
    killed_in_start: int = 0
    lost: int = 0
    back: int = 0
    wrong: int = 0
    backwards: int = 0
    progressed: int = 0
    slowest_stop_s: float = 0.0
    bad_exits: int = 0
    left: int = 0
    rows: int = 0
    expected: int = 0
    is_intact: bool = False
    complaints: int = 0


def end_while_running(world: World, times: int, seed: int = 0) -> RunningKills:
    """Repeatedly let the update run, use a lever, and end the server at a random time."""
    rng = random.Random(seed)
    seen = RunningKills(expected=world.expected)
    expected: set[str] = set()
    ended: set[str] = set()

    def look() -> None:
        there = _levers(world.admin, "pause", "override")
        seen.lost += len(expected - there)
        seen.back += len(ended & there)

    for number in range(times):
        before = world.rows()
        if rng.random() < 0.2:
            world.server.launch()
            time.sleep(rng.uniform(0, 2))
            world.server.kill()
            seen.killed_in_start += 1
        else:
            world.server.start()
            look()
            if number % 10 == 9:
                world.admin.call("POST", f"{API}/resume", {"update": f"{_KNOWN[:-1]}*"})
                world.admin.call("POST", f"{API}/reset", {"update": f"{_KNOWN[:-1]}*"})
                ended, expected = ended | expected, set()
            reason = f"kill {number}"
            body = {"update": _pattern(number), "reason": reason, "for": "1d"}
            if rng.random() < 0.5:
                world.admin.call("POST", f"{API}/pause", body)
            else:
                world.admin.call("POST", f"{API}/override", {**body, "settings": {"sleep": "1s"}})
            expected.add(reason)
            if 2 * seen.progressed <= number:  # runs without progress prove little
                wait_until(partial(_has_gone_on, world, before))
            time.sleep(rng.uniform(0, 1))
            _end(world.server, rng.random() < 0.5, seen)
        after = world.rows()
        seen.backwards += after < before
        seen.progressed += after > before
        seen.wrong += _is_wrong(world)
    with world.server:
        look()
        settings = {"sleep": 0, "target_duration": "100ms"}
        world.admin.call(
            "POST", f"{API}/override", {"update": "*", "settings": settings, "for": "1d"}
        )
        within(HANG_S, lambda: not world.pending())
    seen.left, seen.rows, seen.is_intact = world.pending(), world.rows(), world.is_intact()
    seen.complaints = len(complaints(world.server.log())) + has_aborted(world.server)
    return seen


def _has_gone_on(world: World, rows: int) -> bool:
    return world.rows() > rows or not world.pending()


def _is_wrong(world: World) -> bool:
    for _ in range(3):  # the database may still execute what the server sent before its end
        if not world.wrong():
            return False
        time.sleep(1)
    return True


def _end(server: SynapseServer, gently: bool, seen: RunningKills) -> None:
    if not gently:
        server.kill()
        seen.killed += 1
        return
    seen.slowest_stop_s = max(seen.slowest_stop_s, round(server.stop(), 1))
    seen.bad_exits += server.exit_status() != 0
    seen.terminated += 1
