"""Child processes that always end with this process."""

import fcntl
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path
from typing import ClassVar

from typing_extensions import Self

from testbed import waiting
from testbed.servers.forks import APPS, ForkedProcess, ForkServer

ROOT = Path(__file__).parents[2]

# Time limit for one look at a server; it is repeated anyway.
_LOOK_S = 10.0

# prctl(PR_SET_PDEATHSIG, SIGKILL) survives exec, but not a change of user.
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
    """The command, perhaps as another user, which ends with its parent (Linux)."""
    return [sys.executable, "-c", _LAUNCH, str(user), str(group), *command]


# Below the ports for outgoing connections. Otherwise the system might use the port before the
# server starts, or while it is stopped.
_PORTS = range(15_000, 32_000)


def free_port() -> int:
    """A free port that no other process of ours on this machine gets."""
    path = Path(tempfile.gettempdir()) / f"bgthrottle-port-{os.getuid()}"
    with path.open("a+") as last:
        fcntl.flock(last, fcntl.LOCK_EX)
        last.seek(0)
        port = int(last.read() or _PORTS.start)
        while True:
            port = port + 1 if port + 1 in _PORTS else _PORTS.start
            with suppress(OSError), socket.socket() as listener:
                listener.bind(("127.0.0.1", port))
                break
        last.truncate(0)
        last.write(str(port))
    return port


def cpu_s(process_id: int) -> float:
    """CPU time of a process so far, in seconds, with that of its ended children (Linux)."""
    fields = Path(f"/proc/{process_id}/stat").read_text().rsplit(")", 1)[1].split()
    ticks: int = os.sysconf("SC_CLK_TCK")
    return sum(int(field) for field in fields[11:15]) / ticks


def rss_mib(process_id: int) -> float:
    """The memory of a process; 0: it has ended (Linux)."""
    with suppress(OSError):
        for line in Path(f"/proc/{process_id}/status").read_text().splitlines():
            if line.startswith("VmRSS"):
                return round(int(line.split()[1]) / 1024, 1)
    return 0.0


def has_ended(process_id: int) -> bool:
    """Whether it has ended, also where its parent never asks for its status (Linux).

    An orphan goes to the first process, and in some containers that one reaps nobody.
    """
    try:
        stat = Path(f"/proc/{process_id}/stat").read_text()
    except OSError:
        return True
    return stat.rsplit(")", 1)[1].split()[0] in "ZX"


class SynapseProcess:
    """A Synapse process that answers `/health`.

    Args:
        app: the Python module to run.
        config_paths: its configuration.
        folder: its working directory, and place of its output.
        port: where it listens.
        log_path: its log.
        python: of another virtual environment; None: ours.

    Attributes:
        forks: forks processes of our own environment; None: each imports Synapse itself.
        tokens: of its users, by URL; one of them may be an administrator's.
    """

    forks: ForkServer | None = None
    tokens: ClassVar[dict[str, list[str]]] = {}

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
        self._state_at_failure = ""
        self._options = [option for path in config_paths for option in ("-c", str(path))]
        self._command = ends_with_us(str(python or sys.executable), "-m", app, *self._options)

    def start(self) -> None:
        """Start it and wait until it answers.

        Raises:
            RuntimeError: it ended; the message has its output.
            HangError: it does not answer.
        """
        self.launch()
        waiting.wait_until(self._is_up)

    def _is_up(self) -> bool:
        if not self.is_running():
            raise RuntimeError(f"Synapse ended at its start:\n{self.output()}")
        try:
            with urllib.request.urlopen(f"{self.url}/health", timeout=_LOOK_S):
                return True
        except (OSError, HTTPException):
            return False

    def launch(self) -> None:
        """Start it without waiting."""
        waiting.watch(self)
        self._state_at_failure = ""
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
                start_new_session=True,  # Ctrl-C in the terminal is for the parent only
            )

    def stop(self) -> float:
        """Send SIGTERM, then SIGKILL if that does not end it. Returns the seconds that it took."""
        if self.process is None:
            return 0.0
        begin = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(waiting.HANG_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        return time.monotonic() - begin

    def kill(self) -> None:
        """Send SIGKILL, as in a power failure, and wait for the end."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def cpu_s(self) -> float:
        """CPU time of the running process so far, in seconds (Linux)."""
        assert self.process is not None
        return cpu_s(self.process.pid)

    def exit_status(self) -> int | None:
        return None if self.process is None else self.process.poll()

    def log(self, begin: int = 0) -> str:
        """The log from this byte on."""
        if not self.log_path.exists():
            return ""
        with self.log_path.open("rb") as log:
            log.seek(begin)
            return log.read().decode(errors="replace")

    def output(self) -> str:
        """Its output: mostly errors of its configuration."""
        return self._output_path.read_text(errors="replace")

    def state(self) -> str:
        """Its status and the end of its log, now or when a test failed."""
        return self._state_at_failure or "\n".join(
            (
                f"{self.log_path}: exit status {self.exit_status()}",
                f"  status: {self._status()}",
                waiting.last_lines(self.log()),
                waiting.last_lines(self.output() if self._output_path.exists() else ""),
            )
        )

    def _status(self) -> str:
        """The answer of the module's API, with the first token that is an administrator's."""
        answer = "no token is known"
        for token in reversed(self.tokens.get(self.url, []) if self.is_running() else []):
            request = urllib.request.Request(
                f"{self.url}/_synapse/bgthrottle/v1/status",
                headers={"Authorization": f"Bearer {token}"},
            )
            try:
                with urllib.request.urlopen(request, timeout=_LOOK_S) as body:
                    return str(body.read().decode())
            except (OSError, HTTPException) as error:
                answer = repr(error)
        return answer

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, _: object, error: object, __: object) -> None:
        if error is not None:
            self._state_at_failure = self.state()
        self.stop()
