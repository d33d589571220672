"""`make compat`: which versions, what is read of a run, what the page says."""

from pathlib import Path

import pytest

from compat.results import Result, read, report
from compat.table import page
from compat.targets import TARGETS, chosen

REPORT = """<testsuites><testsuite>
<testcase classname="tests.unit.test_a" name="test_1"/>
<testcase classname="tests.real.test_b" name="test_2[x]"><failure message="no"/></testcase>
<testcase classname="tests.real.test_b" name="test_3"><skipped message="too old"/></testcase>
<testcase classname="tests.real.test_b" name="test_4"/>
<testcase classname="tests.real.test_b" name="test_4"><error message="at its end"/></testcase>
</testsuite></testsuites>"""


@pytest.mark.parametrize(
    ("expected", "words"),
    [
        ([target.name for target in TARGETS], ""),
        (["1.60-py3.11"], "1.60"),
        (["1.60-py3.11", "newest-py3.13"], "newest-py3.13, 1.60"),
        ([f"newest-py3.{minor}" for minor in (11, 10, 12, 13)], "newest"),
    ],
)
def test_chosen(expected: list[str], words: str) -> None:
    """Those that are named, in our order; all where none is."""
    assert expected == [target.name for target in chosen(words)]


def test_unknown_version() -> None:
    """It is refused, with those that there are."""
    with pytest.raises(ValueError, match=r"no such version: 1\.61; there are 1\.60-py3\.11,"):
        chosen("1.60 1.61")


def test_report(tmp_path: Path) -> None:
    """Outcomes are counted by kind; what fails at its end has failed; skips keep their reasons."""
    path = tmp_path / "report.xml"
    path.write_text(REPORT)
    found = report(path)
    assert {
        "unit": {"passed": 1, "failed": 0, "skipped": 0},
        "real": {"passed": 0, "failed": 2, "skipped": 1},
    } == found.counts()
    assert ["tests.real.test_b::test_2[x]", "tests.real.test_b::test_4"] == found.failed()
    assert {"too old": 1} == found.reasons


def test_results_are_kept(tmp_path: Path) -> None:
    """What was written is read again; what was not is not there."""
    result = Result("1.60-py3.11", "1.60.0", "3.11", {"unit": {"passed": 1}}, reasons={"a": 2})
    result.write(tmp_path)
    assert result == read(tmp_path, "1.60-py3.11")
    assert read(tmp_path, "newest-py3.11") is None


def test_page() -> None:
    """A row for each, and below it what failed, what was tried again, what was skipped and why."""
    counts = {"virtual": {"passed": 5, "failed": 0, "skipped": 1}}
    results = [
        Result("1.60-py3.11", "1.60.0", "3.11", counts, ["a"], ["b"], {"old": 1}, 7, "2026-01-05"),
        Result("newest-py3.13", python="3.13", date="2026-01-05", problem="no Python 3.13 here"),
    ]
    text = page(results)
    assert "| 1.60.0 | 3.11 | not run | 5 / 0 / 1 | not run | 7 | 2026-01-05 |" in text
    assert "| newest-py3.13 | 3.13 | not run: no Python 3.13 here |" in text
    for title, line in (
        ("Passed only when tried again", "- 1.60-py3.11: `a`"),
        ("Failed", "- 1.60-py3.11: `b`"),
        ("Skipped", "- old: 1.60-py3.11 (1)"),
    ):
        assert line in text.split(f"## {title}\n")[1].split("##")[0]
    assert "##" not in page(results[1:])
