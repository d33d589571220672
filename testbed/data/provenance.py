"""Where a result comes from, and where its data are kept."""

import json
import os
import platform
import shlex
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any


def cache_folder(folder: Path) -> Path:
    """The folder for templates of this Synapse version: another version may have another schema."""
    return folder.resolve() / f"synapse-{version('matrix-synapse')}"


def command() -> str:
    """The command line of this process."""
    return shlex.join(["python", *sys.orig_argv[1:]])


def machine() -> dict[str, Any]:
    """The machine, the versions and the date."""
    info = Path("/proc/meminfo")
    memory = info.read_text().split("\n", 1)[0].split()[1] if info.exists() else "0"
    return {
        "cores": os.cpu_count(),
        "memory_gib": round(int(memory) / 2**20),
        "processor": platform.machine(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "synapse": version("matrix-synapse"),
        "date": time.strftime("%Y-%m-%d"),
    }


def write(path: Path, measured: dict[str, Any]) -> None:
    """Write it as JSON, with the machine and the command."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"machine": machine(), "command": command(), **measured}))
