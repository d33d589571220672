"""Actions of clients and administrators, as context managers that end with their block."""

import itertools
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from testbed.faults.faults import repeatedly
from testbed.faults.neighbours import NAME
from testbed.faults.restarts import API
from testbed.servers.matrix import MatrixClient


@contextmanager
def paused(admin: MatrixClient) -> Iterator[bool]:
    """An administrator pauses everything. Yields whether that was acknowledged.

    Raises:
        TimeoutError: the pause cannot be ended.
    """
    is_there = _is_done(lambda: admin.call("POST", f"{API}/pause", {"reason": "soak", "for": "1h"}))
    yield is_there
    _take_back(lambda: admin.call("POST", f"{API}/resume", {}))


@contextmanager
def disabled(admin: MatrixClient) -> Iterator[bool]:
    """Synapse's own switch is off. Yields whether that was acknowledged.

    Raises:
        TimeoutError: the switch cannot be put on again.
    """
    yield _is_done(lambda: admin.set_updates_enabled(False))
    _take_back(lambda: admin.set_updates_enabled(True))


def _is_done(ask: Callable[[], object]) -> bool:
    try:
        ask()
    except OSError:  # also for an answer with an error status
        return False
    return True


def _take_back(ask: Callable[[], object]) -> None:
    for _ in range(20):
        try:
            ask()
            return
        except OSError as error:
            if getattr(error, "code", 0) == 404:  # the pause was not there
                return
            time.sleep(0.5)
    raise TimeoutError("what an administrator asked for could not be taken back")


@contextmanager
def load(admin: MatrixClient, is_calm: bool) -> Iterator[Counter[str]]:
    """Some requests a second by clients and, unless it is calm, by readers of the status."""
    counts: Counter[str] = Counter()
    numbers = itertools.count(1)

    def ask() -> None:
        number = next(numbers)
        try:
            if number % 5 == 0 and not is_calm:
                admin.call("GET", f"{API}/status")
            elif number % 2:
                admin.call("PUT", NAME, {"displayname": f"name {number}"})
            else:
                admin.call("GET", "/_matrix/client/v3/account/whoami")
            counts["answered"] += 1
        except Exception:
            counts["failed"] += 1

    with repeatedly(ask, 0.2):
        yield counts
