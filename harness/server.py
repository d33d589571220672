"""Starts and ends a real Synapse, in a folder of its own, on 127.0.0.1 and a free port."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

MODULE = "synapse_bgthrottle.BackgroundUpdateThrottle"
SERVER_NAME = "bgthrottle.test"
REGISTRATION_SECRET = "only-for-this-server"

_LIMITLESS = {"per_second": 1e6, "burst_count": 1_000_000}
_LOG_FORMAT = "%(asctime)s.%(msecs)03d %(levelname)s %(name)s: %(message)s"
_LOG_DATE_FORMAT = "%Y-%m-%dT%H:%M:%S"


# prctl(PR_SET_PDEATHSIG, SIGKILL), which outlasts the exec.
_END_WITH_PARENT = (
    "import ctypes, os, sys; ctypes.CDLL(None).prctl(1, 9); os.execv(sys.argv[1], sys.argv[1:])"
)


def ends_with_us(*command: str) -> list[str]:
    """The command, as one that the kernel ends with its parent, where it is Linux."""
    if sys.platform != "linux":
        return list(command)
    return [sys.executable, "-c", _END_WITH_PARENT, *command]


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


class SynapseServer:
    """One Synapse on SQLite.

    Args:
        folder: of its own; database, configuration and log are in it.
        module_config: the module's configuration; None leaves the module out.
        extra: further keys of homeserver.yaml, which win.
        module_log_level: how much the module logs.

    Attributes:
        log_path, database_path: in the folder.
        url: where it listens.
    """

    def __init__(
        self,
        folder: Path,
        module_config: Mapping[str, Any] | None,
        extra: Mapping[str, Any] | None = None,
        module_log_level: str = "DEBUG",
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.log_path = folder / "homeserver.log"
        self.database_path = folder / "homeserver.db"
        self.config_path = folder / "homeserver.yaml"
        self._output_path = folder / "output.log"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None
        modules = [] if module_config is None else [{"module": MODULE, "config": module_config}]
        self._write_config({"modules": modules, **(extra or {})}, module_log_level)

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
        with self._output_path.open("ab") as output:
            self.process = subprocess.Popen(
                ends_with_us(
                    sys.executable, "-m", "synapse.app.homeserver", "-c", str(self.config_path)
                ),
                cwd=self.folder,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
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
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        ticks: int = os.sysconf("SC_CLK_TCK")
        return (int(fields[11]) + int(fields[12])) / ticks

    def exit_status(self) -> int | None:
        return None if self.process is None else self.process.poll()

    def log(self) -> str:
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def output(self) -> str:
        """What it printed, mostly errors of its configuration."""
        return self._output_path.read_text(errors="replace")

    def __enter__(self) -> SynapseServer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _write_config(self, extra: Mapping[str, Any], module_log_level: str) -> None:
        log_config = {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"plain": {"format": _LOG_FORMAT, "datefmt": _LOG_DATE_FORMAT}},
            "handlers": {
                "file": {
                    "class": "logging.FileHandler",
                    "filename": str(self.log_path),
                    "formatter": "plain",
                }
            },
            "loggers": {
                "synapse_bgthrottle": {"level": module_log_level},
                "synapse.access": {"level": "WARNING"},
            },
            "root": {"level": "INFO", "handlers": ["file"]},
        }
        log_config_path = self.folder / "log.yaml"
        log_config_path.write_text(yaml.safe_dump(log_config))
        config = {
            "server_name": SERVER_NAME,
            "report_stats": False,
            "signing_key_path": str(self.folder / "signing.key"),
            "pid_file": str(self.folder / "homeserver.pid"),
            "media_store_path": str(self.folder / "media"),
            "log_config": str(log_config_path),
            "registration_shared_secret": REGISTRATION_SECRET,
            "suppress_key_server_warning": True,
            "trusted_key_servers": [],
            "database": {"name": "sqlite3", "args": {"database": str(self.database_path)}},
            "listeners": [
                {
                    "port": self.port,
                    "bind_addresses": ["127.0.0.1"],
                    "type": "http",
                    "resources": [{"names": ["client"]}],
                }
            ],
            "rc_message": _LIMITLESS,
            "rc_registration": _LIMITLESS,
            "rc_login": {"address": _LIMITLESS, "account": _LIMITLESS},
            "rc_joins": {"local": _LIMITLESS, "remote": _LIMITLESS},
            **extra,
        }
        self.config_path.write_text(yaml.safe_dump(config))
        key_path = self.folder / "signing.key"
        if not key_path.exists():
            key_path.write_text("ed25519 a_test uS6Bb0Xl2oRPsM7zPIV3qIFEdBT4ZzDd2wUyUqO6kzE\n")
