"""Two homeservers in one process share nothing, and one that shuts down leaves nothing."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest
from synapse.server import HomeServer

from testbed.faults import sqlite_data
from testbed.faults.restarts import API
from testbed.servers.matrix import MatrixClient
from testbed.servers.server import SynapseServer
from testbed.waiting import HANG_S, wait_until

pytestmark = pytest.mark.skipif(not hasattr(HomeServer, "shutdown"), reason="before Synapse 1.140")

_SLEEP = "Clock.sleep.<locals>.<lambda>"
# Once a minute an idle queue is looked at.
_IDLE = 1
_WAITING, _DONE = 0, 1


@attrs.define
class TwoServers:
    """A process with two servers, and what it says of itself."""

    servers: list[SynapseServer]
    _process: subprocess.Popen[str]

    def look(self) -> Any:
        return self._ask("look")

    def shut_down(self, number: int) -> Any:
        return self._ask(f"shutdown {number}")

    def pending(self, number: int) -> int:
        return sqlite_data.pending_updates(self.servers[number].database_path)

    def _ask(self, command: str) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(command, file=self._process.stdin, flush=True)
        for line in self._process.stdout:
            if line.startswith("ANSWER "):
                return json.loads(line.removeprefix("ANSWER "))
        raise AssertionError("the process has ended")


@contextmanager
def two_servers(
    folder: Path,
    modules: list[dict[str, Any] | None],
    stock: list[dict[str, Any]] | None = None,
) -> Iterator[TwoServers]:
    """Two on SQLite, with these configurations of the module, or of `background_updates`."""
    servers = []
    for number, (name, module) in enumerate(zip(("one", "two"), modules, strict=True)):
        extra: dict[str, Any] = {"server_name": f"{name}.test"}
        if stock is not None:
            extra["background_updates"] = stock[number]
        servers.append(SynapseServer(folder / name, module, extra))
    paths = [str(server.config_path) for server in servers]
    with (folder / "errors").open("w") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.end_to_end.server.two_servers", *paths],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
        ends = threading.Timer(HANG_S, process.kill)  # and with it the wait for an answer
        ends.start()
        try:
            yield TwoServers(servers, process)
        finally:
            ends.cancel()
            process.kill()
            process.communicate()


def _ours(calls: Mapping[str, int]) -> int:
    return sum(count for name, count in calls.items() if "bgthrottle" in name)


def test_with_the_module(tmp_path: Path) -> None:
    """What is paused and let go in one is not in the other; shut down, neither leaves a timer.

    One is shut down while an update waits for an hour, which a timer shows, the other while none
    is pending, when there is none.
    """
    with two_servers(tmp_path, [{"sleep": "1h"}] * 2) as both:
        kinds = both.look()["kinds"]
        assert (2, 2) == (kinds["SynapseHomeServer"], kinds["BackgroundUpdateThrottle"])
        admins = [MatrixClient.register(server.url, "admin", admin=True) for server in both.servers]
        wait_until(lambda: all("resting 1h" in _current(admin)[1] for admin in admins))
        wait_until(lambda: both.look()["calls"].get(_SLEEP) == 2 <= _ours(both.look()["calls"]))

        admins[_WAITING].call("POST", f"{API}/pause", {"for": "1d", "reason": "not this one"})
        _go(admins[_DONE], sleep="1s")  # it is not done before the other is shut down
        some = both.pending(_DONE)
        wait_until(lambda: both.pending(_DONE) < some - 1)
        assert ("held", some) == (_current(admins[_WAITING])[0], both.pending(_WAITING))
        assert [] == admins[_DONE].call("GET", f"{API}/status")["levers"][1:]

        both.shut_down(_WAITING)
        wait_until(lambda: both.look()["alive"] == [False, True])
        kinds = both.look()["kinds"]
        assert (1, 1) == (kinds["BackgroundUpdateThrottle"], kinds["Throttle"])
        some = both.pending(_DONE)
        wait_until(lambda: both.pending(_DONE) < some)
        _go(admins[_DONE], sleep=0)
        wait_until(lambda: both.pending(_DONE) == 0)
        wait_until(
            lambda: _ours(both.look()["calls"]) == _IDLE and not both.look()["calls"].get(_SLEEP)
        )
        assert both.look()["calls"]  # there are others, of Synapse

        both.shut_down(_DONE)
        wait_until(lambda: both.look()["calls"] == {})
        left = both.look()
        assert {0} == set(left["kinds"].values())
        assert [False, False] == left["alive"]


def test_stock_beside_it(tmp_path: Path) -> None:
    """Stock is freed too, but the timer of its rest stays in the process until that is over."""
    stock: list[dict[str, Any]] = [{"sleep_duration_ms": 3_600_000}, {"sleep_enabled": False}]
    with two_servers(tmp_path, [None, None], stock) as both:
        assert 0 == _ours(both.look()["calls"])
        wait_until(lambda: both.pending(_DONE) == 0)
        wait_until(lambda: both.look()["calls"].get(_SLEEP) == 1)
        both.shut_down(_WAITING)
        both.shut_down(_DONE)
        wait_until(lambda: both.look()["calls"] == {_SLEEP: 1})
        assert [False, False] == both.look()["alive"]


def _current(admin: MatrixClient) -> tuple[str, str]:
    (status,) = admin.call("GET", f"{API}/status")["databases"]
    decision = (status["current"] or {}).get("decision") or {"reason": ""}
    return status["state"], decision["reason"]


def _go(admin: MatrixClient, **settings: Any) -> None:
    admin.call("POST", f"{API}/override", {"update": "*", "settings": settings})
