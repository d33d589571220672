"""How tests wait for real servers, and what they report when they give up."""

import time

import attrs
import pytest

from testbed import waiting


@attrs.define(eq=False)
class Server:
    """As much of a server as a report has."""

    log: str
    runs: bool = True

    def is_running(self) -> bool:
        return self.runs

    def state(self) -> str:
        return self.log


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    """One that is watched, and a deadline that is soon over."""
    monkeypatch.setattr(waiting, "HANG_S", 0.2)
    monkeypatch.setattr(waiting, "_witnesses", [])
    server = Server("its last words")
    waiting.watch(server)
    return server


def test_what_comes() -> None:
    """What holds after some looks is waited for, and no error is raised."""
    looks = iter([False, None, 0, "so"])
    waiting.wait_until(lambda: next(looks))
    assert [] == list(looks)


def test_what_never_comes(server: Server) -> None:
    """Whoever gives up says after how long, and how every server is."""
    with pytest.raises(waiting.HangError, match=r"(?s)after 0.2 s: .*its last words"):
        waiting.wait_until(lambda: False)


def test_what_never_will(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no use in it nobody waits for the deadline."""
    monkeypatch.setattr(waiting, "HANG_S", 3600.0)
    with pytest.raises(waiting.HangError, match="its last words"):
        waiting.wait_until(lambda: False, give_up=lambda: True)


def test_of_which_test(server: Server) -> None:
    """A server that ended is in the report of its own test and in no later one; each is once."""
    waiting.watch(server)
    waiting.watch(Server("another", runs=False))
    assert "its last words\nanother" == waiting.states()
    waiting.forget_ended()
    assert "its last words" == waiting.states()


def test_the_end_of_a_log() -> None:
    """Only the last lines are shown, and long ones are cut."""
    assert "  second\n  third" == waiting.last_lines("first\nsecond\nthird", 2)
    assert 500 == len(waiting.last_lines("x" * 10_000).strip())


def test_what_must_not_happen(server: Server) -> None:
    """What holds for long enough is told from what ceases to."""
    end_s = time.monotonic() + 0.1
    assert waiting.stays_true(lambda: True, 0.2)
    assert not waiting.stays_true(lambda: time.monotonic() < end_s, 60)
