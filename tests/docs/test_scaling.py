"""The tables of docs/scaling.md are those that benchmarks/model/scaling.py makes."""

import pytest

from benchmarks.model.scaling import Row, Table, tables
from tests.docs.test_docs import ROOT

PAGE = (ROOT / "docs" / "scaling.md").read_text()
TABLES = tables()
ROWS = {row.title: row for table in TABLES for row in table.rows}


def documented(table: Table) -> list[str]:
    """The table's rows as the document has them."""
    return PAGE.split(f"{table.head()}\n")[1].split("\n\n")[0].splitlines()


@pytest.mark.parametrize("table", TABLES, ids=lambda table: str(table.of))
def test_rows(table: Table) -> None:
    """The document has each row, in this order, and no other."""
    titles = [line.split(" | ")[0].removeprefix("| ") for line in documented(table)]
    assert [row.title for row in table.rows] == titles


# One of each table; all of them take some minutes.
@pytest.mark.figures
@pytest.mark.parametrize(
    "row",
    [ROWS[title] for title in ("push summaries, 113 M", "any, idle", "windows on weekends")],
    ids=lambda row: str(row.title),
)
def test_figures(row: Row) -> None:
    """A row that is computed again has the figures of the document."""
    assert row.line() in PAGE.splitlines()
