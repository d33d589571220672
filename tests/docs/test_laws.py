"""The tables of docs/laws.md are those that benchmarks/model/laws.py makes."""

import pytest

from benchmarks.model.laws import COLUMNS, LAWS, cell, line
from benchmarks.model.scenarios import SCENARIOS, Scenario
from benchmarks.plots import document
from tests.docs.test_docs import ROOT

PAGE = (ROOT / "docs" / "laws.md").read_text()


def documented(scenario: Scenario) -> list[str]:
    """The table's rows as the document has them."""
    table_head = document.head((scenario.title, *COLUMNS))
    return PAGE.split(f"{table_head}\n")[1].split("\n\n")[0].splitlines()


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: str(scenario.title))
def test_rows(scenario: Scenario) -> None:
    """The document has each law, in this order, and no other."""
    titles = [row.split(" | ", maxsplit=1)[0].removeprefix("| ") for row in documented(scenario)]
    assert list(LAWS) == titles


# One of each kind; all of them take some minutes.
@pytest.mark.figures
def test_figures() -> None:
    """A row that is computed again has the figures of the document."""
    scenario = SCENARIOS[3]
    unthrottled = cell(scenario, "unthrottled")
    for law in ("balanced", "AIMD"):
        assert line(law, cell(scenario, law), unthrottled) in documented(scenario)
