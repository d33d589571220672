"""All long runs, one after the other: `python -m soak`; or some: `python -m soak faults kills`.

Each runs even if an earlier one failed. The exit status is 1 if any failed. The folder .soak keeps
their results.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from soak.records import Records

PARTS: Mapping[str, Sequence[str]] = {
    "faults": ("soak.faults.server_faults",),
    "updates": ("soak.faults.misbehaving_updates",),
    "kills": ("soak.faults.kills",),
    "pauses": ("benchmarks.cost.kills",),
    "pauses-postgres": ("benchmarks.cost.kills", "--database", "postgres"),
    "iterations": ("soak.faults.iterations",),
    "iterations-stock": ("soak.faults.iterations", "--stock", "--output", ".soak/iterations-stock"),
    "injection": ("soak.injection.inject",),
    "memory": ("soak.fuzzing.memory",),
    "endurance": ("soak.fuzzing.endurance",),
    "configs": ("soak.fuzzing.configs", "--fuzz", "300"),
}


def run(parts: Mapping[str, Sequence[str]], output: Path) -> int:
    """Run modules with their arguments. Returns the exit status."""
    records = Records(output, "All long runs")
    for name, command in parts.items():
        print(f"== {name}: python -m {' '.join(command)}", flush=True)
        begin = time.monotonic()
        status = subprocess.run([sys.executable, "-m", *command], check=False).returncode
        minutes = round((time.monotonic() - begin) / 60, 1)
        breaches = [f"exit status {status}"] if status else []
        records.add({"run": name, "minutes": minutes, "status": status}, name, breaches)
    print(output.with_suffix(".md").read_text())
    return records.status()


def main() -> int:
    parser = argparse.ArgumentParser(prog="soak", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}")
    parser.add_argument("--output", type=Path, default=Path(".soak/all"))
    options = parser.parse_args()
    for name in options.parts:
        if name not in PARTS:
            parser.error(f"there is no part {name}; there are {', '.join(PARTS)}")
    chosen = {name: PARTS[name] for name in options.parts or PARTS}
    return run(chosen, options.output)


if __name__ == "__main__":
    sys.exit(main())
