"""Fixtures for all tests."""

from types import SimpleNamespace
from typing import Any

import pytest

from harness.virtual import VirtualServer


@pytest.fixture
def virtual_server(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes virtual servers on whose clock the module reads the time."""

    def make(**arguments: Any) -> VirtualServer:
        server = VirtualServer(**arguments)
        clock = SimpleNamespace(monotonic=server.clock.monotonic, time=server.clock.time)
        monkeypatch.setattr("synapse_bgthrottle.homeserver.time", clock)
        return server

    return make
