"""The results of runs: read from pytest's reports, kept as JSON."""

import json
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import attrs

KINDS = ("unit", "integration", "end_to_end")
NO_REPORT = "no report of either run"


@attrs.frozen
class Result:
    """The result of a target.

    Attributes:
        name: of the target.
        synapse: its full version.
        python: `major.minor`.
        revision: of the tested tree.
        counts: by kind of test, then by outcome: passed, failed, skipped.
        is_second: whether all tests ran twice, and the second run counts.
        again: tests that failed at first, and passed when they ran again.
        failed: tests that failed twice, or in the second run of all.
        reasons: why tests were skipped, and how many.
        seconds: duration of the tests.
        date: of the run.
        problem: why no tests ran; empty: they did.
    """

    name: str
    synapse: str = ""
    python: str = ""
    revision: str = ""
    counts: dict[str, dict[str, int]] = attrs.field(factory=dict)
    is_second: bool = False
    again: list[str] = attrs.field(factory=list)
    failed: list[str] = attrs.field(factory=list)
    reasons: dict[str, int] = attrs.field(factory=dict)
    seconds: int = 0
    date: str = ""
    problem: str = ""

    def write(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(attrs.asdict(self), indent=1)
        (folder / f"{self.name}.json").write_text(text)


def read(folder: Path, name: str) -> Result | None:
    """The result of an earlier run; None: there is none."""
    path = folder / f"{name}.json"
    return Result(**json.loads(path.read_text())) if path.exists() else None


@attrs.frozen
class Report:
    """pytest's report: outcomes by test, and why some were skipped."""

    outcomes: dict[str, str]
    reasons: Counter[str]

    def counts(self) -> dict[str, dict[str, int]]:
        found: dict[str, dict[str, int]] = {}
        for test, outcome in self.outcomes.items():
            counts = found.setdefault(_kind(test), {"passed": 0, "failed": 0, "skipped": 0})
            counts[outcome] += 1
        return found

    def failed(self) -> list[str]:
        return [test for test, outcome in self.outcomes.items() if outcome == "failed"]


@attrs.frozen
class Verdict:
    """The outcome of one or two runs of the same tests.

    Attributes:
        report: the outcomes that count.
        is_second: whether they come from a second run of all tests.
        again: tests that failed at first, and passed when they ran again.
        failed: tests that failed in the end, or that there is no report.
    """

    report: Report
    is_second: bool
    again: list[str]
    failed: list[str]


def verdict(first: Report | None, again: Report | None) -> Verdict:
    """The outcome of a run and of the one after it.

    `again` is the run of the tests that failed in the first; None: none failed. If the first run
    ended without a report (None), `again` is a run of all tests, and it counts.
    """
    if first is None:
        if again is None:
            return Verdict(Report({}, Counter()), False, [], [NO_REPORT])
        return Verdict(again, True, [], again.failed())
    tried = {} if again is None else again.outcomes
    passed = [test for test in first.failed() if tried.get(test) == "passed"]
    outcomes = {**first.outcomes, **dict.fromkeys(passed, "passed")}
    report = Report(outcomes, first.reasons)
    return Verdict(report, False, sorted(passed), report.failed())


def report(path: Path) -> Report:
    """Read a report in JUnit's XML, which our own pytest wrote."""
    outcomes: dict[str, str] = {}
    reasons: Counter[str] = Counter()
    for case in ElementTree.parse(path).iter("testcase"):
        test = f"{case.get('classname')}::{case.get('name')}"
        skipped = case.find("skipped")
        if case.find("failure") is not None or case.find("error") is not None:
            outcomes[test] = "failed"
        elif skipped is not None:
            outcomes[test] = "skipped"
            reasons[skipped.get("message") or "no reason given"] += 1
        else:
            outcomes.setdefault(test, "passed")
    return Report(outcomes, reasons)


def _kind(test: str) -> str:
    name = test.split(".")[1] if "." in test else ""
    return name if name in KINDS else "end_to_end"
