"""Users of the server under test, as context managers."""

import itertools
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPException

import attrs

from testbed.faults import faults
from testbed.faults.restarts import API
from testbed.servers.matrix import MatrixClient

NAME = "/_matrix/client/v3/profile/@admin:bgthrottle.test/displayname"


@attrs.define
class Requests:
    """The outcome of clients' requests.

    Attributes:
        took_ms: durations of the successful ones.
        failed: number of the others: an error, no answer within the client's 30 s, or none at all.
    """

    took_ms: list[float] = attrs.field(factory=list)
    failed: int = 0

    def ask(self, admin: MatrixClient, number: int) -> None:
        """Write or read, in turn."""
        begin = time.monotonic()
        try:
            if number % 2:
                admin.call("PUT", NAME, {"displayname": f"name {number}"})
            else:
                admin.call("GET", "/_matrix/client/v3/account/whoami")
        except (OSError, HTTPException, ValueError):  # ValueError: the answer is no JSON
            self.failed += 1
        else:
            self.took_ms.append((time.monotonic() - begin) * 1000)


@contextmanager
def clients(admin: MatrixClient) -> Iterator[Requests]:
    """A client that reads and writes ten times a second."""
    requests = Requests()
    client = admin.impatient()
    numbers = itertools.count()
    with faults.repeatedly(lambda: requests.ask(client, next(numbers)), 0.1):
        yield requests


@contextmanager
def told(admin: MatrixClient, name: str) -> Iterator[list[float]]:
    """Somebody who reads the status; yields how long it showed the running batch, each time."""
    told_s: list[float] = []

    def look() -> None:
        with suppress(OSError):  # stock Synapse has no such status
            for database in admin.call("GET", f"{API}/status")["databases"]:
                current = database["current"]
                if current and current["name"] == name and current["batch_since_ms"]:
                    told_s.append(time.time() - current["batch_since_ms"] / 1000)

    with faults.repeatedly(look, 2):
        yield told_s
