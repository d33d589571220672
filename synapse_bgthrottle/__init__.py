"""A Synapse module that throttles background database updates."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from synapse_bgthrottle._version import __version__

if TYPE_CHECKING:
    from synapse_bgthrottle.module import BackgroundUpdateThrottle

__all__ = ["BackgroundUpdateThrottle", "__version__"]


def __getattr__(name: str) -> Any:
    # Late, so that whoever needs only the pure core does not import Synapse.
    if name == "BackgroundUpdateThrottle":
        return import_module("synapse_bgthrottle.module").BackgroundUpdateThrottle
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
