"""How long the command takes to start, as multiples of the start of Python alone.

`python -m benchmarks.cost.startup` runs all commands in turn, several times, so that a busy moment
affects all of them. Commands that need a server use a closed port, and end at once.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from testbed.servers.cli_process import COMMAND, Command
from testbed.servers.process import free_port
from testbed.servers.server import MODULE

_BARE = (sys.executable, "-c", "pass")
_CONFIG = {"modules": [{"module": MODULE, "config": {"profile": "balanced"}}], "server_name": "x"}
_AIM_HELP, _AIM = 8.0, 25.0


def _commands(config: Path) -> dict[str, Sequence[str]]:
    return {
        "--help": ["--help"],
        "status --help": ["status", "--help"],
        "status": ["status"],
        "status -o json": ["status", "-o", "json"],
        "watch": ["watch"],
        "wait": ["wait"],
        "check": ["check"],
        "pause": ["pause", "x"],
        "resume": ["resume"],
        "release": ["release", "x"],
        "set": ["set", "x", "sleep=1s"],
        "run": ["run", "regenerate_directory"],
        "history": ["history"],
        "explain": ["explain", "x"],
        "explain --config": ["explain", "x", "--config", str(config)],
        "forecast": ["forecast"],
        "check-config": ["check-config", str(config)],
    }


def measure(runs: int) -> dict[str, list[tuple[float, float]]]:
    """For each command, the ms and the CPU ms of each run; `bare` is `python -c pass`."""
    took_ms: dict[str, list[tuple[float, float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "homeserver.yaml")
        config.write_text(yaml.safe_dump(_CONFIG))
        command = Command.of(f"http://127.0.0.1:{free_port()}", "unused", Path(folder, "token"))
        environment = command.environment()
        starts = {name: [*COMMAND, *given] for name, given in _commands(config).items()}
        starts = {"python -c pass": [*_BARE], **starts}
        for number in range(runs + 1):  # the first one fills caches, and does not count
            for name, arguments in starts.items():
                passed = _run(arguments, environment)
                if number:
                    took_ms.setdefault(name, []).append(passed)
    return took_ms


def _run(arguments: Sequence[str], environment: Mapping[str, str]) -> tuple[float, float]:
    nowhere = subprocess.DEVNULL
    begin_s = time.perf_counter()
    process = subprocess.Popen(
        arguments, env=environment, stdin=nowhere, stdout=nowhere, stderr=nowhere
    )
    _, status, used = os.wait4(process.pid, 0)
    passed_s = time.perf_counter() - begin_s
    process.returncode = os.waitstatus_to_exitcode(status)
    return passed_s * 1000, (used.ru_utime + used.ru_stime) * 1000


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=20, help="of each")
    options = parser.parse_args()
    medians_ms = {
        name: [statistics.median(each) for each in zip(*runs, strict=True)]
        for name, runs in measure(options.runs).items()
    }
    bare_ms, bare_cpu_ms = medians_ms.pop("python -c pass")
    print(
        f"python -c pass: {bare_ms:.1f} ms, {bare_cpu_ms:.1f} of CPU; medians of {options.runs}\n"
    )
    print("| command | ms | times a bare Python | of CPU alone | aim |\n|---|---|---|---|---|")
    missed = 0
    for name, (ms, cpu_ms) in medians_ms.items():
        aim = _AIM_HELP if name == "--help" else _AIM
        missed += ms / bare_ms > aim
        ratios = f"{ms / bare_ms:.1f} | {cpu_ms / bare_cpu_ms:.1f}"
        print(f"| `{name}` | {ms:.0f} | {ratios} | {aim:.0f} |")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
