"""How tests wait for real servers: until the condition holds, however busy the machine is.

There is one deadline, which only a hang reaches. The error then shows the state of all servers.
"""

import time
from collections.abc import Callable
from typing import Any, Protocol

# Nothing that a test waits for takes so long, even on a slow machine. pytest's `timeout` in
# setup.cfg is longer, because a test waits several times.
HANG_S = 300.0

_LAST_LINES = 40
_LONGEST_LINE = 500

# Seldom enough not to keep a server busy.
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 0.25


class Witness(Protocol):
    """A process that can show its state."""

    def is_running(self) -> bool:
        """Whether it has been started and has not ended."""

    def state(self) -> str:
        """Its state in lines, for the report of a failure. Never raises."""


_witnesses: list[Witness] = []


class HangError(TimeoutError):
    """The awaited condition did not become true; the message has the state of all servers."""


def watch(witness: Witness) -> None:
    """Include its state in `states`."""
    if witness not in _witnesses:
        _witnesses.append(witness)


def forget_ended() -> None:
    """Forget ended processes, which belong to an earlier test."""
    _witnesses[:] = [witness for witness in _witnesses if witness.is_running()]


def states() -> str:
    """The state of every process that runs, or has ended since `forget_ended`."""
    return "\n".join(witness.state() for witness in _witnesses)


def last_lines(text: str, count: int = _LAST_LINES) -> str:
    """The end of a log, with its longest lines cut."""
    return "\n".join(f"  {line[:_LONGEST_LINE]}" for line in text.splitlines()[-count:])


def hang(what: str) -> HangError:
    """The error for a wait of `HANG_S`."""
    return HangError(f"after {HANG_S:g} s: {what}\n{states()}")


def wait_until(condition: Callable[[], Any], give_up: Callable[[], bool] = lambda: False) -> None:
    """Wait until the condition holds.

    Raises:
        HangError: it does not hold after `HANG_S`, or `give_up` says that it never will.
    """
    if not within(HANG_S, condition, give_up):
        raise hang("the condition does not hold")


def within(
    patience_s: float, condition: Callable[[], Any], give_up: Callable[[], bool] = lambda: False
) -> bool:
    """Whether it becomes true within these seconds: for measurements, not for tests."""
    deadline_s = time.monotonic() + patience_s
    pause_s = _FIRST_PAUSE_S
    while not condition():
        if time.monotonic() > deadline_s or give_up():
            return False
        time.sleep(pause_s)
        pause_s = min(pause_s * 1.2, _LONGEST_PAUSE_S)
    return True


def stays_true(condition: Callable[[], Any], for_s: float) -> bool:
    """Whether it holds at every look for so long. More cannot be shown of what must not happen.

    A busy machine looks less often, which never fails a test.
    """
    deadline_s = time.monotonic() + for_s
    while condition():
        if time.monotonic() > deadline_s:
            return True
        time.sleep(_LONGEST_PAUSE_S)
    return False
