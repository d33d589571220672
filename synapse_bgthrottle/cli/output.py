"""Prints lines for people, or JSON or YAML for programs. The one place where texts are escaped."""

import json
import os
import signal
import sys
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any, TextIO

import click

from synapse_bgthrottle.cli.render.text import Line, escape, wrapped

_FORMATS = click.Choice(("human", "json", "yaml"))
format_option = partial(click.option, "-o", "--output", type=_FORMATS, help="Default: human.")

_HIDE_CURSOR, _SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"
_ENDS = (signal.SIGTERM, signal.SIGHUP)
_ROWS = 24
_BAR_INDENT = 4
_WIDEST_BAR = 60
_STYLES: dict[str, dict[str, Any]] = {
    "problem": {"fg": "red", "bold": True},
    "held": {"fg": "yellow"},
    "good": {"fg": "green"},
    "title": {"bold": True},
    "faint": {"dim": True},
}


def is_coloured() -> bool:
    """Whether a terminal may be drawn on: NO_COLOR and TERM=dumb say no."""
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def show(lines: Iterable[Line], err: bool = False) -> None:
    """Print lines, wrapped at the terminal's width; colours only on one that wants them."""
    stream = sys.stderr if err else sys.stdout
    for text in _drawn(lines, stream, _size(stream)[0]):
        click.echo(text, err=err)


def _end(number: int, _: object) -> None:
    """Ended by a signal, the command still gives the cursor back."""
    sys.exit(128 + number)


class Screen:
    """The part of a terminal that is drawn anew each time. A context manager."""

    def __init__(self) -> None:
        self._rows = 0

    def __enter__(self) -> "Screen":
        for number in _ENDS:
            signal.signal(number, _end)
        click.echo(_HIDE_CURSOR, nl=False)
        return self

    def __exit__(self, *_: object) -> None:
        click.echo(_SHOW_CURSOR, nl=False)

    def draw(self, lines: Iterable[Line]) -> None:
        """These lines, and no others, as far as there is room; with bars below theirs."""
        columns, rows = _size(sys.stdout)
        texts = list(_drawn(lines, sys.stdout, columns or 80, has_bars=True))
        if len(texts) >= rows:
            texts[rows - 2 :] = ["..."]
        over = f"\r\x1b[{self._rows}A\x1b[J" if self._rows else ""
        click.echo(over + "\n".join(texts))
        self._rows = len(texts)


def _drawn(
    lines: Iterable[Line], stream: TextIO, columns: int | None, *, has_bars: bool = False
) -> Iterator[str]:
    """What fills one row each; all but for colours are characters that the stream can write."""
    for line in lines:
        for text in wrapped(_encodable(escape(line.text), stream), columns):
            is_styled = line.style and is_coloured()
            yield click.style(text, **_STYLES[line.style]) if is_styled else text
        if has_bars and line.ratio is not None and columns is not None:
            width = max(min(columns - 2 * _BAR_INDENT, _WIDEST_BAR), 1)
            done = round(min(max(line.ratio, 0.0), 1.0) * width)
            bar = click.style("=" * done, fg="green") + click.style("-" * (width - done), dim=True)
            yield " " * _BAR_INDENT + bar


def _size(stream: TextIO) -> tuple[int | None, int]:
    """Columns and rows of the terminal; None: it is none, and lines stay whole for programs."""
    try:
        columns, rows = os.get_terminal_size(stream.fileno())
    except (OSError, ValueError):
        return None, _ROWS
    return columns or None, rows or _ROWS


def _encodable(text: str, stream: TextIO) -> str:
    """What the stream's encoding lacks is escaped too: a letter that it lacks ends no status."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def say(text: str) -> None:
    """Print something beside the output, on stderr."""
    show([Line(text)], err=True)


def write(value: Any, output_format: str, is_one_of_many: bool = False) -> None:
    """Print JSON or YAML in ASCII; one of many is a line of JSON, or a document of YAML."""
    if output_format == "json":
        text = json.dumps(value, indent=None if is_one_of_many else 2)
        # DEL is the one control character that JSON leaves as it is.
        click.echo(text.replace("\x7f", "\\u007f"))
        return
    import yaml  # noqa: PLC0415

    if is_one_of_many:
        click.echo("---")
    click.echo(yaml.safe_dump(value, sort_keys=False, allow_unicode=False), nl=False)


def stream_is_terminal(name: str) -> bool:
    """Whether `stdin` or `stdout` is a terminal."""
    stream = getattr(sys, name)
    return bool(stream is not None and stream.isatty())
