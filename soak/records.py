"""What a run saw: as JSON, a record a line, and as a table in Markdown, written while it runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


class Records:
    """Two files, `path` with `.jsonl` and with `.md`."""

    def __init__(self, path: Path, title: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._title = title
        self._all: list[dict[str, Any]] = []
        path.with_suffix(".jsonl").write_text("")

    def add(self, record: dict[str, Any]) -> None:
        """Write it down, and print it."""
        self._all.append(record)
        line = json.dumps(record)
        print(line, flush=True)
        with self._path.with_suffix(".jsonl").open("a") as file:
            file.write(f"{line}\n")
        self._path.with_suffix(".md").write_text(self._table())

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
