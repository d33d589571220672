"""A module on the virtual server with two pending updates, for tests of levers."""

from collections.abc import Callable
from typing import Any

from synapse_bgthrottle.module import BackgroundUpdateThrottle
from testbed.virtual.server import VirtualServer, Work
from tests.integration.virtual_module import change_levers

MakeServer = Callable[..., VirtualServer]


class World:
    """A server with two updates pending, and the module."""

    def __init__(self, make: MakeServer, config: dict[str, Any]) -> None:
        self.server = make()
        self.works = {name: Work(self.server, 10**9, cost_ms=1) for name in ("event_a", "event_b")}
        for name, work in self.works.items():
            self.server.pools["master"].queue(name, work)
        self.module: BackgroundUpdateThrottle = self.server.load(config)
        self.server.advance(0)

    def change_levers(self, action: str, **request: Any) -> tuple[list[str], list[str], list[str]]:
        """Updates of the levers made, ended and in force."""
        told = change_levers(self.server, action, **request)
        made, ended, in_force = ([v["update"] for v in told[key]] for key in told if key != "notes")
        return made, ended, in_force
