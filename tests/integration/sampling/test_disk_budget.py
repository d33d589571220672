"""A disk that fills up and gets space again, with the default configuration."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

import pytest

from soak.faults.fault_runs import DISK_SEEN_WITHIN_S
from testbed.virtual.server import VirtualServer, Work
from tests.integration.virtual_module import run

MakeServer = Callable[..., VirtualServer]

_MUCH, _LITTLE = 1 << 40, 1 << 29


@pytest.mark.parametrize("before_s", [0.0, 3.3, 6.6, 9.9])
@pytest.mark.parametrize("outage_s", [1, 11, 30])
def test_a_disk_that_has_room_again(
    virtual_server: MakeServer, tmp_path: Path, before_s: float, outage_s: float
) -> None:
    """Updates are held from the next look on, and go on within the shortest hold and one look."""
    server = virtual_server()
    server.pools["master"].use_file(tmp_path / "queue.db")
    work = Work(server, 10**9, cost_ms=1)
    disk = SimpleNamespace(free=_MUCH)

    def is_held() -> bool:
        return server.clock.monotonic() - work.starts_s[-1] > 0.5

    with patch(
        "synapse_bgthrottle.homeserver.sampling.operator_checks.shutil.disk_usage",
        return_value=disk,
    ):
        run(server, {}, work, 20 + before_s)
        assert not is_held()
        disk.free = _LITTLE
        server.advance(outage_s)
        assert is_held() or outage_s < 10
        tried, disk.free = len(work.starts_s), _MUCH
        server.advance(DISK_SEEN_WITHIN_S)
        assert not is_held()
    assert len(work.starts_s) > tried
