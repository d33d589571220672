"""Fixtures for all tests."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from hypothesis import settings

from testbed.virtual.server import VirtualServer

# An example may take as long as the machine makes it take: nothing here is about speed.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")


@pytest.fixture
def virtual_server() -> Iterator[Callable[..., VirtualServer]]:
    """Makes virtual servers; the module reads the time from the last one."""
    with ExitStack() as stack:

        def make(**arguments: Any) -> VirtualServer:
            server = VirtualServer(**arguments)
            stack.enter_context(server.in_charge())
            return server

        yield make
