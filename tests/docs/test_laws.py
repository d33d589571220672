"""The tables of docs/laws.md are those that `make bench-laws` makes."""

from collections.abc import Sequence

import pytest

from benchmarks.model.laws import COLUMNS, LAWS, cell, line
from benchmarks.model.scenarios import CELLS, SCENARIOS, Scenario
from benchmarks.model.scorecard import SHARES, SLOWER, SUMMARY, scores, share_line
from benchmarks.plots import document
from tests.docs.test_docs import ROOT

PAGE = (ROOT / "docs" / "laws.md").read_text()


def documented(columns: Sequence[str]) -> list[str]:
    """The table's rows as the document has them."""
    return PAGE.split(f"{document.head(columns)}\n")[1].split("\n\n")[0].splitlines()


def titles(rows: Sequence[str]) -> list[str]:
    """The first cell of each."""
    return [row.split(" | ", maxsplit=1)[0].removeprefix("| ") for row in rows]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: str(scenario.title))
def test_rows(scenario: Scenario) -> None:
    """The document has each law, in this order, and no other."""
    assert list(LAWS) == titles(documented((scenario.title, *COLUMNS)))


@pytest.mark.parametrize("columns", [SUMMARY, SHARES, SLOWER], ids=["summary", "share", "slower"])
def test_cells(columns: Sequence[str]) -> None:
    """Each table of the scorecard has each cell, in this order, and no other."""
    assert [cell.title for cell in CELLS] == titles(documented(columns))


# One of each kind; all of them take a quarter of an hour.
@pytest.mark.figures
def test_figures() -> None:
    """A row that is computed again has the figures of the document."""
    scenario = SCENARIOS[3]
    unthrottled = cell(scenario, "unthrottled")
    for law in ("balanced", "AIMD"):
        assert line(law, cell(scenario, law), unthrottled) in documented((scenario.title, *COLUMNS))


@pytest.mark.figures
def test_score() -> None:
    """So has a row of the scorecard."""
    idle = next(each for each in CELLS if each.title.startswith("idle"))
    assert share_line(idle, scores(idle)) in documented(SHARES)
