"""The command `bgthrottle` as a process, against a real server."""

import json
import subprocess
from typing import Any

import attrs

from testbed.servers.cli_process import Command
from testbed.waiting import HANG_S
from tests.end_to_end.conftest import Api


@attrs.frozen
class Caller:
    """The server's administrator at the command."""

    api: Api
    command: Command

    def __call__(self, expected_status: int, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run it to its end, which must have this exit status; nothing is ever drawn or traced."""
        ended = self.command.run("--timeout", f"{HANG_S:g}s", *arguments)
        assert expected_status == ended.returncode, (arguments, ended.stdout, ended.stderr)
        for output in (ended.stdout, ended.stderr):
            assert "\x1b" not in output
            assert "Traceback" not in output
            assert self.api.admin.token not in output
        return ended

    def late(self) -> subprocess.CompletedProcess[str]:
        """`wait` until its own time-out ends it, which is long enough for one answer."""
        for timeout in ("500ms", "5s", "50s"):
            ended = self.command.run("wait", "--timeout", timeout)
            if ended.returncode != 4:  # the server did not answer so soon
                break
        assert 5 == ended.returncode, (ended.stdout, ended.stderr)
        return ended

    def json(self, *arguments: str) -> Any:
        return json.loads(self(0, "-o", "json", *arguments).stdout)


def started(api: Api) -> Caller:
    """Start the server, for its administrator to call."""
    api.start()
    token_file = api.synapse.folder.parent / "token"
    return Caller(api, Command.of(api.synapse.url, api.admin.token, token_file))
