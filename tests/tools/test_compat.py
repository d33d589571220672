"""`make compat`: the versions and tests, the reading of a run, and the page."""

import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from compatibility import __main__ as compat
from compatibility import environments
from compatibility.environments import ROOT
from compatibility.results import NO_REPORT, Report, Result, read, report, verdict
from compatibility.revision import revision
from compatibility.table import page
from compatibility.targets import TARGETS, Target, chosen

REPORT = """<testsuites><testsuite>
<testcase classname="tests.unit.test_a" name="test_1"/>
<testcase classname="tests.end_to_end.test_b" name="test_2[x]"><failure message="no"/></testcase>
<testcase classname="tests.end_to_end.test_b" name="test_3"><skipped message="too old"/></testcase>
<testcase classname="tests.end_to_end.test_b" name="test_4"/>
<testcase classname="tests.end_to_end.test_b" name="test_4"><error message="at its end"/></testcase>
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


@pytest.mark.parametrize(
    ("expected", "file"),
    [
        ([target.name for target in TARGETS], "tests/end_to_end/databases/test_postgres.py"),
        ([target.name for target in TARGETS], "tests/end_to_end/faults/test_faults.py"),
        ([target.name for target in TARGETS], "tests/end_to_end/databases/test_signals.py"),
        (["1.60-py3.11", "newest-py3.11"], "tests/end_to_end/databases/test_sampler_queries.py"),
        (["1.150-py3.11", "newest-py3.11"], "tests/end_to_end/faults/test_connections.py"),
        (["1.150-py3.11", "newest-py3.11"], "tests/end_to_end/server/test_deployments.py"),
        (["1.150-py3.11", "newest-py3.11"], "tests/end_to_end/faults/test_misbehaving_updates.py"),
        (
            ["1.60-py3.11", *(f"newest-py3.{minor}" for minor in (11, 10, 12, 13))],
            "tests/unit",
        ),
    ],
)
def test_where_tests_are_run(expected: list[str], file: str) -> None:
    """The core on the ends and on each Python; deployments where they are set up as today."""
    assert expected == [target.name for target in TARGETS if file in compat.tests_of(target)]


def test_those_that_are_run_are_there() -> None:
    """Files and folders exist, and so do tests that are named in one."""
    named = {*compat.SMOKE, *(test for target in TARGETS for test in compat.tests_of(target))}
    for path, _, name in (test.partition("::") for test in named - {"--deselect"}):
        assert (ROOT / path).exists()
        assert not name or f"def {name.partition('[')[0]}(" in (ROOT / path).read_text()


def test_report(tmp_path: Path) -> None:
    """Outcomes are counted by kind; what fails at its end has failed; skips keep their reasons."""
    path = tmp_path / "report.xml"
    path.write_text(REPORT)
    found = report(path)
    assert {
        "unit": {"passed": 1, "failed": 0, "skipped": 0},
        "end_to_end": {"passed": 0, "failed": 2, "skipped": 1},
    } == found.counts()
    assert [
        "tests.end_to_end.test_b::test_2[x]",
        "tests.end_to_end.test_b::test_4",
    ] == found.failed()
    assert {"too old": 1} == found.reasons


def tried(**outcomes: str) -> Report:
    return Report(
        {f"tests.end_to_end.t::{name}": outcome for name, outcome in outcomes.items()}, Counter()
    )


@pytest.mark.parametrize(
    ("expected", "first", "again"),
    [
        ((2, False, [], []), tried(a="passed", b="passed"), None),
        ((2, False, ["b"], []), tried(a="passed", b="failed"), tried(b="passed")),
        ((1, False, [], ["b"]), tried(a="passed", b="failed"), tried(b="failed")),
        # Of what no report tells the first one holds, and without it nothing.
        ((1, False, [], ["b"]), tried(a="passed", b="failed"), None),
        ((2, False, ["b"], ["c"]), tried(a="passed", b="failed", c="failed"), tried(b="passed")),
        ((3, True, [], []), None, tried(a="passed", b="passed", c="passed")),
        ((2, True, [], ["c"]), None, tried(a="passed", b="passed", c="failed")),
    ],
)
def test_two_runs(
    expected: tuple[int, bool, list[str], list[str]], first: Report | None, again: Report | None
) -> None:
    """Those that failed are tried again; all are, and count, where the first run told nothing."""
    found = verdict(first, again)
    passed, is_second, of_again, failed = expected
    assert passed == found.report.counts()["end_to_end"]["passed"]
    assert is_second == found.is_second
    assert [f"tests.end_to_end.t::{name}" for name in of_again] == found.again
    assert [f"tests.end_to_end.t::{name}" for name in failed] == found.failed


def test_no_report_at_all() -> None:
    """Nothing is counted, and that is a failure."""
    found = verdict(None, None)
    assert ({}, False, [NO_REPORT]) == (found.report.counts(), found.is_second, found.failed)


@pytest.mark.parametrize(
    ("expected", "first"),
    [
        ([("a", "b")], tried(a="passed", b="passed")),
        ([("a", "b"), ("a", "b", "--last-failed")], tried(a="passed", b="failed")),
        ([("a", "b"), ("a", "b")], None),
    ],
)
def test_what_is_run_again(
    expected: list[tuple[str, ...]], first: Report | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing, those that failed, or all; in the end two have passed, once each."""
    reports = [first, tried(b="passed") if first else tried(a="passed", b="passed")]
    asked: list[tuple[str, ...]] = []

    def run_pytest(target: Target, python: Path, arguments: tuple[str, ...]) -> Report | None:
        asked.append(arguments)
        return reports[len(asked) - 1]

    monkeypatch.setattr(compat, "_pytest", run_pytest)
    monkeypatch.setattr(environments, "make", lambda target: Path("python"))
    monkeypatch.setattr(environments, "synapse_version", lambda python: "1.60.0")
    result = compat.run(TARGETS[0], ("a", "b"))
    assert expected == asked
    assert {"end_to_end": {"passed": 2, "failed": 0, "skipped": 0}} == result.counts
    assert ([], first is None) == (result.failed, result.is_second)
    assert result.revision


