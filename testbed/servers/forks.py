"""Synapse processes forked from one that has imported Synapse: each saves two CPU seconds.

This works like Synapse's `complement_fork_starter`: until the fork there is only a stand-in for the
reactor. The fork server is `python -m testbed.servers.forks`. It reads a request from each
connection and answers the process id, and later the exit status. It never imports our module.
"""

import ctypes
import gc
import importlib
import importlib.util
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from testbed.waiting import HANG_S, within

APPS = ("synapse.app.homeserver", "synapse.app.generic_worker")
_PROXY = "synapse.app.complement_fork_proxied_reactor"


def is_possible() -> bool:
    """Whether this Synapse has the stand-in, and measures the reactor that replaces it."""
    if sys.platform != "linux" or importlib.util.find_spec(_PROXY) is None:
        return False
    spec = importlib.util.find_spec("synapse.metrics._reactor_metrics")
    source = Path(spec.origin).read_text() if spec is not None and spec.origin else ""
    return "def install_reactor_metrics" in source


class ForkedProcess:
    """The needed part of Popen's interface; the process ends with the fork server.

    Attributes:
        pid: its id.
        returncode: as in Popen; None: it runs.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._answers = connection.makefile("rb")
        self.pid = int(self._answers.readline())
        self.returncode: int | None = None

    def poll(self) -> int | None:
        if self.returncode is None and select.select([self._connection], [], [], 0)[0]:
            self._ended()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            if not select.select([self._connection], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(f"forked process {self.pid}", timeout or 0.0)
            self._ended()
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _ended(self) -> None:
        # Without a status the fork server was killed, and this process with it.
        self.returncode = int(self._answers.readline() or -signal.SIGKILL)
        self._answers.close()
        self._connection.close()


class ForkServer:
    """The fork server, started when first needed; the folder is its own."""

    def __init__(self, folder: Path, command: list[str]) -> None:
        self._path = folder / "socket"
        self._log_path = folder / "forks.log"
        self._command = [*command, str(self._path)]
        self._process: subprocess.Popen[bytes] | None = None

    def launch(self, app: str, options: list[str], folder: Path, output: Path) -> ForkedProcess:
        """Start a Synapse process with these options in this folder."""
        if self._process is None:
            self._start()
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(str(self._path))
        request = [app, options, str(folder), str(output), dict(os.environ)]
        connection.sendall(json.dumps(request).encode() + b"\n")
        return ForkedProcess(connection)

    def stop(self) -> None:
        """End it and all processes that it forked."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _start(self) -> None:
        with self._log_path.open("wb") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)
        ended = self._process.poll
        if not within(HANG_S, self._path.exists, lambda: ended() is not None):
            raise RuntimeError(f"no fork server:\n{self._log_path.read_text()}")


def main(path: str) -> None:
    """Serve; in a child, run the requested process and end like it."""
    # Imported here, because users of this module need neither Synapse nor its stand-in.
    reactor: Any = importlib.import_module(_PROXY).ProxiedReactor()
    importlib.import_module("twisted.internet.main").installReactor(reactor)
    for app in APPS:
        importlib.import_module(app)
    gc.collect()
    gc.freeze()  # pages that the garbage collector never writes to stay shared
    request = _child_request(path)
    if request is not None:
        _become(reactor, *request)


def _child_request(path: str) -> list[Any] | None:
    """Fork for each request. Only returns in a child, with its request."""
    ended, waker = os.pipe()
    os.set_blocking(waker, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(waker)
    connections: dict[int, socket.socket] = {}
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(f"{path}.new")
    listener.listen()
    os.rename(f"{path}.new", path)  # once the path exists, clients can connect
    while True:
        both: list[Any] = [listener, ended]
        readable, _, _ = select.select(both, [], [])
        if ended in readable:
            os.read(ended, 1000)
            _tell_ended(connections)
        if listener in readable:
            connection, _ = listener.accept()
            with connection.makefile("rb") as lines:
                request: list[Any] = json.loads(lines.readline())
            process_id = os.fork()
            if not process_id:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                for other in (listener, connection, *connections.values()):
                    other.close()
                os.close(ended)
                os.close(waker)
                return request
            connections[process_id] = connection
            connection.sendall(b"%d\n" % process_id)


def _tell_ended(connections: dict[int, socket.socket]) -> None:
    while connections:
        process_id, status = os.waitpid(-1, os.WNOHANG)
        if not process_id:
            return
        connection = connections.pop(process_id)
        with suppress(OSError):  # the client may be gone
            connection.sendall(b"%d\n" % os.waitstatus_to_exitcode(status))
        connection.close()


def _become(
    reactor: Any, app: str, options: list[str], folder: str, output: str, env: dict[str, str]
) -> None:
    """Become a Synapse process, as if it had been started directly."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: it ends with the fork server
    os.setsid()
    os.chdir(folder)
    printed = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(printed, 1)
    os.dup2(printed, 2)
    os.close(printed)
    os.environ.clear()
    os.environ.update(env)
    time.tzset()
    sys.argv = [app, *options]
    epoll = importlib.import_module("twisted.internet.epollreactor")
    reactor._install_real_reactor(epoll.EPollReactor())
    sys.modules[app].main()


if __name__ == "__main__":
    main(sys.argv[1])
