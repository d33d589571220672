"""The steps of the installation page work."""

import configparser
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
    assert [(5,)] == database.execute(_TABLES).fetchall()
    assert "makes five\nsmall tables" in PAGE
    (statements,) = re.findall(r"```sql\n(DROP .*?)```", PAGE, re.S)
    database.executescript(statements)
    assert [(0,)] == database.execute(_TABLES).fetchall()
    database.close()


def test_project_urls() -> None:
    """What the package index will link to is one repository, and files that are in it."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    lines = config["metadata"]["project_urls"].strip().splitlines()
    urls = dict(line.split(" = ") for line in lines)
    repository = urls["Source"]
    assert all(url.startswith(repository) for url in urls.values())
    paths = re.findall(r"/(?:tree|blob)/main/(\S+)", "\n".join(lines))
    assert ["docs", "CHANGELOG.md"] == paths
    assert all((ROOT / path).exists() for path in paths)


def test_before_the_first_release() -> None:
    """From a clone and from a Git address, the module and the command are installed."""
    section = PAGE.partition("\n## Before the first release\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| .*\| `(pip .*?)` \| `(pipx .*?)` \|$", section, re.M)
    module, command = zip(*rows, strict=True)
    assert ("pip install ./synapse-bgthrottle", 'pip install "git+$URL"') == module
    assert all("synapse-bgthrottle[cli]" in line for line in command)
    assert ["git+$URL" in line for line in module] == ["git+$URL" in line for line in command]
