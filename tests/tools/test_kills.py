"""The check after a server's end finds everything that it acknowledged."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import pytest

from testbed.faults.restarts import end_while_running, kill_after_pauses

_TIMES = 4  # at the last of four `kill_after_pauses` ends the pauses before


class Server:
    """A server that keeps its levers in a life, and loses or brings back some in a later one.

    Attributes:
        life: how often it was started.
    """

    url = ""

    def __init__(self, lost_in: int | None = None, back_in: int | None = None) -> None:
        self.life = 0
        self._lost_in = lost_in
        self._back_in = back_in
        self._levers: list[dict[str, str]] = []
        self._ended: list[dict[str, str]] = []

    def start(self) -> None:
        self.life += 1
        if self.life == self._lost_in:
            self._levers.pop()
        if self.life == self._back_in:
            self._levers += self._ended

    launch = start

    def __enter__(self) -> Server:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def kill(self) -> None:
        pass

    def stop(self) -> float:
        return 0.1

    def exit_status(self) -> int:
        return 0

    def log(self) -> str:
        return ""

    def call(self, _: str, path: str, body: Any = None) -> Any:
        """What the module's API does with levers."""
        action = path.rpartition("/")[2]
        if action == "status":
            return {"levers": self._levers}
        if action in ("resume", "reset"):
            kind = {"resume": "pause", "reset": "override"}[action]
            by_name = [lever for lever in self._levers if lever["reason"] != "always"]
            ended = [lever for lever in by_name if lever["kind"] == kind]
            self._ended += ended
            self._levers = [lever for lever in self._levers if lever not in ended]
        elif "reason" in body:
            self._levers.append({"kind": action, "reason": body["reason"]})
        return None


@pytest.fixture(autouse=True)
def _no_sleep() -> Iterator[None]:
    with patch("testbed.faults.restarts.time.sleep"):
        yield


def paused(server: Any) -> tuple[int, int]:
    """How many pauses were lost, and how many were back."""
    with patch("testbed.faults.restarts.MatrixClient", lambda *_: server):
        seen = kill_after_pauses(server, "", lambda: None, lambda: "", _TIMES)
    return len(seen.lost), len(seen.back)


# The first life is that of the pause of everything.
_PAUSES_LAST = _TIMES + 2


@pytest.mark.parametrize("life", [3, 4, _PAUSES_LAST])
def test_a_lost_pause(life: int) -> None:
    """It is missed in the life after its kill, also after the last one."""
    assert (0, 0) == paused(Server())
    assert paused(Server(lost_in=life))[0] > 0


def test_a_pause_that_is_back() -> None:
    """The pauses that were ended before the last kill are looked for too."""
    assert (0, 3) == paused(Server(back_in=_PAUSES_LAST))


def ended(server: Any, seed: int, times: int) -> tuple[int, int]:
    """How many levers were lost, and how many were back."""
    world: Any = SimpleNamespace(
        server=server,
        admin=server,
        expected=0,
        rows=lambda: 0,
        wrong=lambda: 0,
        pending=lambda: 0,
        is_intact=lambda: True,
    )
    seen = end_while_running(world, times, seed)
    return seen.lost, seen.back


@pytest.mark.parametrize("life", [3, 5])
def test_a_lost_lever(life: int) -> None:
    """A pause or an override is missed, also after the last end; 4 ends, the fifth life is last."""
    assert (0, 0) == ended(Server(), 1, _TIMES)
    assert ended(Server(lost_in=life), 1, _TIMES)[0] > 0


def test_levers_that_are_back() -> None:
    """Those that were ended before the last of ten ends are looked for too."""
    assert (0, 0) == ended(Server(), 1, 10)
    assert ended(Server(back_in=11), 1, 10)[1] > 0
