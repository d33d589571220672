"""The long runs tell what was not well, and their exit status is 1 then."""

from pathlib import Path
from typing import Any

import pytest

from harness.faults import Seen
from soak import faults
from soak.records import Records


def after_a_fault(**changes: Any) -> Seen:
    """All rows are there, after 2 s."""
    as_promised: dict[str, Any] = {
        "recovered_s": 2.0,
        "aborted": False,
        "failed": 1,
        "told": 4,
        "left": 0,
        "rows_before": 10,
        "rows": 100,
        "expected": 100,
        "wrong": 0,
    }
    return Seen(**{**as_promised, **changes})


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        ({"recovered_s": 10.0}, []),
        ({"recovered_s": 10.1}, ["the next batch came after 10.1 s"]),
        ({"recovered_s": None}, ["there was no batch after it"]),
        ({"aborted": True}, ["Synapse gave up all updates"]),
        ({"left": 2}, ["2 updates are left"]),
        ({"wrong": 3}, ["3 rows are missing or there twice"]),
    ],
)
def test_faults(changes: dict[str, Any], expected: list[str]) -> None:
    """No abort, no row missing, all done, and the next batch within ten seconds."""
    assert expected == faults.breaches("stopped", after_a_fault(**changes))


def test_the_status_of_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is 1 if anything was not well or nothing was seen, and what was not is told at the end."""
    records = Records(tmp_path / "seen", "Some runs")
    assert 1 == records.status()
    records.add({"of": "stock"})
    records.add({"of": "ours"}, "the first", [])
    assert 0 == records.status()
    records.add({"of": "ours"}, "the second", ["late", "aborted"])
    assert 1 == records.status()
    told = capsys.readouterr().out.splitlines()[-3:]
    assert ["NOT WELL: the second: late", "NOT WELL: the second: aborted"] == told[:2]
    assert "| ours | late; aborted |" in (tmp_path / "seen.md").read_text()
