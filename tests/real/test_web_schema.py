"""The HTTP API does on a real server what its description says, whatever is sent."""

import subprocess
import sys
from importlib import resources
from pathlib import Path

import pytest

from tests.real.web_server import TROUBLES, running

# Of what the description allows some is refused: settings that contradict one another.
_LEFT_OUT = "positive_data_acceptance"


def test_as_described(tmp_path: Path) -> None:
    """No 500 and no answer that is not described, for requests that are and that are not."""
    pytest.importorskip("schemathesis")
    description = resources.files("synapse_bgthrottle.web").joinpath("openapi.json")
    with running(tmp_path / "server") as server:
        done = subprocess.run(
            [
                *(sys.executable, "-m", "schemathesis.cli", "run", str(description)),
                *("--url", f"{server.synapse.url}/_synapse/bgthrottle"),
                *("--header", f"Authorization: Bearer {server.tokens['admin']}"),
                *("--max-examples", "30", "--seed", "20261121", "--mode", "all", "--no-color"),
                *("--phases", "examples,coverage,fuzzing", "--exclude-checks", _LEFT_OUT),
                "--generation-deterministic",
            ],
            check=False,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
        )
        print(done.stdout[-6000:], done.stderr)
        assert 0 == done.returncode
        assert server.seen()
        log = server.synapse.log()
        for trouble in TROUBLES:
            assert trouble not in log
