"""Finds the module's configuration in a YAML file, and the place of each part of it."""

from pathlib import Path
from typing import Any

import attrs
import yaml

MODULE = "synapse_bgthrottle.BackgroundUpdateThrottle"


class NotAConfigError(Exception):
    """The file is no YAML, or does not list the module."""


@attrs.frozen
class ConfigFile:
    """The module's configuration in a file.

    Attributes:
        raw: as YAML has it.
        path: of the configuration within the file, in Synapse's spelling.
        has_server_settings: whether the file has Synapse's own section `background_updates:`.
        server_section: that section; None: there is none.
    """

    raw: Any
    path: tuple[str, ...]
    has_server_settings: bool
    _root: Any
    server_section: Any = None

    def position(self, path: tuple[str, ...]) -> tuple[int, int]:
        """Line and column, from 1, of a part of the configuration, or of what would hold it."""
        node = self._root
        place = node
        for name in (*self.path, *path):
            if isinstance(node, yaml.MappingNode):
                pairs = [pair for pair in node.value if pair[0].value == name]
                if not pairs:
                    break
                place, node = pairs[0]
            elif isinstance(node, yaml.SequenceNode) and name.startswith("<item "):
                place = node = node.value[int(name[6:-1])]
        return place.start_mark.line + 1, place.start_mark.column + 1


def read_config_file(file: Path) -> ConfigFile:
    """Read a homeserver.yaml, or a file that is the module's configuration itself.

    Raises:
        NotAConfigError: it is neither.
    """
    try:
        text = file.read_text(encoding="utf-8")
        root, content = yaml.compose(text), yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, OSError, RecursionError) as error:
        raise NotAConfigError(f"cannot be read: {error}") from error
    if not isinstance(content, dict) or not {"modules", "server_name"} & set(content):
        return ConfigFile({} if content is None else content, (), False, root)
    modules = content.get("modules")
    for number, item in enumerate(modules if isinstance(modules, list) else ()):
        if isinstance(item, dict) and item.get("module") == MODULE:
            path = ("modules", f"<item {number}>", "config")
            section = content.get("background_updates")
            return ConfigFile(item.get("config") or {}, path, bool(section), root, section)
    raise NotAConfigError(f"`modules:` does not list {MODULE}")
