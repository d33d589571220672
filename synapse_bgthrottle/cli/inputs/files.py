"""Reads what people name on the command line: bounded in size, and in time where it is a pipe."""

import os
import select
import stat
import time
from collections.abc import Mapping
from pathlib import Path

from synapse_bgthrottle.core.units import format_size_bytes

# Whoever writes may first be asked for a passphrase.
PIPE_S = 60.0


def user_file(environment: Mapping[str, str], variable: str, default: str, name: str) -> Path:
    """A file of ours below the folder in this XDG variable, or else below `default`."""
    home = environment.get(variable, "")
    folder = home if home.startswith("/") else os.path.expanduser(default)
    return Path(folder, "bgthrottle", name)


class UnusableFileError(Exception):
    """It is no file that can be read; the message says why, without its name."""


def read_file(file: Path, most_bytes: int, pipe_s: float | None = None) -> tuple[bytes, int]:
    """A file's content and mode. A pipe's writer may take `pipe_s`; None: pipes are refused.

    Raises UnusableFileError if it cannot be read, is too large, or is something else than a file.
    """
    try:
        # Without waiting: a pipe may have no writer. And its mode is that of what was
        # opened: another file of the same name may come at any time.
        with os.fdopen(os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as opened:
            mode = os.fstat(opened.fileno()).st_mode
            if stat.S_ISFIFO(mode) and pipe_s is not None:
                content = _from_pipe(opened.fileno(), most_bytes, pipe_s)
            elif stat.S_ISREG(mode):
                content = opened.read(most_bytes + 1)
            else:
                raise UnusableFileError("it is not a regular file: save it as one first")
    except OSError as error:
        raise UnusableFileError(error.strerror or str(error)) from None
    if len(content) > most_bytes:
        raise UnusableFileError(f"it has more than {format_size_bytes(most_bytes)}")
    return content, mode


def _from_pipe(pipe: int, most_bytes: int, pipe_s: float) -> bytes:
    content = bytearray()
    deadline_s = time.monotonic() + pipe_s
    poll = select.poll()
    poll.register(pipe, select.POLLIN)
    while len(content) <= most_bytes:
        left_s = deadline_s - time.monotonic()
        if left_s <= 0 or not poll.poll(left_s * 1000):
            raise UnusableFileError(f"the pipe did not come to its end within {pipe_s:g} s")
        part = os.read(pipe, 65_536)
        if not part:
            break
        content += part
    return bytes(content)
