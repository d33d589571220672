"""A server on a Unix socket, with the command and the client."""

import asyncio
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from synapse_bgthrottle.client import AsyncClient, Client
from testbed.servers.cli_process import Command
from testbed.waiting import wait_until
from tests.end_to_end.conftest import RealServer

pytest.importorskip("synapse.config.server")


def test_unix_socket(make_server: Callable[..., RealServer], tmp_path: Path) -> None:
    """`unix:` and a path do all that a host does, on the versions of Synapse that can."""
    from synapse.config import server as config_of_server  # noqa: PLC0415

    if not hasattr(config_of_server, "UnixListenerConfig"):
        pytest.skip("this Synapse cannot listen on Unix sockets")
    server = make_server({"sleep": "1h"})
    with tempfile.TemporaryDirectory() as folder:  # its path has to be short
        path = Path(folder, "main.sock")
        config = yaml.safe_load(server.synapse.config_path.read_text())
        resources = [{"names": ["client"]}]
        config["listeners"].append({"path": str(path), "type": "http", "resources": resources})
        server.synapse.config_path.write_text(yaml.safe_dump(config))
        with server.synapse:
            wait_until(path.exists)
            token = server.admin.token
            command = Command.of(f"unix:{path}", token, tmp_path / "token")
            for arguments in (("status",), ("pause", "--yes"), ("history", "--uses"), ("resume",)):
                ended = command.run(*arguments)
                assert 0 == ended.returncode, ended.stderr
            assert "PROBLEM" not in command.run("status").stdout

            async def ask() -> bool:
                async with AsyncClient(f"unix:{path}", token) as client:
                    return (await client.throttle_status()).enabled

            assert asyncio.run(ask())
            with Client(f"unix:{path}", token) as client:
                assert client.throttle_status().enabled
        wrong = command.run("status")
        assert 4 == wrong.returncode
        assert f"Error: unix:{path}: " in wrong.stderr
