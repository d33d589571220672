"""What every result says of where it comes from, and where the data for it is kept."""

from __future__ import annotations

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
    """Where templates of this Synapse are kept: another one may want another schema."""
    return folder.resolve() / f"synapse-{version('matrix-synapse')}"


def command() -> str:
    """How this was called."""
    return shlex.join(["python", *sys.orig_argv[1:]])


def machine() -> dict[str, Any]:
    """Where it runs, and when."""
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
    """As JSON, with the machine and the command."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"machine": machine(), "command": command(), **measured}))
