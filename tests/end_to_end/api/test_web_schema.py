"""On a real server the HTTP API follows its description, whatever is sent."""

import subprocess
import sys
from importlib import resources
from pathlib import Path

import pytest

from testbed.servers.matrix import MatrixClient
from testbed.servers.server import SynapseServer
from testbed.waiting import HANG_S
from tests.end_to_end.api.web_server import TROUBLES

# Of what the description allows some is refused: settings that contradict one another.
_LEFT_OUT = "positive_data_acceptance"


def test_as_described(tmp_path: Path) -> None:
    """No 500 and no answer that is not described, for requests that are and that are not."""
    pytest.importorskip("schemathesis")
    description = resources.files("synapse_bgthrottle.api").joinpath("openapi.json")
    server = SynapseServer(tmp_path / "server", {"sleep": "10s"})
    with server:
        admin = MatrixClient.register(server.url, "admin", admin=True)
        done = subprocess.run(
            [
                *(sys.executable, "-m", "schemathesis.cli", "run", str(description)),
                *("--url", f"{server.url}/_synapse/bgthrottle"),
                *("--header", f"Authorization: Bearer {admin.token}"),
                *("--max-examples", "30", "--seed", "20261121", "--mode", "all", "--no-color"),
                *("--phases", "examples,coverage,fuzzing", "--exclude-checks", _LEFT_OUT),
                "--generation-deterministic",
            ],
            check=False,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=HANG_S,
        )
        print(done.stdout[-6000:], done.stderr)
        assert 0 == done.returncode
        assert admin.call("GET", "/_synapse/bgthrottle/v1/uses")["uses"]
        log = server.log()
        for trouble in TROUBLES:
            assert trouble not in log
