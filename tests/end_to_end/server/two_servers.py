"""Homeservers in one process, controlled by `look`, or `shutdown` and a number.

Each input line is answered by a line that begins with ANSWER and describes the process.
"""

import functools
import gc
import json
import sys
import threading
import weakref
from collections import Counter
from typing import Any

from synapse.app import homeserver
from synapse.logging import context
from twisted.internet import defer, reactor, task

_REACTOR: Any = reactor
_CONTEXT: Any = context
_KINDS = ("SynapseHomeServer", "BackgroundUpdateThrottle", "Throttle", "Iteration")


class _Servers:
    """Those that were started, by number; None: it has been shut down."""

    def __init__(self) -> None:
        self._servers: list[Any] = []
        self._alive: list[Any] = []

    async def start(self, paths: list[str]) -> None:
        self._servers = [_make(path) for path in paths]
        self._alive = [weakref.ref(server) for server in self._servers]
        for number in range(len(paths)):  # not by a name that would keep one alive
            await homeserver.start(self._servers[number], freeze=False)

    async def shut_down(self, number: int) -> None:
        server, self._servers[number] = self._servers[number], None
        await server.shutdown()

    def look(self) -> dict[str, Any]:
        gc.collect()
        kinds: Counter[str] = Counter(
            type(thing).__name__
            for thing in gc.get_objects()
            if type(thing).__name__ in _KINDS and type(thing).__module__.startswith("synapse")
        )
        return {
            "alive": [server() is not None for server in self._alive],
            "kinds": {kind: kinds[kind] for kind in _KINDS},
            "calls": Counter(_name(call) for call in _REACTOR.getDelayedCalls()),
        }


def _make(path: str) -> Any:
    config = homeserver.load_or_generate_config(["-c", path])
    hs = homeserver.create_homeserver(config)
    homeserver.setup(hs)
    return hs


def _name(call: Any) -> str:
    """What is to be called, with its description where it is a process of Synapse's."""
    function = getattr(call.func, "f", call.func)  # of a looping call
    while isinstance(function, functools.partial):
        function = function.func
    name = getattr(function, "__qualname__", type(function).__name__)
    return " ".join([name, *(text for text in call.args if isinstance(text, str))])


async def _answer(servers: _Servers, command: str) -> None:
    with _CONTEXT.LoggingContext(name="command", server_name="two"):
        if command != "look":
            await servers.shut_down(int(command.removeprefix("shutdown ")))
            await task.deferLater(_REACTOR, 0, lambda: None)
        print("ANSWER", json.dumps(servers.look()), flush=True)


def main() -> None:
    servers = _Servers()

    def read() -> None:
        for line in sys.stdin:
            _REACTOR.callFromThread(begin, _answer(servers, line.strip()))
        _REACTOR.callFromThread(_REACTOR.stop)

    async def run() -> None:
        with _CONTEXT.LoggingContext(name="main", server_name="two"):
            await servers.start(sys.argv[1:])
        threading.Thread(target=read, daemon=True).start()

    def begin(work: Any) -> None:
        with _CONTEXT.PreserveLoggingContext():
            defer.ensureDeferred(work).addErrback(fail)

    def fail(failure: Any) -> None:
        failure.printTraceback()
        _REACTOR.stop()  # whoever waits for an answer sees the end

    _REACTOR.callWhenRunning(lambda: begin(run()))
    _REACTOR.run()


if __name__ == "__main__":
    main()
