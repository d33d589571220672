"""What the page on installation has its readers do."""

import re
import sqlite3
from pathlib import Path

from synapse_bgthrottle.homeserver.storage.tables import make_tables

_TABLES = "SELECT COUNT(*) FROM sqlite_master WHERE type = 'table'"
ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "installation.md").read_text()


def test_a_folder_has_no_dependencies_in_it() -> None:
    """A folder named by `PYTHONPATH` comes before the server's libraries, and must have none."""
    (command,) = re.findall(r"`(pip install [^`]*-t [^`]*)`", PAGE)
    assert "--no-deps" in command


def test_all_tables_are_removed() -> None:
    """Removing drops each table that there is, on SQLite too."""
    database = sqlite3.connect(":memory:")
    make_tables(database.cursor())
    assert [(4,)] == database.execute(_TABLES).fetchall()
    assert "It makes four small tables" in PAGE
    (statements,) = re.findall(r"```sql\n(DROP .*?)```", PAGE, re.S)
    database.executescript(statements)
    assert [(0,)] == database.execute(_TABLES).fetchall()
    database.close()
