"""The command `bgthrottle` as a process, against a real server."""

import json
import subprocess
from typing import Any

import attrs

from testbed.servers.cli_process import Command
from tests.end_to_end.conftest import Api


@attrs.frozen
class Caller:
    """The server's administrator at the command."""

    api: Api
    command: Command

    def __call__(self, expected_status: int, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run it to its end, which must have this exit status; nothing is ever drawn or traced."""
        ended = self.command.run(*arguments)
        assert expected_status == ended.returncode, (arguments, ended.stdout, ended.stderr)
        for output in (ended.stdout, ended.stderr):
            assert "\x1b" not in output
            assert "Traceback" not in output
            assert self.api.admin.token not in output
        return ended

    def json(self, *arguments: str) -> Any:
        return json.loads(self(0, "-o", "json", *arguments).stdout)


def started(api: Api) -> Caller:
    """Start the server, for its administrator to call."""
    api.start()
    token_file = api.synapse.folder.parent / "token"
    return Caller(api, Command.of(api.synapse.url, api.admin.token, token_file))
