"""What the page on installation has its readers do."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "installation.md").read_text()


def test_a_folder_has_no_dependencies_in_it() -> None:
    """A folder named by `PYTHONPATH` comes before the server's libraries, and must have none."""
    (command,) = re.findall(r"`(pip install [^`]*-t [^`]*)`", PAGE)
    assert "--no-deps" in command
