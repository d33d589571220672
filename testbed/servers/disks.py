"""Small disks, and how to fill them. Each is a context manager, and ends with its block."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def small_disk(folder: Path, size_mib: int) -> Iterator[Path]:
    """A disk of this size in memory, mounted at this folder.

    Raises:
        PermissionError: mounting is not allowed here.
    """
    folder.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={size_mib}m,mode=777", "tmpfs", str(folder)]
    if os.getuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode:
        raise PermissionError("mounting a small disk is not allowed here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=False)


@contextmanager
def full(folder: Path) -> Iterator[None]:
    """Fill the disk of this folder completely: only for one of `small_disk`."""
    filler = folder / "filler"
    try:
        for size in (1 << 20, 1 << 12, 1):
            with suppress(OSError), filler.open("ab", buffering=0) as file:
                while True:
                    file.write(b"\0" * size)
        yield
    finally:
        filler.unlink()
