"""Writes the list of Synapse's updates that the package ships: `make update-names`.

Names are added and never removed, because old servers still have them.
"""

import sys
import textwrap
from pathlib import Path

from synapse_bgthrottle.cli.inputs.synapse_source import installed_update_names, update_names
from synapse_bgthrottle.core.config.update_names import UPDATE_NAMES

ROOT = Path(__file__).parent.parent
FILE = ROOT / "synapse_bgthrottle" / "core" / "config" / "update_names.py"

_TEXT = '''\
"""The names of Synapse's updates, of all versions from 1.60 on. Made by `make update-names`."""

_NAMES = """
{names}
"""
UPDATE_NAMES = frozenset(_NAMES.split())
'''


def main(folders: list[str]) -> None:
    """Write the list again, with the names in these `synapse` folders of other versions too."""
    found = installed_update_names().union(*(update_names(Path(each)) for each in folders))
    if not found:
        sys.exit("no Synapse is installed here")
    names = sorted(UPDATE_NAMES | found)
    FILE.write_text(_TEXT.format(names=textwrap.fill(" ".join(names), 100, break_on_hyphens=False)))
    print(f"{len(names)} names, {len(found - UPDATE_NAMES)} of them new")


if __name__ == "__main__":
    main(sys.argv[1:])
