"""The command `bgthrottle`. Never imports Synapse."""

import sys
from importlib import import_module


def main() -> None:
    """The command's entry point."""
    try:
        commands = import_module("synapse_bgthrottle.cli.main")
    except ImportError as error:
        sys.exit(f"bgthrottle: {error}; install it with pip install 'synapse-bgthrottle[cli]'")
    except KeyboardInterrupt:
        sys.exit(130)
    commands.bgthrottle(prog_name="bgthrottle")
