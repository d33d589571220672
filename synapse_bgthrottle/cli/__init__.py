"""The command `bgthrottle`. Never imports Synapse."""

import errno
import os
import sys
from contextlib import suppress
from importlib import import_module


def main() -> None:
    """The command's entry point."""
    if sys.stdout is None:
        _open_unwritable()
    try:
        commands = import_module("synapse_bgthrottle.cli.main")
    except ImportError as error:
        sys.exit(f"bgthrottle: {error}; install it with pip install 'synapse-bgthrottle[cli]'")
    except KeyboardInterrupt:
        sys.exit(130)
    try:
        commands.bgthrottle(prog_name="bgthrottle")
    except OSError as error:  # of --help; a command reports its own
        if not commands.is_of_output(error):
            raise
        if sys.stderr is not None:
            sys.stderr.write(f"Error: {commands.unwritten(error)}\n")
        sys.exit(1)
    finally:
        _drop_unwritten()


def _open_unwritable() -> None:
    """Standard output is closed: what is written to it fails, and nothing else gets its number."""
    with suppress(OSError):
        opened = os.open(os.devnull, os.O_RDONLY)
        if opened != 1:
            os.dup2(opened, 1)
            os.close(opened)
        sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)


def _drop_unwritten() -> None:
    """What could not be written is reported once, and not again when Python ends."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except OSError as error:
            if error.errno != errno.EPIPE:
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
