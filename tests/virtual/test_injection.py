"""A few of the calls that `make soak` makes fail, one at a time."""

import subprocess
import sys


def test_some_calls() -> None:
    """Each a life of its own: all work is done, and no iteration fails."""
    command = [sys.executable, "-m", "soak.injection", "--sample", "25", "--seed", "7"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=150, check=False)
    assert 0 == ended.returncode, ended.stdout + ended.stderr[-2000:]
    assert "25 runs; 0 bad" in ended.stdout
