"""The driver's side of the load: starts its process, sends it blocks, and reads its output."""

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from testbed.data.template import Crowd
from testbed.servers.process import ends_with_us


class Sender:
    """The load's process; ready when its pollers wait.

    Args:
        urls: of the processes that answer, in turns.
    """

    def __init__(self, folder: Path, urls: Sequence[str], crowd: Crowd, load: str):
        plan = {
            "host": "127.0.0.1",
            "ports": [int(url.rsplit(":", 1)[1]) for url in urls],
            "token": crowd.admin,
            "poller_tokens": crowd.tokens,
            "rooms": crowd.rooms,
            "load": load,
        }
        plan_path, self._output_path = folder / "load.json", folder / "load.txt"
        plan_path.write_text(json.dumps(plan))
        command = ends_with_us(sys.executable, "-m", "testbed.data.load", str(plan_path))
        with self._output_path.open("wb") as output:
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=output)
        while not self._output_path.read_text().startswith("ready"):
            if self._process.poll() is not None:
                raise RuntimeError("the load's process ended before it was ready")
            time.sleep(0.05)

    def tell(self, number: int, begin_s: float, block_s: float, seed: int) -> None:
        """Announce the next block."""
        block = {"number": number, "begin_s": begin_s, "block_s": block_s, "seed": seed}
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(block).encode() + b"\n")
        self._process.stdin.flush()

    def finish(self) -> list[list[str]]:
        """The fields of all its output lines; the last one is its own CPU time."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
        return [line.split() for line in self._output_path.read_text().splitlines()[1:]]
