"""Open-loop load from a process of its own: each request starts when it is due.

`python -m testbed.data.load PLAN` reads a JSON plan and prints `ready`. Standard input then names
blocks; for each of their requests it prints a line. Latency counts from the moment when a request
was due, so that a stall is not hidden.
"""

import asyncio
import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

import attrs

from testbed.data.loads import LOADS, arrivals

_MOST_CONNECTIONS = 64
_POLL_MS = 30_000


@attrs.frozen
class Plan:
    """The server to use, and its load.

    Attributes:
        host, ports: of the server, or of the workers that take turns in answering.
        token: of the user that sends.
        poller_tokens: of the users that wait in /sync.
        rooms: ids of rooms of all these users.
        load: its name.
    """

    host: str
    ports: list[int]
    token: str
    poller_tokens: list[str]
    rooms: list[str]
    load: str


@attrs.frozen
class Block:
    """The next block, as the driver announces it.

    Attributes:
        number: identifies its requests.
        begin_s: in seconds since the epoch.
        seed: of its arrivals.
    """

    number: int
    begin_s: float
    block_s: float
    seed: int


class Connection:
    """One HTTP connection, kept alive."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, token: str, method: str, path: str, body: Any = None) -> tuple[int, bytes]:
        """Status and content of the answer; status 0: no answer."""
        try:
            return await self._ask(token, method, path, body)
        except (OSError, EOFError, ValueError):
            if self._streams is not None:
                self._streams[1].close()
            self._streams = None
            return 0, b""

    async def _ask(self, token: str, method: str, path: str, body: Any) -> tuple[int, bytes]:
        if self._streams is None:
            self._streams = await asyncio.open_connection(self._host, self._port)
        reader, writer = self._streams
        content = b"" if body is None else json.dumps(body).encode()
        writer.write(
            f"{method} {path} HTTP/1.1\r\nHost: {self._host}\r\n"
            f"Authorization: Bearer {token}\r\nContent-Length: {len(content)}\r\n\r\n".encode()
            + content
        )
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        status = int(head.split(" ", 2)[1])
        if "transfer-encoding: chunked" in head:
            return status, await _chunks(reader)
        _, _, rest = head.partition("content-length:")
        return status, await reader.readexactly(int(rest.split("\r\n", 1)[0]))


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    content = b""
    while size := int(await reader.readline(), 16):
        content += await reader.readexactly(size)
        await reader.readline()
    await reader.readline()
    return content


class Clients:
    """All clients of a plan."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._free = [self._connection(number) for number in range(_MOST_CONNECTIONS)]
        self._any_free = asyncio.Semaphore(_MOST_CONNECTIONS)
        self._tasks: set[asyncio.Task[None]] = set()
        self._sent = 0

    async def run(self) -> None:
        """Run until standard input ends and all requests are answered."""
        load = LOADS[self._plan.load]
        begun = [asyncio.Event() for _ in range(load.pollers)]
        tokens = self._plan.poller_tokens
        pollers = [
            asyncio.create_task(
                self._poll(self._connection(number), tokens[number % len(tokens)], event)
            )
            for number, event in enumerate(begun)
        ]
        for event in begun:
            await event.wait()
        print("ready", flush=True)
        lines = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(lines), sys.stdin
        )
        while line := await lines.readline():
            self._start(self._block(Block(**json.loads(line))))
        while self._tasks:
            await asyncio.gather(*self._tasks)
        for poller in pollers:
            poller.cancel()

    def _start(self, coroutine: Any) -> None:
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _block(self, block: Block) -> None:
        due = arrivals(LOADS[self._plan.load], block.block_s, block.seed)
        for number, (offset_s, kind) in enumerate(due):
            await asyncio.sleep(block.begin_s + offset_s - time.time())
            self._start(self._request(block, number, offset_s, kind))

    async def _request(self, block: Block, number: int, offset_s: float, kind: str) -> None:
        async with self._any_free:
            connection = self._free.pop()
            self._sent += 1
            status, _ = await connection.ask(self._plan.token, *self._what(kind))
            latency_ms = (time.time() - block.begin_s - offset_s) * 1000
            self._free.insert(0, connection)
        print(block.number, number, f"{offset_s:.4f}", f"{latency_ms:.3f}", kind, status)

    def _what(self, kind: str) -> tuple[Any, ...]:
        room_id = self._plan.rooms[self._sent % len(self._plan.rooms)]
        room = f"/_matrix/client/v3/rooms/{room_id}"
        if kind == "send":
            path = f"{room}/send/m.room.message/{time.time_ns()}"
            return "PUT", path, {"msgtype": "m.text", "body": f"load {self._sent}"}
        if kind == "sync":
            return "GET", "/_matrix/client/v3/sync?timeout=0"
        if kind == "messages":
            return "GET", f"{room}/messages?dir=b&limit=20"
        if kind == "whoami":
            return "GET", "/_matrix/client/v3/account/whoami"
        return "GET", "/_matrix/client/v3/profile/@alice:bgthrottle.test"

    def _connection(self, number: int) -> Connection:
        return Connection(self._plan.host, self._plan.ports[number % len(self._plan.ports)])

    async def _poll(self, connection: Connection, token: str, begun: asyncio.Event) -> None:
        since = ""
        while True:
            path = f"/_matrix/client/v3/sync?timeout={_POLL_MS if since else 0}{since}"
            status, content = await connection.ask(token, "GET", path)
            if status == 200:
                since = f"&since={json.loads(content)['next_batch']}"
                begun.set()
            else:
                await asyncio.sleep(1)


def main() -> None:
    plan = Plan(**json.loads(Path(sys.argv[1]).read_text()))
    begin_s = time.monotonic()
    asyncio.run(Clients(plan).run())
    used = resource.getrusage(resource.RUSAGE_SELF)
    share = (used.ru_utime + used.ru_stime) / (time.monotonic() - begin_s)
    print(f"cpu {share:.4f}")


if __name__ == "__main__":
    main()
