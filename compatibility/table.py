"""The page docs/compatibility.md, from the results. Pure."""

from collections.abc import Sequence

from compatibility.results import KINDS, Result
from compatibility.targets import OF_TODAY

_HEAD = f"""# Compatibility

Made by `make compat`, on the dates below: do not edit. Each row is a virtual environment with that
Synapse and that Python, and the module of that revision. With `+`, files differed from it.
`make compat VERSIONS=1.60` runs one of them again, `make compat FRESH=1` all.

| tests | what | where |
|---|---|---|
| unit | the core, which knows no Synapse | the oldest and the newest Synapse, each Python |
| integration | Synapse's own updater, the HTTP API, in virtual time | the oldest and the newest |
| integration | the updater, what it asks, and missing details | all others |
| end to end | API, levers, history, rules, faults, signals, adaptive pace, worker, replica | \
every version |
| end to end | tokens | the oldest and the newest |
| end to end | split databases, more workers, lost connections, updates that misbehave | \
{OF_TODAY[0]} and the newest |
| end to end | whole upgrades from old versions | the newest |

End-to-end tests are of real processes, on SQLite and on PostgreSQL.
`make test` has all other tests, on the newest.

Numbers are passed / failed / skipped.

| Synapse | Python | revision | unit | integration | end to end | seconds | date |
|---|---|---|---|---|---|---|---|
"""


def page(results: Sequence[Result]) -> str:
    """The whole page."""
    parts = [_HEAD, *(f"{_row(result)}\n" for result in results)]
    parts += _section(
        "Passed only when tried again",
        "These failed among the others, and passed alone right afterwards: the machine was busy.",
        [(result.name, f"`{test}`") for result in results for test in result.again],
    )
    parts += _section(
        "Run twice",
        "The first run ended without a report; what is counted is the second.",
        [(result.name, "all tests") for result in results if result.is_second],
    )
    parts += _section(
        "Failed", "", [(result.name, f"`{test}`") for result in results for test in result.failed]
    )
    skipped: dict[str, list[str]] = {}
    for result in results:
        for reason, count in result.reasons.items():
            skipped.setdefault(reason, []).append(f"{result.name} ({count})")
    parts += _section(
        "Skipped", "", [(reason, ", ".join(names)) for reason, names in skipped.items()]
    )
    return "".join(parts)


def _row(result: Result) -> str:
    revision = result.revision or "unknown"
    if result.problem:
        cells = [result.name, result.python, revision, f"not run: {result.problem}", "", "", ""]
        return f"| {' | '.join([*cells, result.date])} |"
    cells = [_counts(result.counts.get(kind)) for kind in KINDS]
    row = (result.synapse, result.python, revision, *cells, str(result.seconds), result.date)
    return f"| {' | '.join(row)} |"


def _counts(counts: dict[str, int] | None) -> str:
    if counts is None:
        return "not run"
    return " / ".join(str(counts[outcome]) for outcome in ("passed", "failed", "skipped"))


def _section(title: str, text: str, items: Sequence[tuple[str, str]]) -> list[str]:
    if not items:
        return []
    lines = [f"- {name}: {what}\n" for name, what in items]
    return [f"\n## {title}\n\n", *([f"{text}\n\n"] if text else []), *lines]
