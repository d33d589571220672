"""Kill -9 of a real server just after it answered that something is paused: is it still, after?"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any

import attrs

from harness.matrix import MatrixClient
from harness.server import SynapseServer

API = "/_synapse/bgthrottle/v1"


@attrs.frozen
class Kills:
    """What was seen.

    Attributes:
        kills: how often the server was killed.
        lost: reasons of acknowledged pauses that were not there afterwards.
        back: reasons of pauses that were ended, acknowledged, and were there again.
        ran: how often the update had gone on although it was paused.
        ran_after: whether it ran to its end once that was resumed.
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
    """Start the server, pause everything anew, kill it within the next second; again and again.

    `queue` puts an update into the database, once everything is paused, so that it must never
    begin; `progress` answers how far it is, empty when it is done.
    """
    rng = random.Random(seed)
    admin = MatrixClient(server.url, token)
    lost: list[str] = []
    back: list[str] = []
    ran = 0
    with server:
        admin.call("POST", f"{API}/pause", {"for": "1d", "reason": "always"})
        _kill(server)
    expected: set[str] = {"always"}
    ended: set[str] = set()
    queue()
    before = progress()
    for number in range(times):
        with server:
            there = _pauses(admin)
            lost += sorted(expected - there)
            back += sorted(ended & there)
            if number % 4 == 3:  # the pauses by name, not that of everything
                admin.call("POST", f"{API}/resume", {"update": "kill_[0-9]*"})
                ended |= expected - {"always"}
                expected = {"always"}
            reason = f"kill {number}"
            admin.call("POST", f"{API}/pause", {"update": f"kill_{number}", "reason": reason})
            expected.add(reason)
            time.sleep(rng.uniform(0, 1) if number % 2 else 0)
            _kill(server)
        after = progress()
        ran += after != before
        before = after
    with server:
        admin.call("POST", f"{API}/resume", {})
        deadline = time.monotonic() + 30
        while progress() and time.monotonic() < deadline:
            time.sleep(0.1)
    return Kills(times, tuple(lost), tuple(back), ran, not progress())


def _pauses(admin: MatrixClient) -> set[str]:
    status: Any = admin.call("GET", f"{API}/status")
    return {lever["reason"] for lever in status["levers"] if lever["kind"] == "pause"}


def _kill(server: SynapseServer) -> None:
    assert server.process is not None
    server.process.kill()
    server.process.wait()
