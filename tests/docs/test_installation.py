"""What the page on installation has its readers do."""

import re
import sqlite3
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "installation.md").read_text()


def test_a_folder_has_no_dependencies_in_it() -> None:
    """A folder named by `PYTHONPATH` comes before the server's libraries, and must have none."""
    (command,) = re.findall(r"`(pip install [^`]*-t [^`]*)`", PAGE)
    assert "--no-deps" in command


def test_all_tables_are_removed() -> None:
    """Removing drops each table that there is, on SQLite too."""
    store = (ROOT / "synapse_bgthrottle" / "store.py").read_text()
    tables = re.findall(r"CREATE TABLE IF NOT EXISTS (\w+)", store)
    assert 4 == len(tables)
    assert "It makes four small tables" in PAGE
    database = sqlite3.connect(":memory:")
    for table in tables:
        database.execute(f"CREATE TABLE {table} (one TEXT)")
    (statements,) = re.findall(r"```sql\n(DROP .*?)```", PAGE, re.S)
    database.executescript(statements)
    assert [] == database.execute("SELECT name FROM sqlite_master").fetchall()
    database.close()
