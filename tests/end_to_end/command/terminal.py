"""A program in a terminal of its own: its screen, and keys."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Mapping, Sequence

from typing_extensions import Self

from testbed import waiting

# Ctrl-C is for those whose controlling terminal it is.
_LAUNCH = """
import fcntl, os, signal, sys, termios
signal.signal(signal.SIGINT, signal.SIG_DFL)  # a job in the background of a shell ignores it
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """Of so many columns and 24 rows. A context manager, which ends the program.

    Attributes:
        drawn: all that was written so far.
    """

    def __init__(self, arguments: Sequence[str], environment: Mapping[str, str], columns: int):
        self.drawn = ""
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        self._process = subprocess.Popen(
            [sys.executable, "-c", _LAUNCH, *arguments],
            env={**environment, "TERM": "xterm-256color"},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)

    def read_until(self, is_enough: Callable[[str], object]) -> None:
        """Read until what was drawn is enough.

        Raises:
            HangError: it is not; with what was drawn.
        """

        def read() -> bool:
            self._read()
            return bool(is_enough(self.drawn))

        if not waiting.within(waiting.HANG_S, read):
            raise waiting.hang(f"drawn was\n{self.drawn}")

    def press(self, keys: bytes) -> None:
        """As a person at the keyboard does."""
        os.write(self._ours, keys)

    def send(self, number: int) -> None:
        """Send the program a signal."""
        self._process.send_signal(number)

    @property
    def has_cursor(self) -> bool:
        """Whether the cursor is shown, by what was drawn last."""
        return self.drawn.rfind("\x1b[?25h") >= self.drawn.rfind("\x1b[?25l")

    def end(self) -> int:
        """Wait for the program's end; answers its exit status."""
        self.read_until(lambda _: self._process.poll() is not None)
        self._read()
        return self._process.wait(0)

    def lines(self) -> list[str]:
        """What was drawn, without what moves the cursor or colours."""
        return _CONTROL.sub("", self.drawn).replace("\r", "\n").split("\n")

    def _read(self) -> None:
        if select.select([self._ours], [], [], 0.05)[0]:
            try:
                self.drawn += os.read(self._ours, 65536).decode(errors="replace")
            except OSError:  # nobody has the other end any more
                time.sleep(0.01)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        os.close(self._ours)
