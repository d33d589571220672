"""The tables of docs/scaling.md, the same figures each time: `python -m benchmarks.model.scaling`.

By the forecast's formula: sizes are those that public sources give, speeds in batches are of this
project's benchmark where nothing else is known, and what full work costs clients is that of the
modelled servers. With the name of a document, the tables in it are made anew.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import attrs

from benchmarks.plots import document
from synapse_bgthrottle.cli.inputs.forecast_options import SLOPES
from synapse_bgthrottle.core.config.parser import parse
from synapse_bgthrottle.core.tracking.timeline import Job
from synapse_bgthrottle.core.tracking.weekly_load import WeeklyLoad, flat, office
from synapse_bgthrottle.forecast.forecast import Question, forecast
from synapse_bgthrottle.forecast.models import ConfigurationForecast, Forecast

# Monday 2026-01-05, midnight UTC.
_START_S = 1_767_571_200.0
_DAY_MS = 86_400_000.0
_NAMES = ("stock", "gentle", "balanced", "fast", "finish")


@attrs.frozen
class Case:
    """Something to do: what, how many rows, and how many a second in batches."""

    title: str
    items: float
    per_batch_s: float


_CASES = (
    Case("names of users, 28 M, index missing", 28e6, 0.3),
    Case("the same with its index", 28e6, 300.0),
    Case("profiles, 57 M", 57e6, 1000.0),
    Case("push summaries, 113 M", 112.6e6, 5000.0),
    Case("device list changes, 145 M", 145e6, 5000.0),
    Case("state rows, 274 M", 274e6, 5000.0),
    Case("a pass over 2^31 events, 5/ms", 2.0**31, 5000.0),
    Case("the same, on the reactor, 0.7/ms", 2.0**31, 714.0),
)
# Rows, and how many a second in batches.
_BILLION = (1e9, 5000.0)
_LIMITS = {
    "windows 22:00 to 06:00": {"windows": [{"start": "22:00", "end": "06:00"}]},
    "windows on weekends": {"windows": [{"days": "sat,sun"}]},
    "at most 1000 items/s": {"max_items_per_second": 1000},
}


@attrs.frozen
class Row:
    """One line of a table.

    Attributes:
        title: its first cell.
        question: whose answer fills the others.
        tells_slower: whether they also have by what share clients are slower meanwhile.
    """

    title: str
    question: Question
    tells_slower: bool = False

    def line(self) -> str:
        """It as Markdown."""
        told = forecast(self.question)
        days = _days(told)
        if self.tells_slower:
            days = [f"{day}, {_slower(told, of)}" for day, of in zip(days, _NAMES, strict=True)]
        return f"| {' | '.join((self.title, *days))} |"


@attrs.frozen
class Table:
    """One table of the document: the head of its first column, and its rows."""

    of: str
    rows: tuple[Row, ...]

    def head(self) -> str:
        """Its two lines above the rows, as Markdown."""
        return document.head((self.of, *_NAMES))


def tables() -> tuple[Table, ...]:
    """All of the document, in its order; nothing is computed yet."""
    cases = (Row(case.title, _question(case.items, case.per_batch_s)) for case in _CASES)
    return (
        Table("what", tuple(cases)),
        Table("server, load", tuple(_servers())),
        Table("what is less", tuple(_less())),
    )


def main() -> None:
    """Print the tables, or write them."""
    parser = argparse.ArgumentParser(prog="benchmarks.model.scaling", description=__doc__)
    parser.add_argument("document", type=Path, nargs="?", help="Markdown that has the tables")
    options = parser.parse_args()
    for table in tables():
        lines = []
        print(f"\n{table.head()}", flush=True)
        for row in table.rows:
            lines.append(row.line())
            print(lines[-1], flush=True)
        if options.document is not None:
            text = options.document.read_text()
            options.document.write_text(document.with_rows(text, table.head(), lines))


def _servers() -> Iterator[Row]:
    for load in (office(), flat()):
        for server in SLOPES:
            question = _question(*_BILLION, load=load, server=server)
            yield Row(f"{server}, {load.name}", question, tells_slower=True)
    yield Row("any, idle", _question(*_BILLION, load=flat(value=0.0)))


def _less() -> Iterator[Row]:
    yield Row("nothing", _question(*_BILLION))
    for ratio in (0.25, 0.5):
        title = f"a budget closed {ratio:.0%} of the time"
        yield Row(title, _question(*_BILLION, closed=ratio))
    for title, raw in _LIMITS.items():
        yield Row(title, _question(*_BILLION, raw=raw))


def _question(
    items: float,
    per_batch_s: float,
    *,
    load: WeeklyLoad | None = None,
    server: str = "two-cores",
    closed: float = 0.0,
    raw: object = None,
) -> Question:
    return Question(
        jobs=(Job(update="an_update", items=items, per_batch_s=per_batch_s),),
        config=parse(raw or {}),
        load=load or office(),
        slope=SLOPES[server],
        start_s=_START_S,
        closed_ratio=closed,
        only=_NAMES,
    )


def _found(told: Forecast, name: str) -> ConfigurationForecast:
    return next(each for each in told.configurations if each.name == name)


def _days(told: Forecast) -> list[str]:
    ends_ms = [_found(told, name).ends_ms for name in _NAMES]
    return ["never" if at is None else _number((at - told.made_ms) / _DAY_MS) for at in ends_ms]


def _slower(told: Forecast, name: str) -> str:
    slower = _found(told, name).clients_slower
    return "" if slower is None else f"{slower:.0%}"


def _number(days: float) -> str:
    return f"{days:.1f}" if days < 10 else f"{days:.0f}"


if __name__ == "__main__":
    main()
