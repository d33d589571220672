"""Badly behaving endpoints for the HTTP check."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from testbed.waiting import HANG_S

_MOST_SENT = 1 << 30
_MOST_IN_BUFFERS = 1 << 25  # of the operating system

Behaviour = Callable[[socket.socket], object]


class Endpoint:
    """Answers each connection with a behaviour.

    Attributes:
        asked: the requests, as received.
        ended: set once the client has closed a connection, without reading more of it than fits
            into the system's buffers.
        ended_count: number of such connections.
    """

    def __init__(self, behave: Behaviour) -> None:
        self._behave = behave
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.asked: list[bytes] = []
        self.ended = threading.Event()
        self.ended_count = 0
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                with connection:
                    connection.settimeout(HANG_S)
                    self.asked.append(connection.recv(65536))
                    with suppress(OSError):
                        self._behave(connection)
                        while connection.recv(65536):
                            pass
                self.ended_count += 1
                self.ended.set()

    def close(self) -> None:
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(HANG_S)


@contextmanager
def endpoint(behave: Behaviour) -> Iterator[Endpoint]:
    made = Endpoint(behave)
    try:
        yield made
    finally:
        made.close()


def sends(*parts: bytes, closes: bool = True) -> Behaviour:
    def behave(connection: socket.socket) -> None:
        for part in parts:
            connection.sendall(part)
        if closes:
            connection.shutdown(socket.SHUT_WR)

    return behave


def sends_for_ever(first: bytes, part: bytes, pause_s: float = 0.0) -> Behaviour:
    def behave(connection: socket.socket) -> None:
        connection.sendall(first)
        for sent in range(0, _MOST_SENT, len(part)):
            try:
                connection.sendall(part)
            except OSError:
                assert sent <= _MOST_IN_BUFFERS
                raise
            time.sleep(pause_s)
        raise AssertionError("all of it was read")

    return behave
