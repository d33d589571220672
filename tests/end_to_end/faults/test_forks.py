"""Forked servers behave like those that import Synapse themselves."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from testbed.servers.forks import ForkServer, is_possible
from testbed.servers.process import ends_with_us, has_ended
from testbed.waiting import HANG_S, wait_until
from tests.end_to_end.conftest import RealServer

pytestmark = pytest.mark.skipif(not is_possible(), reason="this Synapse has no stand-in")

APP = "synapse.app.homeserver"


def fork_server(folder: Path) -> ForkServer:
    return ForkServer(folder, ends_with_us(sys.executable, "-m", "testbed.servers.forks"))


def test_ends(make_server: Callable[..., RealServer], tmp_path: Path) -> None:
    """The status of each is its own, by its error, its signal, and the fork server's end."""
    forks = fork_server(tmp_path)
    server = make_server({}).synapse
    output = tmp_path / "output"
    try:
        wrong = forks.launch(APP, ["-c", "nothing.yaml"], tmp_path, output)
        assert wrong.wait(HANG_S)
        assert "nothing.yaml" in output.read_text()
        options = ["-c", str(server.config_path)]
        killed, left = (forks.launch(APP, options, tmp_path, output) for _ in range(2))
        assert (None, None) == (killed.poll(), left.poll())
        with pytest.raises(subprocess.TimeoutExpired):
            left.wait(0.01)
        killed.kill()
        assert -9 == killed.wait(HANG_S)
        assert left.poll() is None
    finally:
        forks.stop()
    assert -9 == left.wait(HANG_S)
    wait_until(lambda: has_ended(left.pid))


def test_our_module_is_not_imported_before(tmp_path: Path) -> None:
    """A server imports it from its own path, once its configuration says so."""
    code = "import sys, testbed.servers.forks; sys.exit('synapse_bgthrottle' in sys.modules)"
    assert 0 == subprocess.run([sys.executable, "-c", code], check=False).returncode


def test_has_ended() -> None:
    """A process has ended whether or not its parent has asked for its status."""
    process = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
    assert not has_ended(process.pid)
    process.kill()
    wait_until(lambda: has_ended(process.pid))
    process.communicate()
    assert has_ended(process.pid)
