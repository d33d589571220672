"""Who is there beside a server under test. Each is a context: who it is leaves with it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from harness import faults
from harness.kills import API
from harness.matrix import MatrixClient


@contextmanager
def clients(admin: MatrixClient) -> Iterator[list[float]]:
    """Somebody who reads and writes ten times a second; yields how long each took, in ms."""
    took_ms: list[float] = []
    end = threading.Event()

    def ask() -> None:
        path = "/_matrix/client/v3/profile/@admin:bgthrottle.test/displayname"
        number = 0
        while not end.wait(0.1):
            begin, number = time.monotonic(), number + 1
            with suppress(OSError):
                if number % 2:
                    admin.call("PUT", path, {"displayname": f"name {number}"})
                else:
                    admin.call("GET", "/_matrix/client/v3/account/whoami")
                took_ms.append((time.monotonic() - begin) * 1000)

    with faults.beside(ask, end):
        yield took_ms


@contextmanager
def told(admin: MatrixClient, name: str) -> Iterator[list[float]]:
    """Somebody who looks at the status; yields for how long a batch was told to run, each time."""
    told_s: list[float] = []
    end = threading.Event()

    def look() -> None:
        while not end.wait(2):
            with suppress(OSError):  # of stock there is none
                for database in admin.call("GET", f"{API}/status")["databases"]:
                    current = database["current"]
                    if current and current["name"] == name and current["batch_since_ms"]:
                        told_s.append(time.time() - current["batch_since_ms"] / 1000)

    with faults.beside(look, end):
        yield told_s
