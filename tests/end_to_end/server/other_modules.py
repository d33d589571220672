"""Modules beside ours: one looks, one breaks."""

from pathlib import Path
from typing import Any
from unittest.mock import patch

from synapse.module_api import ModuleApi

from synapse_bgthrottle.core.scheduling.throttle import Throttle


class NamesModule:
    """Records the names of all updates that its server can run, in the file of its config."""

    def __init__(self, config: Any, api: ModuleApi) -> None:
        databases = api._hs.get_datastores().databases
        names = {name for each in databases for name in each.updates._background_update_handlers}
        Path(config["names"]).write_text("\n".join(sorted(names)))

    @staticmethod
    def parse_config(config: Any) -> Any:
        """As it is."""
        return config


class UndecidingModule:
    """Makes each decision of ours fail."""

    def __init__(self, config: Any, api: ModuleApi) -> None:
        patch.object(Throttle, "decide", side_effect=ZeroDivisionError("of our own")).start()

    @staticmethod
    def parse_config(config: Any) -> Any:
        """As it is."""
        return config
