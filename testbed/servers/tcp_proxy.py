"""A TCP proxy on 127.0.0.1, whose connections can be reset or blocked."""

import asyncio
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import yaml
from typing_extensions import Self

from testbed.servers.process import free_port
from testbed.waiting import HANG_S

# On close, send RST instead of FIN, and drop unsent data.
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class TcpProxy:
    """Forwards connections from `port` to another port of this machine; a context manager.

    Attributes:
        port: where it listens.
    """

    def __init__(self, target_port: int) -> None:
        self.port = free_port()
        self._target_port = target_port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._open = asyncio.Event()
        self._writers: set[asyncio.StreamWriter] = set()

    def lead(self, config_path: Path) -> None:
        """Make the server with this homeserver.yaml use the proxy from its next start on."""
        config = yaml.safe_load(config_path.read_text())
        for database in (config.get("databases") or {"": config["database"]}).values():
            database["args"]["port"] = self.port
        config_path.write_text(yaml.safe_dump(config))

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._writers) // 2

    def reset(self) -> int:
        """Reset all connections at both ends. Returns the number of ends."""
        return int(self._run(self._reset()))

    @contextmanager
    def silent(self) -> Iterator[None]:
        """Forward nothing and report no error, like a pulled cable."""
        self._loop.call_soon_threadsafe(self._open.clear)
        try:
            yield
        finally:
            self._loop.call_soon_threadsafe(self._open.set)

    def __enter__(self) -> Self:
        self._thread.start()
        self._run(self._listen())
        return self

    def __exit__(self, *_: object) -> None:
        self.reset()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(HANG_S)

    def _run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(HANG_S)

    async def _listen(self) -> None:
        self._open.set()
        await asyncio.start_server(self._connect, "127.0.0.1", self.port)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            there = await asyncio.open_connection("127.0.0.1", self._target_port)
        except OSError:  # nothing listens there
            self._end(writer)
            return
        self._writers.add(there[1])
        await asyncio.gather(self._pass_on(reader, there[1]), self._pass_on(there[0], writer))

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(1 << 16):
                await self._open.wait()
                writer.write(data)
                await writer.drain()
        self._end(writer)

    def _end(self, writer: asyncio.StreamWriter) -> None:
        self._writers.discard(writer)
        writer.close()

    async def _reset(self) -> int:
        ends = list(self._writers)
        for writer in ends:
            with suppress(OSError):
                connection: socket.socket = writer.get_extra_info("socket")
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            writer.transport.abort()
        self._writers.clear()
        return len(ends)
