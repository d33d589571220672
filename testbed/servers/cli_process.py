"""The command `bgthrottle` as a process of its own, for one server."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import attrs

from testbed.servers.process import ROOT
from testbed.waiting import HANG_S

COMMAND = (sys.executable, "-m", "synapse_bgthrottle.cli")


@attrs.frozen
class Command:
    """The caller of the command, and its server.

    Attributes:
        url: of the server.
        token_file: contains the caller's token.
    """

    url: str
    token_file: Path

    @classmethod
    def of(cls, url: str, token: str, token_file: Path) -> "Command":
        """Write the token into the file, readable only by its owner."""
        token_file.touch(mode=0o600)
        token_file.write_text(token)
        return cls(url, token_file)

    def environment(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        """Our environment without the caller's settings, and with the server."""
        ours = {
            name: value for name, value in os.environ.items() if not name.startswith("BGTHROTTLE")
        }
        return {
            **ours,
            "PYTHONPATH": str(ROOT),
            "XDG_CONFIG_HOME": str(self.token_file.parent / "no settings"),
            "BGTHROTTLE_URL": self.url,
            "BGTHROTTLE_TOKEN_FILE": str(self.token_file),
            **(more or {}),
        }

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run it to its end, without a terminal."""
        return subprocess.run(
            [*COMMAND, *arguments],
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=HANG_S,
            check=False,
        )

    def start(self, output: Path, *arguments: str) -> subprocess.Popen[bytes]:
        """Start it without a terminal; its output goes into the file."""
        with output.open("wb") as file:
            return subprocess.Popen(
                [*COMMAND, *arguments],
                env=self.environment({"PYTHONUNBUFFERED": "1"}),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
            )
