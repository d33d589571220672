"""What clients and administrators do to a server meanwhile. Each is a context: it ends with it."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from harness.kills import API
from harness.matrix import MatrixClient


@contextmanager
def paused(admin: MatrixClient) -> Iterator[None]:
    """Everything is paused by an administrator."""
    with suppress(OSError):
        admin.call("POST", f"{API}/pause", {"reason": "soak", "for": "1h"})
    yield
    for _ in range(20):
        try:
            admin.call("POST", f"{API}/resume", {})
            return
        except OSError as error:
            if getattr(error, "code", 0) == 404:  # it was not paused
                return
            time.sleep(0.5)


@contextmanager
def disabled(admin: MatrixClient) -> Iterator[None]:
    """Updates are off by the server's own switch."""
    with suppress(OSError):
        admin.set_updates_enabled(False)
    yield
    for _ in range(20):
        try:
            admin.set_updates_enabled(True)
            return
        except OSError:
            time.sleep(0.5)


@contextmanager
def load(admin: MatrixClient, is_calm: bool) -> Iterator[Counter[str]]:
    """Some requests a second, of clients and, unless it is calm, of who looks at the status."""
    counts: Counter[str] = Counter()
    end = threading.Event()

    def ask() -> None:
        number = 0
        path = "/_matrix/client/v3/profile/@admin:bgthrottle.test/displayname"
        while not end.wait(0.2):
            number += 1
            try:
                if number % 5 == 0 and not is_calm:
                    admin.call("GET", f"{API}/status")
                elif number % 2:
                    admin.call("PUT", path, {"displayname": f"name {number}"})
                else:
                    admin.call("GET", "/_matrix/client/v3/account/whoami")
                counts["answered"] += 1
            except Exception:
                counts["failed"] += 1

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    try:
        yield counts
    finally:
        end.set()
        thread.join(35)
