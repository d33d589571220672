"""The names of the updates that a Synapse has, read from its source. Nothing of it is run."""

import re
from importlib.util import find_spec
from pathlib import Path

from synapse_bgthrottle.core.config.update_names import UPDATE_NAMES

# A call, and what stands first in its brackets: a text, or the name of one.
_REGISTERED = re.compile(
    r"\.register_(?:noop_)?background_\w+\(\s*(?:update_name=)?(?:\"(\w+)\"|(?:\w+\.)*(\w+))\s*[,)]"
)
_CONSTANT = re.compile(r"^\s*([A-Z_][A-Z0-9_]+)(?:: \w+)? = \(?\s*\"(\w+)\"", re.MULTILINE)


def installed_update_names() -> frozenset[str]:
    """Those of the Synapse that is installed beside this command; empty: there is none."""
    try:
        spec = find_spec("synapse")
    except (ImportError, ValueError):
        spec = None
    folders = (spec and spec.submodule_search_locations) or ()
    return frozenset().union(*(update_names(Path(folder)) for folder in folders))


def known_updates() -> tuple[frozenset[str], str]:
    """The names of the updates that there are, and who knows them."""
    installed = installed_update_names()
    if installed:
        return installed, "the Synapse that is installed here"
    return UPDATE_NAMES, "this command"


def update_names(synapse: Path) -> frozenset[str]:
    """Those that the code in the folder `synapse` registers; what cannot be read is left out."""
    files = [*(synapse / "storage").rglob("*.py"), *(synapse / "types").rglob("*.py")]
    texts = [
        text for text in map(_text, files) if "register_" in text or "BackgroundUpdates" in text
    ]
    constants = {name: value for text in texts for name, value in _CONSTANT.findall(text)}
    found = (each for text in texts for each in _REGISTERED.findall(text))
    names = (text or constants.get(name, "") for text, name in found)
    return frozenset(filter(None, names))


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return ""
