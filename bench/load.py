"""Open-loop load from a process of its own: requests start when they are due, come what may.

`python -m bench.load PLAN` reads a JSON plan and writes a line for each request: when it was due
(seconds since the epoch), its latency from then (ms), and its kind. A stall is so not hidden: what
had to wait for a free connection has waited.
"""

from __future__ import annotations

import http.client
import itertools
import json
import queue
import random
import sys
import threading
import time
from pathlib import Path
from typing import Any

import attrs

_CONNECTIONS = 24


@attrs.frozen
class Plan:
    """What to send.

    Attributes:
        host, port, token, user_id: of the server and its user.
        rooms: ids of rooms of the user.
        begin_s: when the first block begins, in seconds since the epoch.
        block_s, blocks, blocks_per_round: the blocks; those of a round have the same arrivals.
        rates_per_s: mean arrivals by kind of request.
        output: where the lines go.
    """

    host: str
    port: int
    token: str
    user_id: str
    rooms: list[str]
    begin_s: float
    block_s: float
    blocks: int
    blocks_per_round: int
    rates_per_s: dict[str, float]
    output: str


def arrivals(plan: Plan) -> list[tuple[float, str]]:
    """When which kind of request is due: Poisson, the same in all blocks of a round."""
    due = []
    for block in range(plan.blocks):
        source = random.Random(block // plan.blocks_per_round)
        for kind, rate in sorted(plan.rates_per_s.items()):
            at_s = source.expovariate(rate)
            while at_s < plan.block_s:
                due.append((plan.begin_s + block * plan.block_s + at_s, kind))
                at_s += source.expovariate(rate)
    return sorted(due)


class Sender:
    """One connection and its thread."""

    _numbers = itertools.count()

    def __init__(self, plan: Plan, due: queue.SimpleQueue[Any], lines: list[str]) -> None:
        self._plan = plan
        self._due = due
        self._lines = lines
        self._connection = http.client.HTTPConnection(plan.host, plan.port, timeout=60)

    def run(self) -> None:
        while (request := self._due.get()) is not None:
            due_s, kind = request
            method, path, body = self._request(kind)
            status = self._send(method, path, body)
            latency_ms = (time.time() - due_s) * 1000
            self._lines.append(f"{due_s:.4f} {latency_ms:.3f} {kind} {status}\n")

    def _send(self, method: str, path: str, body: Any) -> int:
        headers = {"Authorization": f"Bearer {self._plan.token}"}
        try:
            self._connection.request(method, path, body and json.dumps(body), headers)
            answer = self._connection.getresponse()
            answer.read()
            return answer.status
        except (OSError, http.client.HTTPException):
            self._connection.close()
            return 0

    def _request(self, kind: str) -> tuple[str, str, Any]:
        number = next(self._numbers)
        room_id = self._plan.rooms[number % len(self._plan.rooms)]
        rooms = f"/_matrix/client/v3/rooms/{room_id}"
        if kind == "send":
            path = f"{rooms}/send/m.room.message/{time.time_ns()}"
            return "PUT", path, {"msgtype": "m.text", "body": f"load {number}"}
        if kind == "sync":
            return "GET", "/_matrix/client/v3/sync?timeout=0", None
        if kind == "messages":
            return "GET", f"{rooms}/messages?dir=b&limit=20", None
        if kind == "whoami":
            return "GET", "/_matrix/client/v3/account/whoami", None
        return "GET", f"/_matrix/client/v3/profile/{self._plan.user_id}", None


def main() -> None:
    plan = Plan(**json.loads(Path(sys.argv[1]).read_text()))
    due: queue.SimpleQueue[Any] = queue.SimpleQueue()
    lines: list[str] = []
    threads = [threading.Thread(target=Sender(plan, due, lines).run) for _ in range(_CONNECTIONS)]
    for thread in threads:
        thread.start()
    for request in arrivals(plan):
        time.sleep(max(request[0] - time.time(), 0))
        due.put(request)
    for _ in threads:
        due.put(None)
    for thread in threads:
        thread.join()
    Path(plan.output).write_text("".join(lines))


if __name__ == "__main__":
    main()
