"""Prints lines for people, or JSON or YAML for programs. The one place where texts are escaped."""

import json
import os
import sys
from collections.abc import Iterable
from typing import Any, TextIO

import click

from synapse_bgthrottle.cli.render.text import Line, escape, wrapped

FORMATS = ("human", "json", "yaml")
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
    columns = _columns(stream)
    for line in lines:
        for text in wrapped(_encodable(escape(line.text), stream), columns):
            is_styled = line.style and is_coloured()
            click.echo(click.style(text, **_STYLES[line.style]) if is_styled else text, err=err)


def _columns(stream: TextIO) -> int | None:
    """The width of the terminal; None: it is none, and lines stay whole for other programs."""
    try:
        return os.get_terminal_size(stream.fileno()).columns or None
    except (OSError, ValueError):
        return None


def _encodable(text: str, stream: TextIO) -> str:
    """What the stream's encoding lacks is escaped too: no status ends for want of a letter."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def say(text: str) -> None:
    """Tell something beside the output, on stderr."""
    show([Line(text)], err=True)


def write(value: Any, output_format: str, is_one_of_many: bool = False) -> None:
    """Print what programs read: JSON or YAML, both in ASCII, so that nothing needs escaping.

    One of many is a line of JSON, or a document of YAML.
    """
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
