"""`make demo`, with fewer messages."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from testbed.servers.versions import SYNAPSE, is_at_least
from testbed.waiting import HANG_S

ROOT = Path(__file__).parents[3]


@pytest.mark.skipif(not is_at_least(1, 74), reason=f"Synapse {SYNAPSE} lacks an update of the demo")
def test_demo(tmp_path: Path) -> None:
    """The demo ends by itself with status 0, and says what it asked for and measured."""
    command = [sys.executable, "-m", "demo", "--messages", "400", "--folder", str(tmp_path / "d")]
    demo = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=HANG_S, check=False
    )
    assert 0 == demo.returncode, demo.stdout + demo.stderr
    for said in (
        "updates are pending",
        "safe to upgrade: nothing is pending",
        "Asked and measured:",
        "Errors              0",
    ):
        assert said in demo.stdout
    assert re.search(r"UTC +event_search +master +done ", demo.stdout)
    assert "PROBLEM" not in demo.stdout
    assert "\x1b" not in demo.stdout, "plain lines where there is no terminal"
