"""Levers, their uses, and the history, in lines for people. Pure."""

from collections.abc import Iterator, Sequence

from synapse_bgthrottle.cli.render.text import Line, duration, moment, number, waited
from synapse_bgthrottle.core.units import settings_in_words
from synapse_bgthrottle.schema import Explanation, HistoryEntry, Lever, LeverAnswer, Use


def lever_line(lever: Lever, now_ms: float | None) -> str:
    """What is in force, on what, until when, by whom and why."""
    parts = [f"{lever.kind} {_target(lever.update, lever.database)}"]
    if lever.settings:
        parts.append(settings_in_words(lever.settings))
    if lever.ends_ms is not None:
        left = "" if now_ms is None else f" ({duration(lever.ends_ms - now_ms)} left)"
        parts.append(f"until {moment(lever.ends_ms)}{left}")
    if lever.used_ms is not None:
        parts.append(f"used at {moment(lever.used_ms)}")
    if lever.author:
        parts.append(f"by {lever.author}")
    return ", ".join(parts) + (f": {lever.reason}" if lever.reason else "")


def answer_lines(answer: LeverAnswer, now_ms: float | None) -> Iterator[Line]:
    """What the use of a lever changed."""
    for word, levers in (("made", answer.made), ("ended", answer.ended)):
        for lever in levers:
            yield Line(f"{word}: {lever_line(lever, now_ms)}")
    for note in answer.notes:
        yield Line(f"note: {note}", "held")
    made = {lever.id for lever in answer.made}
    for lever in answer.in_force:
        if lever.id not in made:
            yield Line(f"still in force: {lever_line(lever, now_ms)}")
    yield from _which_counts(answer.in_force)


def levers_lines(levers: tuple[Lever, ...], now_ms: float | None) -> Iterator[Line]:
    """All that are in force."""
    if levers:
        yield Line("levers:", "title")
    for lever in levers:
        yield Line(f"  {lever_line(lever, now_ms)}")
    yield from _which_counts(levers)


def _which_counts(levers: tuple[Lever, ...]) -> Iterator[Line]:
    if sum(lever.kind == "override" for lever in levers) > 1:
        yield Line("of overrides that match an update the newest counts, key by key", "faint")


def use_line(use: Use) -> str:
    """Who did what, when."""
    parts = [f"{moment(use.at_ms)} {use.author} {use.action} {_target(use.update, use.database)}"]
    if use.settings:
        parts.append(settings_in_words(use.settings))
    if use.ends_ms is not None:
        parts.append(f"until {moment(use.ends_ms)}")
    return ", ".join(parts) + (f": {use.reason}" if use.reason else "")


_HISTORY_HEAD = ("started (UTC)", "outcome", "took", "items", "database", "update")


def history_lines(entries: Sequence[HistoryEntry]) -> Iterator[Line]:
    """How updates went, in columns; below one its batches, what it waited for, and failures."""
    rows = [_HISTORY_HEAD, *map(_history_row, entries)]
    if len({entry.database for entry in entries}) < 2:
        rows = [(*row[:4], row[5]) for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    styles = ["title", *("problem" if each.outcome == "aborted" else "" for each in entries)]
    for row, style, entry in zip(rows, styles, (None, *entries), strict=True):
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield Line("  ".join(cells).rstrip(), style)
        if entry is not None:
            yield Line(f"    {'; '.join(_work(entry))}", "faint")
        if entry is not None and entry.failures:
            count = "1 failure" if entry.failures == 1 else f"{entry.failures} failures, the last"
            yield Line(f"    {count}: {entry.last_failure}", style)


def _history_row(entry: HistoryEntry) -> tuple[str, ...]:
    took = ""
    if entry.started_ms is not None and entry.ended_ms is not None:
        took = duration(entry.ended_ms - entry.started_ms)
    return (
        moment(entry.started_ms).removesuffix(" UTC"),
        entry.outcome,
        took,
        number(entry.items),
        entry.database,
        entry.update,
    )


def _work(entry: HistoryEntry) -> Iterator[str]:
    batches = "1 batch" if entry.batches == 1 else f"{number(entry.batches)} batches"
    yield f"{batches}, {duration(entry.batch_time_ms)} in all"
    if entry.waited_ms:
        yield f"waited: {waited(entry.waited_ms)}"


def explanation_lines(explained: Explanation, now_ms: float | None) -> Iterator[Line]:
    """What an update is subject to, and what would hold it now."""
    yield Line(f"{explained.update} in {explained.database}: {explained.description}", "title")
    for detail in explained.details:
        yield Line(f"  {detail}")
    for name, value in explained.limits.items():
        yield Line(f"  {name}: {value}", "faint")
    for held in explained.held_by:
        yield Line(f"  would be held now: {held.reason or held.cause}", "held")
    if not explained.held_by:
        yield Line("  nothing would hold it now", "good")
    for lever in explained.levers:
        yield Line(f"  {lever_line(lever, now_ms)}")


def _target(update: str, database: str | None) -> str:
    return f"{update} in {database}" if database else update
