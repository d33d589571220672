"""Fixtures for all tests."""

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from testbed.virtual.server import VirtualServer

# Each checkout has a root of its own for temporary folders. Whenever pytest starts, it closes the
# common one to other users, and PostgreSQL is another user where we are root.
_CHECKOUT = hashlib.sha256(str(Path(__file__).parent).encode()).hexdigest()[:8]
_ROOT = Path(tempfile.gettempdir()) / f"bgthrottle-tests-{os.getuid()}-{_CHECKOUT}"
_ROOT.mkdir(mode=0o711, exist_ok=True)
os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(_ROOT))

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
