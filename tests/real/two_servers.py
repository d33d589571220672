"""Two homeservers in one process; one is shut down, then the other. Prints what is left of them."""

import gc
import json
import sys
import weakref
from typing import Any

from synapse.app import homeserver
from synapse.logging import context
from twisted.internet import defer, reactor, task

_REACTOR: Any = reactor
_CONTEXT: Any = context


def _make(path: str) -> Any:
    config = homeserver.load_or_generate_config(["-c", path])
    hs = homeserver.create_homeserver(config)
    homeserver.setup(hs)
    return hs


def _left(kinds: tuple[str, ...]) -> dict[str, int]:
    gc.collect()
    found: dict[str, int] = dict.fromkeys(kinds, 0)
    for thing in gc.get_objects():
        name = type(thing).__name__
        if name in found and type(thing).__module__.startswith(("synapse", "synapse_bgthrottle")):
            found[name] += 1
    return found


def _timers() -> int:
    return sum("bgthrottle" in repr(call) for call in _REACTOR.getDelayedCalls())


async def _run(paths: list[str]) -> dict[str, Any]:
    kinds = ("SynapseHomeServer", "BackgroundUpdateThrottle", "Throttle", "Iteration")
    servers = [_make(path) for path in paths]
    for hs in servers:
        await homeserver.start(hs, freeze=False)
    await task.deferLater(_REACTOR, 4, lambda: None)
    answer: dict[str, Any] = {"running": _left(kinds)}
    alive = [weakref.ref(hs) for hs in servers]
    del hs
    for number in range(len(servers)):
        await servers.pop(0).shutdown()
        await task.deferLater(_REACTOR, 2, lambda: None)
        gc.collect()
        answer[f"after {number + 1}"] = {
            **_left(kinds),
            "alive": [server() is not None for server in alive],
            "timers": _timers(),
        }
    return answer


def main() -> None:
    async def run() -> None:
        try:
            with _CONTEXT.LoggingContext(name="main", server_name="two"):
                answer = await _run(sys.argv[1:])
            print("ANSWER", json.dumps(answer), flush=True)
        finally:
            _REACTOR.stop()

    def start() -> None:
        with _CONTEXT.PreserveLoggingContext():
            defer.ensureDeferred(run())

    _REACTOR.callWhenRunning(start)
    _REACTOR.run()


if __name__ == "__main__":
    main()
