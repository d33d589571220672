"""The installed version of Synapse, and its features."""

import importlib.util
from importlib.metadata import version

SYNAPSE = version("matrix-synapse")


def is_at_least(major: int, minor: int) -> bool:
    """Whether the installed Synapse is this version or newer."""
    return tuple(map(int, SYNAPSE.split(".")[:2])) >= (major, minor)


def has_module(name: str) -> bool:
    """Whether it has this Python module."""
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # a parent package may be a plain module in this version
        return False
