"""What came of a run: read from pytest's report, kept as JSON."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import attrs

KINDS = ("unit", "virtual", "real")


@attrs.frozen
class Result:
    """What came of a target.

    Attributes:
        name: of the target.
        synapse: its full version.
        python: `major.minor`.
        counts: by kind of test, then by outcome: passed, failed, skipped.
        again: tests that failed at first and passed alone, at once.
        failed: those that failed twice.
        reasons: why tests were skipped, and how many.
        seconds: that the tests took.
        date: of the run.
        problem: why there are no tests; empty: there are.
    """

    name: str
    synapse: str = ""
    python: str = ""
    counts: dict[str, dict[str, int]] = attrs.field(factory=dict)
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
    """What was kept of an earlier run; None: nothing."""
    path = folder / f"{name}.json"
    return Result(**json.loads(path.read_text())) if path.exists() else None


@attrs.frozen
class Report:
    """What pytest reports: outcomes by test, and why some were skipped."""

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


def report(path: Path) -> Report:
    """Read a report in JUnit's XML, which is ours."""
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
    return name if name in KINDS else "real"
