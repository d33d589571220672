"""The records of a run: lines of JSON, and a Markdown table, both written while it runs.

They also collect breaches of promises, which decide the run's exit status.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def broken(promises: Mapping[str, object]) -> list[str]:
    """The texts whose value is true: by text of a breach, whether it happened."""
    return [breach for breach, is_so in promises.items() if is_so]


class Records:
    """Two files: `path` with `.jsonl`, and with `.md`."""

    def __init__(self, path: Path, title: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._title = title
        self._all: list[dict[str, Any]] = []
        self._not_well: list[str] = []
        path.with_suffix(".jsonl").write_text("")

    def add(
        self, record: dict[str, Any], name: str = "", breaches: Sequence[str] | None = None
    ) -> None:
        """Write and print a record.

        `breaches` are the broken promises, reported under this `name`; None: nothing is promised.
        """
        if breaches is not None:
            record = {**record, "not well": "; ".join(breaches)}
            self._not_well += [f"{name}: {breach}" for breach in breaches]
        self._all.append(record)
        line = json.dumps(record)
        print(line, flush=True)
        with self._path.with_suffix(".jsonl").open("a") as file:
            file.write(f"{line}\n")
        self._path.with_suffix(".md").write_text(self._table())

    def status(self) -> int:
        """Print all breaches. The exit status is 1 if there are some, or no record at all."""
        not_well = self._not_well if self._all else ["nothing was run"]
        for line in not_well:
            print(f"NOT WELL: {line}", flush=True)
        print(f"{self._title}: {'not all was well' if not_well else 'all was well'}", flush=True)
        return 1 if not_well else 0

    def _table(self) -> str:
        names = list(dict.fromkeys(name for record in self._all for name in record))
        lines = [f"# {self._title}", "", _row(names), _row(["---"] * len(names))]
        lines += [_row([_cell(record.get(name)) for name in names]) for record in self._all]
        return "\n".join(lines) + "\n"


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else str(value)