@pytest.mark.skipif(shutil.which("git") is None, reason="no git here")
def test_revision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commit, with a mark where a file is not as in it, but the page that the runs write."""
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))  # not that of this file
    made, other = tmp_path / "page.md", tmp_path / "other"
    assert "unknown" == revision(tmp_path, made)
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b.c"]
    made.write_text("a page")
    for arguments in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "-m", "first"]):
        subprocess.run([*git, *arguments], check=True)
    commit = revision(tmp_path, made)
    assert 0 < len(commit) == len(commit.rstrip("+"))
    made.write_text("another page")
    assert commit == revision(tmp_path, made)
    other.write_text("a change")
    assert f"{commit}+" == revision(tmp_path, made)


def test_results_are_kept(tmp_path: Path) -> None:
    """What was written is read again; what was not is not there."""
    counts = {"unit": {"passed": 1}}
    result = Result("1.60-py3.11", "1.60.0", "3.11", "abc1234", counts, reasons={"a": 2})
    result.write(tmp_path)
    assert result == read(tmp_path, "1.60-py3.11")
    assert read(tmp_path, "newest-py3.11") is None


def test_page() -> None:
    """A row for each, and below it what failed, what was run again, what was skipped and why."""
    counts = {"integration": {"passed": 5, "failed": 0, "skipped": 1}}
    results = [
        Result(
            *("1.60-py3.11", "1.60.0", "3.11", "abc1234+", counts, True),
            *(["a"], ["b"], {"old": 1}, 7, "2026-01-05"),
        ),
        Result("newest-py3.13", python="3.13", date="2026-01-05", problem="no Python 3.13 here"),
    ]
    text = page(results)
    row = "| 1.60.0 | 3.11 | abc1234+ | not run | 5 / 0 / 1 | not run | 7 | 2026-01-05 |"
    assert row in text
    row = "| newest-py3.13 | 3.13 | unknown | not run: no Python 3.13 here |  |  |  | 2026-01-05 |"
    assert row in text
    for title, line in (
        ("Passed only when tried again", "- 1.60-py3.11: `a`"),
        ("Run twice", "- 1.60-py3.11: all tests"),
        ("Failed", "- 1.60-py3.11: `b`"),
        ("Skipped", "- old: 1.60-py3.11 (1)"),
    ):
        assert line in text.split(f"## {title}\n")[1].split("##")[0]
    assert "##" not in page(results[1:])
