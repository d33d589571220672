"""Child processes that end with us, whatever happens."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from pathlib import Path

from typing_extensions import Self

from testbed.servers.forks import APPS, ForkedProcess, ForkServer

ROOT = Path(__file__).parents[2]

# prctl(PR_SET_PDEATHSIG, SIGKILL) outlasts the exec, but not a change of user.
_LAUNCH = """
import ctypes, os, sys
user = int(sys.argv[1])
if user:
    os.setgroups([]); os.setgid(int(sys.argv[2])); os.setuid(user)
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, 9)
os.execv(sys.argv[3], sys.argv[3:])
"""


def ends_with_us(*command: str, user: int = 0, group: int = 0) -> list[str]:
    """The command, as another user if one is given, ended with its parent where it is Linux."""
    return [sys.executable, "-c", _LAUNCH, str(user), str(group), *command]


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def cpu_s(process_id: int) -> float:
    """CPU time of a process so far, in seconds, with that of children that ended (Linux)."""
    fields = Path(f"/proc/{process_id}/stat").read_text().rsplit(")", 1)[1].split()
    ticks: int = os.sysconf("SC_CLK_TCK")
    return sum(int(field) for field in fields[11:15]) / ticks


def rss_mib(process_id: int) -> float:
    """The memory that a process has; 0 where it is gone (Linux)."""
    with suppress(OSError):
        for line in Path(f"/proc/{process_id}/status").read_text().splitlines():
            if line.startswith("VmRSS"):
                return round(int(line.split()[1]) / 1024, 1)
    return 0.0


class SynapseProcess:
    """A process of Synapse that answers `/health`.

    Args:
        app: the Python module to run.
        config_paths: its configuration.
        folder: its working directory; what it prints is in it.
        port: where it answers.
        log_path: its log.
        python: of another virtual environment; None: ours.

    Attributes:
        forks: what forks those of our own environment; None: each imports Synapse itself.
    """

    forks: ForkServer | None = None

    def __init__(
        self,
        app: str,
        config_paths: list[Path],
        folder: Path,
        port: int,
        log_path: Path,
        python: Path | None = None,
    ) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.log_path = log_path
        self.process: subprocess.Popen[bytes] | ForkedProcess | None = None
        self._folder = folder
        self._output_path = log_path.with_suffix(".output")
        self._app = app if python is None else ""
        self._options = [option for path in config_paths for option in ("-c", str(path))]
        self._command = ends_with_us(str(python or sys.executable), "-m", app, *self._options)

    def start(self, timeout_s: float = 60) -> None:
        """Start it and wait until it answers.

        Raises:
            RuntimeError: it ended, or does not answer; with what it printed.
        """
        self.launch()
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if self.process is None or self.process.poll() is not None:
                raise RuntimeError(f"Synapse ended at its start:\n{self.output()}")
            try:
                with urllib.request.urlopen(f"{self.url}/health", timeout=2):
                    return
            except OSError:
                time.sleep(0.05)
        self.stop()
        raise RuntimeError(f"Synapse does not answer:\n{self.output()}")

    def launch(self) -> None:
        """Start it and do not wait."""
        if self.forks is not None and self._app in APPS:
            self.process = self.forks.launch(
                self._app, self._options, self._folder, self._output_path
            )
            return
        with self._output_path.open("ab") as output:
            self.process = subprocess.Popen(
                self._command,
                cwd=self._folder,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONPATH": str(ROOT)},
                start_new_session=True,  # Ctrl-C in the terminal is the parent's to handle
            )

    def stop(self, timeout_s: float = 30) -> float:
        """SIGTERM, and SIGKILL where that does not end it; answers the seconds that it took."""
        if self.process is None:
            return 0.0
        begin = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        return time.monotonic() - begin

    def cpu_s(self) -> float:
        """CPU time of the running process so far, in seconds (Linux)."""
        assert self.process is not None
        return cpu_s(self.process.pid)

    def exit_status(self) -> int | None:
        return None if self.process is None else self.process.poll()

    def log(self, begin: int = 0) -> str:
        """From this byte on."""
        if not self.log_path.exists():
            return ""
        with self.log_path.open("rb") as log:
            log.seek(begin)
            return log.read().decode(errors="replace")

    def output(self) -> str:
        """What it printed, mostly errors of its configuration."""
        return self._output_path.read_text(errors="replace")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
