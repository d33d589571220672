"""A module that records the names of all updates that its server can run."""

from pathlib import Path
from typing import Any

from synapse.module_api import ModuleApi


class NamesModule:
    """Its config names the file in which it writes."""

    def __init__(self, config: Any, api: ModuleApi) -> None:
        databases = api._hs.get_datastores().databases
        names = {name for each in databases for name in each.updates._background_update_handlers}
        Path(config["names"]).write_text("\n".join(sorted(names)))

    @staticmethod
    def parse_config(config: Any) -> Any:
        """As it is."""
        return config
